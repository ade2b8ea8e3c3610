import { setImmediate } from 'node:timers/promises';

/** Timers as the queue needs them; tests pass a virtual clock. */
export interface QueueClock {
  /** Monotonic milliseconds: a wall clock that is set back would put all work off by as much. */
  now(): number;
  after(ms: number, run: () => void): () => void;
  /** Resolves once timers and answers that are due have been seen to. */
  turn(): Promise<void>;
}

export const systemClock: QueueClock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
  turn: () => setImmediate(),
};

export interface WorkQueueOptions {
  readonly clock: QueueClock;
  /** Works on one key; never called twice at once for the same key. Rejecting means: again, after a back-off. */
  readonly work: (key: string) => Promise<void>;
  readonly workers: number;
  readonly onAdd?: () => void;
  readonly onError: (key: string, error: unknown, retries: number) => void;
}

/** client-go's DefaultTypedControllerRateLimiter: per key 5 ms doubling to 1000 s, over all 10 per second, 100 at once. */
const FIRST_DELAY_MS = 5;
const MOST_DELAY_MS = 1_000_000;
const BUCKET_PER_MS = 10 / 1000;
const BUCKET_SIZE = 100;

/**
 * client-go's rate-limited work queue: a key that is added again while it is worked on is worked on once more
 * afterwards; failures back off per key; a delayed key is never worked on later than its earliest delay.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #ready: string[] = [];
  readonly #dirty = new Set<string>();
  /** Keys that are worked on, with the time since when. */
  readonly #processing = new Map<string, number>();
  readonly #retries = new Map<string, number>();
  readonly #delayed = new Map<string, { readonly atMs: number; readonly cancel: () => void }>();
  readonly #idle: (() => void)[] = [];
  #tokens = BUCKET_SIZE;
  #tokensAtMs: number;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#tokensAtMs = options.clock.now();
  }

  /** Keys that wait to be worked on. */
  get depth(): number {
    return this.#ready.length;
  }

  /** Milliseconds that the keys which are worked on have taken so far. */
  get runningMs(): readonly number[] {
    const now = this.#options.clock.now();
    return [...this.#processing.values()].map((since) => now - since);
  }

  add(key: string): void {
    if (this.#stopped || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    this.#options.onAdd?.();
    if (this.#processing.has(key)) return;
    this.#ready.push(key);
    this.#dispatch();
  }

  /** Adds a key at a time to come, or at once when it has passed; an earlier wish for the same key stands. */
  addAt(key: string, atMs: number): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const waiting = this.#delayed.get(key);
    if (waiting && waiting.atMs <= atMs) return;
    waiting?.cancel();
    this.#delayed.delete(key);
    const delay = atMs - clock.now();
    if (delay <= 0) {
      this.add(key);
      return;
    }
    const cancel = clock.after(delay, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { atMs, cancel });
  }

  /** Drops what waits and resolves when nothing is worked on any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    this.#ready.length = 0;
    if (this.#processing.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #dispatch(): void {
    while (!this.#stopped && this.#processing.size < this.#options.workers) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      this.#dirty.delete(key);
      this.#processing.set(key, this.#options.clock.now());
      void this.#process(key);
    }
  }

  async #process(key: string): Promise<void> {
    try {
      // Work that finds nothing to do never waits for an answer: a thousand keys of it in a row would keep everything else
      // from happening, the renewal of the lease among it.
      await this.#options.clock.turn();
      await this.#options.work(key);
      this.#retries.delete(key);
    } catch (error) {
      const retries = this.#retries.get(key) ?? 0;
      this.#retries.set(key, retries + 1);
      this.#options.onError(key, error, retries);
      this.addAt(key, this.#options.clock.now() + this.#rateLimit(retries));
    }
    this.#processing.delete(key);
    if (this.#dirty.has(key) && !this.#stopped) this.#ready.push(key);
    if (this.#stopped && this.#processing.size === 0) for (const resolve of this.#idle) resolve();
    this.#dispatch();
  }

  #rateLimit(retries: number): number {
    const own = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(retries, 30));
    const now = this.#options.clock.now();
    this.#tokens = Math.min(BUCKET_SIZE, this.#tokens + (now - this.#tokensAtMs) * BUCKET_PER_MS) - 1;
    this.#tokensAtMs = now;
    const overall = this.#tokens >= 0 ? 0 : -this.#tokens / BUCKET_PER_MS;
    return Math.max(own, overall);
  }
}
