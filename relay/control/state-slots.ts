/**
 * Which slot of the state file holds which session. The file's slots are not those of the workers' tables, so that their
 * number may change from one start to the next.
 */
export class StateSlots {
  /** File slot of each worker's table slot. */
  readonly #used = new Map<number, number>();
  /** File slots of restored sessions that no worker has shown yet, by session id. */
  readonly #unclaimed: Map<string, number>;
  /** The lowest last. */
  readonly #free: number[];
  #end: number;

  /** `restored`: file slots by session id; every other slot below `end` is free. */
  constructor(restored: ReadonlyMap<string, number>, end: number) {
    this.#end = end;
    this.#unclaimed = new Map(restored);
    const taken = new Set(restored.values());
    this.#free = Array.from({ length: end }, (_, i) => end - 1 - i).filter((slot) => !taken.has(slot));
  }

  get unclaimed(): number {
    return this.#unclaimed.size;
  }

  /** The file slot for a session in a worker's table. A restored session keeps the one it was read from. */
  take(worker: number, tableSlot: number, sessionId: () => string): number {
    const key = keyOf(worker, tableSlot);
    const known = this.#used.get(key);
    if (known !== undefined) return known;
    const slot = this.#claim(sessionId) ?? this.#free.pop() ?? this.#end++;
    this.#used.set(key, slot);
    return slot;
  }

  /** The file slot to be cleared, as the session in a worker's table is gone; undefined when it never had one. */
  release(worker: number, tableSlot: number): number | undefined {
    const key = keyOf(worker, tableSlot);
    const slot = this.#used.get(key);
    if (slot === undefined) return undefined;
    this.#used.delete(key);
    this.#free.push(slot);
    return slot;
  }

  /** The file slots to be cleared of restored sessions that no worker took. */
  releaseUnclaimed(): number[] {
    const slots = [...this.#unclaimed.values()];
    this.#unclaimed.clear();
    this.#free.push(...slots);
    return slots;
  }

  #claim(sessionId: () => string): number | undefined {
    if (this.#unclaimed.size === 0) return undefined;
    const id = sessionId();
    const slot = this.#unclaimed.get(id);
    this.#unclaimed.delete(id);
    return slot;
  }
}

function keyOf(worker: number, tableSlot: number): number {
  return worker * 2 ** 32 + tableSlot;
}
