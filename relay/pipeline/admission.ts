import { Counter } from './counters.ts';

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

/** From a drain's start so long, and for leases issued up to so long after it, new sessions are admitted (design-relay 6). */
const DRAIN_ADMITS_MS = 10_000;
const DRAIN_ADMITS_ISSUED_MS = 5000;

/**
 * Takes a place for a new session, or says by which counter it is refused; -1 when the place is taken. Capacity is asked
 * before overload, so that a full relay does not pass for a busy one; a late lease of a drain before both, since that says
 * nothing about either. A lease without `iat_rfc3339` can't be too late.
 */
export function admissionRefusal(
  admission: Admission,
  issuedAtMs: number | undefined,
  nowMs: number,
): number {
  const drainWallMs = admission.drainStartedWallMs();
  if (drainWallMs !== undefined) {
    const inTime = nowMs - admission.drainStartedMs() < DRAIN_ADMITS_MS;
    const handedOutBefore = issuedAtMs === undefined || issuedAtMs <= drainWallMs + DRAIN_ADMITS_ISSUED_MS;
    if (!inTime || !handedOutBefore) return Counter.drain_refused_packets;
  }
  if (!admission.tryHold()) return Counter.session_full_rejects;
  if (!admission.shedding()) return -1;
  admission.release();
  return Counter.overload_shed_packets;
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
