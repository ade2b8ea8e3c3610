/** Exponential back-off with jitter, as client-go's wait.Backoff; `random` gives [0, 1). */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  readonly #jitter: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor(options: { firstMs: number; mostMs: number; jitter: number; random: () => number }) {
    this.#firstMs = options.firstMs;
    this.#mostMs = options.mostMs;
    this.#jitter = options.jitter;
    this.#random = options.random;
    this.#nextMs = options.firstMs;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const wait = this.#nextMs;
    this.#nextMs = Math.min(this.#mostMs, this.#nextMs * 2);
    return wait * (1 + this.#jitter * this.#random());
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
