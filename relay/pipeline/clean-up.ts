import { EXPIRES, floatsAt, JOURNALED_EXPIRES } from '../session/layout.ts';
import { lastHeardMs } from '../session/life.ts';
import type { Books } from './books.ts';
import { Counter } from './counters.ts';
import type { SessionPool } from './session-pool.ts';

/** Traffic renewals change a record with every packet; the journal is told this often at most (design-relay 6). */
const RENEWAL_JOURNAL_MS = 30_000;
/** Slots looked at in one call: some 50 µs. */
const SLOTS_PER_CALL = 2048;

export interface CleanUpRules {
  readonly idleTimeoutMs: number;
  readonly cleanupIntervalMs: number;
}

/** Goes through all sessions once an interval, a piece at each call: the expired and the idle ones are removed. */
export class CleanUp {
  readonly #pool: SessionPool;
  readonly #books: Books;
  readonly #rules: CleanUpRules;
  #passStartedMs: number;
  #next = 0;

  constructor(pool: SessionPool, books: Books, rules: CleanUpRules, nowMs: number) {
    this.#pool = pool;
    this.#books = books;
    this.#rules = rules;
    this.#passStartedMs = nowMs;
    this.#next = -1;
  }

  sweep(nowMs: number): void {
    if (this.#next < 0) {
      if (nowMs - this.#passStartedMs < this.#rules.cleanupIntervalMs) return;
      this.#passStartedMs = nowMs;
      this.#next = 0;
    }
    const { table } = this.#pool;
    const end = Math.min(this.#next + SLOTS_PER_CALL, table.usedSlots);
    for (; this.#next < end; this.#next++) {
      if (table.holds(this.#next)) this.#judge(this.#next, nowMs);
    }
    if (this.#next >= table.usedSlots) this.#next = -1;
  }

  #judge(slot: number, nowMs: number): void {
    const { words, floats } = this.#pool.table;
    const expiresMs = floats[floatsAt(slot) + EXPIRES]!;
    if (nowMs >= expiresMs) {
      this.#pool.close(slot);
      this.#books.count(Counter.cleanup_expired_sessions);
    } else if (nowMs - lastHeardMs(words, floats, slot) >= this.#rules.idleTimeoutMs) {
      this.#pool.close(slot);
      this.#books.count(Counter.cleanup_idle_sessions);
    } else if (expiresMs - floats[floatsAt(slot) + JOURNALED_EXPIRES]! >= RENEWAL_JOURNAL_MS) {
      this.#pool.journal(slot);
    }
  }
}
