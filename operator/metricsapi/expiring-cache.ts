/**
 * Answers that are remembered for a while, by key; those that are under way are shared. Bounded: beyond `most` entries the
 * oldest go. A failure is not remembered.
 */
export class ExpiringCache<Value> {
  readonly #entries = new Map<string, { readonly value: Promise<Value>; readonly atMs: number }>();
  readonly #most: number;
  readonly #ttlMs: number;
  readonly #nowMs: () => number;

  constructor(options: { readonly most: number; readonly ttlMs: number; readonly nowMs: () => number }) {
    this.#most = options.most;
    this.#ttlMs = options.ttlMs;
    this.#nowMs = options.nowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, ask: () => Promise<Value>): Promise<Value> {
    const nowMs = this.#nowMs();
    const known = this.#entries.get(key);
    // From the future: the clock was set back, and nobody knows how old it is.
    if (known && known.atMs <= nowMs && nowMs < known.atMs + this.#ttlMs) return known.value;
    const value = ask();
    // Deleted first, so that the order is that of age.
    this.#entries.delete(key);
    this.#entries.set(key, { value, atMs: nowMs });
    value.catch(() => {
      if (this.#entries.get(key)?.value === value) this.#entries.delete(key);
    });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#most) break;
      this.#entries.delete(oldest);
    }
    return value;
  }
}
