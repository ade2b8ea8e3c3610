import { readI32 } from '../protocol/big-endian.ts';
import { ID, SESSION_BYTES, SESSION_WORDS, STATE, wordsAt } from './layout.ts';

/**
 * The sessions of one worker: a fixed number of slots (layout.ts), found by session id.
 *
 * Open addressing with linear probing over an index at most half full; entries are (hash, slot + 1) pairs, and the whole
 * 128-bit id is compared in the slot. Removing shifts later entries back instead of leaving tombstones. The hash is seeded:
 * who sends packets can't choose ids that make long probes.
 */
export class SessionTable {
  readonly capacity: number;
  /** The slots as 32-bit words and as 64-bit floats; the same memory. */
  readonly words: Int32Array;
  readonly floats: Float64Array;
  size = 0;
  /** All slots from here on were never used. */
  usedSlots = 0;

  readonly #index: Int32Array;
  readonly #mask: number;
  readonly #seed: Int32Array;
  readonly #free: Int32Array;
  #freeCount = 0;

  constructor(capacity: number, seed: Uint32Array) {
    const memory = new ArrayBuffer(capacity * SESSION_BYTES);
    this.capacity = capacity;
    this.words = new Int32Array(memory);
    this.floats = new Float64Array(memory);
    const entries = 2 ** Math.ceil(Math.log2(Math.max(8, capacity * 2)));
    this.#index = new Int32Array(entries * 2);
    this.#mask = entries - 1;
    this.#seed = Int32Array.from(seed);
    this.#free = new Int32Array(capacity);
  }

  /** The slot of the session whose id is the 16 bytes at `offset`, or -1. */
  find(bytes: Uint8Array, offset: number): number {
    const a = readI32(bytes, offset);
    const b = readI32(bytes, offset + 4);
    const c = readI32(bytes, offset + 8);
    const d = readI32(bytes, offset + 12);
    const hash = this.#hash(a, b, c, d);
    const index = this.#index;
    const words = this.words;
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const slot = index[2 * at + 1]! - 1;
      if (slot < 0) return -1;
      if (index[2 * at] === hash) {
        const id = slot * SESSION_WORDS + ID;
        if (words[id] === a && words[id + 1] === b && words[id + 2] === c && words[id + 3] === d) return slot;
      }
    }
  }

  /** The seeded hash of the id at `offset`, 32 bits. */
  hash(bytes: Uint8Array, offset: number): number {
    const a = readI32(bytes, offset);
    const b = readI32(bytes, offset + 4);
    const c = readI32(bytes, offset + 8);
    return this.#hash(a, b, c, readI32(bytes, offset + 12));
  }

  /** Gives the id (16 bytes at `offset`, not in the table yet) a zeroed slot; -1 when none is free. */
  insert(bytes: Uint8Array, offset: number): number {
    if (this.size === this.capacity) return -1;
    const slot = this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.usedSlots++;
    const base = wordsAt(slot);
    this.words.fill(0, base, base + SESSION_WORDS);
    for (let i = 0; i < 4; i++) this.words[base + ID + i] = readI32(bytes, offset + 4 * i);
    const hash = this.#hashOf(slot);
    let at = hash & this.#mask;
    while (this.#index[2 * at + 1] !== 0) at = (at + 1) & this.#mask;
    this.#index[2 * at] = hash;
    this.#index[2 * at + 1] = slot + 1;
    this.size++;
    return slot;
  }

  /** Whether the slot holds a session (one with a peer: state bits are set right after insert). */
  holds(slot: number): boolean {
    return slot < this.usedSlots && this.words[wordsAt(slot) + STATE] !== 0;
  }

  remove(slot: number): void {
    const index = this.#index;
    let hole = this.#hashOf(slot) & this.#mask;
    while (index[2 * hole + 1] !== slot + 1) hole = (hole + 1) & this.#mask;
    for (let at = (hole + 1) & this.#mask; index[2 * at + 1] !== 0; at = (at + 1) & this.#mask) {
      const home = index[2 * at]! & this.#mask;
      // An entry may move back to the hole unless its home lies behind the hole, seen from the entry.
      if (((at - home) & this.#mask) >= ((at - hole) & this.#mask)) {
        index[2 * hole] = index[2 * at]!;
        index[2 * hole + 1] = index[2 * at + 1]!;
        hole = at;
      }
    }
    index[2 * hole] = 0;
    index[2 * hole + 1] = 0;
    this.words[wordsAt(slot) + STATE] = 0;
    this.#free[this.#freeCount++] = slot;
    this.size--;
  }

  #hashOf(slot: number): number {
    const id = wordsAt(slot) + ID;
    return this.#hash(this.words[id]!, this.words[id + 1]!, this.words[id + 2]!, this.words[id + 3]!);
  }

  #hash(a: number, b: number, c: number, d: number): number {
    const seed = this.#seed;
    let hash = Math.imul(a ^ seed[0]!, 0x9e3779b1) ^ Math.imul(b ^ seed[1]!, 0x85ebca77);
    hash ^= hash >>> 15;
    hash = Math.imul(hash ^ c ^ seed[2]!, 0xc2b2ae3d) ^ Math.imul(d ^ seed[3]!, 0x27d4eb2f);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0x165667b1);
    return hash ^ (hash >>> 16);
  }
}
