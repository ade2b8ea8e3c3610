import { EXPIRES, floatsAt, JOURNALED_EXPIRES } from '../session/layout.ts';
import type { SessionPool } from './session-pool.ts';
import { SlotPass } from './slot-pass.ts';

/** Traffic renewals change a record with every packet; the journal is told once so much was gained (design-relay 6). */
const MAX_GAIN_MS = 30_000;
const MAX_INTERVAL_MS = 10_000;
/** The wall clock is never quite as fast as the monotonic one; a record may be so far off. */
const MAX_CLOCK_ERROR_MS = 1000;

/**
 * Keeps records from being over before their sessions are, which no event would tell the journal of: when traffic renewed them,
 * and when the wall clock, by which a record ends, was put forward or back.
 */
export class RecordRefresh {
  readonly #pool: SessionPool;
  readonly #gainMs: number;
  readonly #pass: SlotPass;
  /** How far the wall clock was ahead when all records were right. */
  #wallAheadMs: number;
  #all = false;

  /** A quarter of the lease duration may be gained unseen, another passes until the next look: half of it is always left. */
  constructor(pool: SessionPool, leaseDurationMs: number, nowMs: number, wallMs: number) {
    this.#pool = pool;
    this.#gainMs = Math.min(MAX_GAIN_MS, leaseDurationMs / 4);
    this.#wallAheadMs = wallMs - nowMs;
    const intervalMs = Math.min(MAX_INTERVAL_MS, leaseDurationMs / 4);
    this.#pass = new SlotPass(pool.table, intervalMs, nowMs, (slot) => this.#judge(slot));
  }

  sweep(nowMs: number, wallMs: number): void {
    const wallAheadMs = wallMs - nowMs;
    if (Math.abs(wallAheadMs - this.#wallAheadMs) > MAX_CLOCK_ERROR_MS) {
      this.#wallAheadMs = wallAheadMs;
      this.#all = true;
      this.#pass.begin(nowMs);
    }
    if (this.#pass.step(nowMs)) this.#all = false;
  }

  #judge(slot: number): boolean {
    const at = floatsAt(slot);
    const { floats } = this.#pool.table;
    const gainedMs = floats[at + EXPIRES]! - floats[at + JOURNALED_EXPIRES]!;
    if (!this.#all && gainedMs < this.#gainMs) return false;
    this.#pool.journal(slot);
    return true;
  }
}
