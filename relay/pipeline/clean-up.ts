import { EXPIRES, floatsAt } from '../session/layout.ts';
import { lastHeardMs } from '../session/life.ts';
import type { Books } from './books.ts';
import { Counter } from './counters.ts';
import type { SessionPool } from './session-pool.ts';
import { SlotPass } from './slot-pass.ts';

export interface CleanUpRules {
  readonly idleTimeoutMs: number;
  readonly cleanupIntervalMs: number;
}

/** Removes the sessions that expired and those that are idle. */
export class CleanUp {
  readonly #pool: SessionPool;
  readonly #books: Books;
  readonly #idleTimeoutMs: number;
  readonly #pass: SlotPass;

  constructor(pool: SessionPool, books: Books, rules: CleanUpRules, nowMs: number) {
    this.#pool = pool;
    this.#books = books;
    this.#idleTimeoutMs = rules.idleTimeoutMs;
    this.#pass = new SlotPass(pool.table, rules.cleanupIntervalMs, nowMs, (slot, now) =>
      this.#judge(slot, now),
    );
  }

  sweep(nowMs: number): void {
    this.#pass.step(nowMs);
  }

  #judge(slot: number, nowMs: number): boolean {
    const { words, floats } = this.#pool.table;
    if (nowMs >= floats[floatsAt(slot) + EXPIRES]!) {
      this.#pool.close(slot);
      this.#books.count(Counter.cleanup_expired_sessions);
      return true;
    }
    if (nowMs - lastHeardMs(words, floats, slot) >= this.#idleTimeoutMs) {
      this.#pool.close(slot);
      this.#books.count(Counter.cleanup_idle_sessions);
      return true;
    }
    return false;
  }
}
