/**
 * Whether there is room for another session; shared over the workers. Asked for a new session with a good lease only
 * (design-relay 4, "Overload"): sessions that exist, and second peers of waiting ones, are never refused.
 */
export interface Admission {
  /** Takes one of the places for sessions, or says false when all are held. */
  tryHold(): boolean;
  /** Gives a place back. */
  release(): void;
  /** At or over the shed threshold. Asked after {@link tryHold}: the place taken by it does not count. */
  shedding(): boolean;
  /** Unix milliseconds; undefined when not draining. */
  drainStartedWallMs(): number | undefined;
  /** Monotonic milliseconds of the same moment. */
  drainStartedMs(): number;
}

/** 32-bit words and 64-bit floats of shared memory that {@link SharedAdmission} lives in. */
export const ADMISSION_WORDS = 2;
export const ADMISSION_FLOATS = 2;

const HELD = 0;
const SHED = 1;
const DRAIN_MS = 0;
const DRAIN_WALL_MS = 1;

/** Admission over memory that all threads see; the held count is exact, the rest takes effect within moments. */
export class SharedAdmission implements Admission {
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #maxSessions: number;
  readonly #shedFrom: number;

  /** Zeroed memory is a relay without sessions that neither sheds nor drains. */
  constructor(words: Int32Array, floats: Float64Array, maxSessions: number, shedThresholdPct: number) {
    this.#words = words;
    this.#floats = floats;
    this.#maxSessions = maxSessions;
    this.#shedFrom = (maxSessions * shedThresholdPct) / 100;
  }

  get held(): number {
    return Atomics.load(this.#words, HELD);
  }

  tryHold(): boolean {
    if (Atomics.add(this.#words, HELD, 1) < this.#maxSessions) return true;
    Atomics.sub(this.#words, HELD, 1);
    return false;
  }

  release(): void {
    Atomics.sub(this.#words, HELD, 1);
  }

  shedding(): boolean {
    return Atomics.load(this.#words, SHED) !== 0 || this.held - 1 >= this.#shedFrom;
  }

  /** For the reasons that the main thread judges: throughput and busy time. */
  setShedding(on: boolean): void {
    Atomics.store(this.#words, SHED, on ? 1 : 0);
  }

  drainStartedWallMs(): number | undefined {
    const wallMs = this.#floats[DRAIN_WALL_MS]!;
    return wallMs === 0 ? undefined : wallMs;
  }

  drainStartedMs(): number {
    return this.#floats[DRAIN_MS]!;
  }

  /** `undefined` ends a drain. */
  setDraining(startedMs: number | undefined, startedWallMs: number): void {
    if (startedMs !== undefined) this.#floats[DRAIN_MS] = startedMs;
    this.#floats[DRAIN_WALL_MS] = startedMs === undefined ? 0 : startedWallMs;
  }
}
