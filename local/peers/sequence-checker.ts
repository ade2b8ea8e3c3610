export type Arrival = 'in order' | 'reordered' | 'duplicate' | 'too late';

/**
 * Follows the packet ids that one receiver gets from one sender, which numbers from 1. An id up to `WINDOW` below the
 * highest is told apart as late or as a duplicate; of an older one nothing is known ("too late").
 */
export class SequenceChecker {
  static readonly WINDOW = 4096;

  /** Ids that came at least once, the too late ones not included. */
  unique = 0;
  highest = 0;
  readonly #seen = new Uint32Array(SequenceChecker.WINDOW / 32);

  accept(sequence: number): Arrival {
    if (sequence > this.highest) {
      this.#advance(sequence);
      this.#mark(sequence);
      this.unique++;
      return 'in order';
    }
    if (sequence <= this.highest - SequenceChecker.WINDOW || sequence < 1) return 'too late';
    if (this.#isMarked(sequence)) return 'duplicate';
    this.#mark(sequence);
    this.unique++;
    return 'reordered';
  }

  /** Ids below the highest that have not come (yet). */
  get missing(): number {
    return this.highest - this.unique;
  }

  #advance(sequence: number): void {
    if (sequence - this.highest >= SequenceChecker.WINDOW) this.#seen.fill(0);
    else for (let id = this.highest + 1; id < sequence; id++) this.#unmark(id);
    this.highest = sequence;
  }

  #mark(sequence: number): void {
    const slot = sequence % SequenceChecker.WINDOW;
    this.#seen[slot >>> 5]! |= 1 << (slot & 31);
  }

  #unmark(sequence: number): void {
    const slot = sequence % SequenceChecker.WINDOW;
    this.#seen[slot >>> 5]! &= ~(1 << (slot & 31));
  }

  #isMarked(sequence: number): boolean {
    const slot = sequence % SequenceChecker.WINDOW;
    return (this.#seen[slot >>> 5]! & (1 << (slot & 31))) !== 0;
  }
}
