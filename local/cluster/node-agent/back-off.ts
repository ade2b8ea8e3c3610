/**
 * Waiting times between restarts, as the kubelet's: the first restart is immediate, then the base, doubling up to the
 * maximum; a run of twice the maximum starts over. Source: client-go/util/flowcontrol.Backoff, kubelet `doBackOff`.
 */
export class BackOff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  #currentMs: number | undefined;
  #updatedAt = 0;

  constructor(baseMs: number, maxMs: number) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
  }

  /** How long to wait after what ended at `finishedAt` (ms), as of now; counts as one failure. */
  next(finishedAt: number, now: number): number {
    const expired = now - this.#updatedAt > 2 * this.#maxMs;
    const wait =
      this.#currentMs === undefined || expired ? 0 : Math.max(0, finishedAt + this.#currentMs - now);
    this.#currentMs =
      this.#currentMs === undefined || expired ? this.#baseMs : Math.min(this.#currentMs * 2, this.#maxMs);
    this.#updatedAt = now + wait;
    return wait;
  }
}
