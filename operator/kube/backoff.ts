/**
 * Exponential back-off with jitter, as client-go's exponential BackoffManager: begins anew when nothing had to wait for
 * `resetAfterMs`. `random` gives [0, 1), `nowMs` monotonic milliseconds.
 */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #jitter: number;
  readonly #random: () => number;
  readonly #nowMs: () => number;
  readonly #resetAfterMs: number;
  #askedAtMs = -Infinity;
  #nextMs: number;

  constructor(options: {
    firstMs: number;
    mostMs: number;
    jitter: number;
    random: () => number;
    nowMs: () => number;
    resetAfterMs: number;
  }) {
    this.#firstMs = options.firstMs;
    this.#mostMs = options.mostMs;
    this.#jitter = options.jitter;
    this.#random = options.random;
    this.#nowMs = options.nowMs;
    this.#resetAfterMs = options.resetAfterMs;
    this.#nextMs = options.firstMs;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const nowMs = this.#nowMs();
    if (nowMs - this.#askedAtMs > this.#resetAfterMs) this.reset();
    this.#askedAtMs = nowMs;
    const wait = this.#nextMs;
    this.#nextMs = Math.min(this.#mostMs, this.#nextMs * 2);
    return wait * (1 + this.#jitter * this.#random());
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
