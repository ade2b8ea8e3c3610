import type { SessionTable } from '../session/table.ts';

/** Slots looked at in one call: some 50 µs. */
const SLOTS_PER_CALL = 2048;
/** Sessions that something came of, a record to be written as a rule: some 2 ms. */
const HITS_PER_CALL = 512;

/** Says whether something came of it. */
export type SlotVisit = (slot: number, nowMs: number) => boolean;

/** Visits every session once an interval, a piece of the table at each call. */
export class SlotPass {
  readonly #table: SessionTable;
  readonly #intervalMs: number;
  readonly #visit: SlotVisit;
  #startedMs: number;
  /** The slot to go on with; -1 between two passes. */
  #next = -1;

  constructor(table: SessionTable, intervalMs: number, nowMs: number, visit: SlotVisit) {
    this.#table = table;
    this.#intervalMs = intervalMs;
    this.#startedMs = nowMs;
    this.#visit = visit;
  }

  /** A pass begins now, from the first slot. */
  begin(nowMs: number): void {
    this.#startedMs = nowMs;
    this.#next = 0;
  }

  /** Says whether a pass has just ended. */
  step(nowMs: number): boolean {
    if (this.#next < 0) {
      if (nowMs - this.#startedMs < this.#intervalMs) return false;
      this.begin(nowMs);
    }
    const table = this.#table;
    const end = Math.min(this.#next + SLOTS_PER_CALL, table.usedSlots);
    for (let hits = 0; this.#next < end && hits < HITS_PER_CALL; this.#next++) {
      if (table.holds(this.#next) && this.#visit(this.#next, nowMs)) hits++;
    }
    if (this.#next < table.usedSlots) return false;
    this.#next = -1;
    return true;
  }
}
