/** For so long after a drain's start, leases that Master gave out before it heard are honoured (design-relay 6). */
export const DRAIN_GRACE_MS = 10_000;

export interface DrainStart {
  /** Monotonic milliseconds. */
  readonly nowMs: number;
  /** Unix milliseconds. */
  readonly wallMs: number;
}

export interface DrainFacts {
  /** Waiting and active. */
  readonly heldSessions: number;
  /** Whether Master may have handed out sessions of this process. */
  readonly everRegistered: boolean;
}

export type DrainEnd = 'drained' | 'timed out' | 'second signal';

/**
 * Serving or draining, and when to end (design-relay 6). Pure: time and facts come in.
 *
 * A drain starts by a wish (the file `draining`), which can be taken back, or by a signal, which can't, and after which the
 * process ends: when it is empty, or `timeoutMs` after the drain started, whichever of the two started it; a second signal
 * ends it at once.
 */
export class Drain {
  readonly #timeoutMs: number;
  #start: DrainStart | undefined;
  #wished = false;
  #signals = 0;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** When the drain that is going on started. */
  get start(): DrainStart | undefined {
    return this.#start;
  }

  get draining(): boolean {
    return this.#start !== undefined;
  }

  /** A signal has come, so there is no way back. */
  get ending(): boolean {
    return this.#signals > 0;
  }

  wish(draining: boolean, now: DrainStart): void {
    this.#wished = draining;
    this.#update(now);
  }

  signal(now: DrainStart): void {
    this.#signals++;
    this.#update(now);
  }

  /** Draining with no session held and none to come. */
  isEmpty(nowMs: number, { heldSessions, everRegistered }: DrainFacts): boolean {
    if (!this.#start || heldSessions > 0) return false;
    return !everRegistered || nowMs >= this.#start.nowMs + DRAIN_GRACE_MS;
  }

  /** Why the process has to end now; undefined: it has not. */
  end(nowMs: number, facts: DrainFacts): DrainEnd | undefined {
    if (this.#signals > 1) return 'second signal';
    if (this.#signals === 0 || !this.#start) return undefined;
    if (this.isEmpty(nowMs, facts)) return 'drained';
    return nowMs >= this.#start.nowMs + this.#timeoutMs ? 'timed out' : undefined;
  }

  #update(now: DrainStart): void {
    if (this.#wished || this.#signals > 0) this.#start ??= now;
    else this.#start = undefined;
  }
}
