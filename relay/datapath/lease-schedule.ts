/**
 * How much verification of waiting leases a worker may do between two receive calls (design-relay 2).
 *
 * While datagrams keep coming, verification gets 20 % of the worker's time, saved up to one full turn of 4 leases. When
 * a receive call finds nothing the worker is idle and the time costs nobody anything: one lease, then it looks again, so
 * that a datagram that arrives meanwhile waits for 0.1 ms.
 */

/** 0.5 ms of verification. */
export const LEASES_PER_TURN = 4;
const SHARE = 0.2;
const LEASE_MS = 0.125;
const SAVED_MS: number = LEASES_PER_TURN * LEASE_MS;

export class LeaseSchedule {
  #savedMs = 0;
  #lastMs: number;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  /** How many leases may be verified now. `idle`: the receive call before this found nothing. */
  allowance(idle: boolean, nowMs: number): number {
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (idle) {
      if (this.#savedMs < 0) this.#savedMs = 0;
      return 1;
    }
    this.#savedMs = Math.min(SAVED_MS, this.#savedMs + SHARE * elapsedMs);
    return Math.max(0, Math.floor(this.#savedMs / LEASE_MS));
  }

  /** What the leases that were verified really took; a slow one is paid back before the next. */
  spent(elapsedMs: number, idle: boolean): void {
    if (!idle) this.#savedMs -= elapsedMs;
  }
}
