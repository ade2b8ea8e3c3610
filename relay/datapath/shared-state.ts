import { ADMISSION_FLOATS, ADMISSION_WORDS, SharedAdmission } from '../pipeline/admission.ts';
import { COUNTER_CELLS } from '../pipeline/counters.ts';

/**
 * What the threads share, in one SharedArrayBuffer (design-relay 1).
 *
 * Each cell has one writer, but for the mail words and the count of held sessions. Cells of different writers are 128 bytes or more apart
 * (two cache lines: x64 fetches them in pairs). The main thread's cells come first, then a block for each worker:
 *   main    stop, mail of each worker (int32) | admission (pipeline/admission.ts)
 *   worker  heartbeat, active sessions (int32), busy ms and monotonic ms when that was read (float64) | counters
 */

const LINE = 128;
const MAX_WORKERS = 64;

const STOP = 0;
const MAIL = 1;
const ADMISSION_INTS = roundUp((MAIL + MAX_WORKERS) * 4, LINE);
const ADMISSION_DOUBLES = ADMISSION_INTS + roundUp(ADMISSION_WORDS * 4, 8);
const MAIN_BYTES = ADMISSION_INTS + 2 * LINE;

const HEARTBEAT = 0;
const ACTIVE = 4;
const BUSY = 8;
const COUNTERS = LINE;
const WORKER_BYTES = COUNTERS + roundUp(COUNTER_CELLS * 8, LINE) + LINE;

export class SharedState {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;

  constructor(buffer: SharedArrayBuffer, workers: number) {
    this.buffer = buffer;
    this.workers = workers;
    this.#ints = new Int32Array(buffer);
    this.#floats = new Float64Array(buffer);
  }

  static allocate(workers: number): SharedState {
    if (workers > MAX_WORKERS) throw new RangeError(`at most ${MAX_WORKERS} workers`);
    return new SharedState(new SharedArrayBuffer(MAIN_BYTES + workers * WORKER_BYTES), workers);
  }

  /** The worker's own block of COUNTER_CELLS. */
  counters(worker: number): Float64Array {
    return new Float64Array(this.buffer, this.#block(worker) + COUNTERS, COUNTER_CELLS);
  }

  stop(): void {
    Atomics.store(this.#ints, STOP, 1);
  }
  /** A plain load, as are the other flags that a worker looks at every turn: a system call lies between any two of them. */
  stopping(): boolean {
    return this.#ints[STOP] === 1;
  }

  admission(maxSessions: number, shedThresholdPct: number): SharedAdmission {
    return new SharedAdmission(
      new Int32Array(this.buffer, ADMISSION_INTS, ADMISSION_WORDS),
      new Float64Array(this.buffer, ADMISSION_DOUBLES, ADMISSION_FLOATS),
      maxSessions,
      shedThresholdPct,
    );
  }

  /** Tells a worker that messages wait on its port, which it can't notice by itself while it sits in a system call. */
  announceMail(worker: number): void {
    Atomics.store(this.#ints, MAIL + worker, 1);
  }
  /** Whether mail was announced since the last call. */
  takeMail(worker: number): boolean {
    return this.#ints[MAIL + worker] === 1 && Atomics.exchange(this.#ints, MAIL + worker, 0) === 1;
  }

  beat(worker: number): void {
    this.#ints[(this.#block(worker) + HEARTBEAT) >> 2]!++;
  }
  heartbeat(worker: number): number {
    return Atomics.load(this.#ints, (this.#block(worker) + HEARTBEAT) >> 2);
  }

  setActiveSessions(worker: number, sessions: number): void {
    this.#ints[(this.#block(worker) + ACTIVE) >> 2] = sessions;
  }
  activeSessions(worker: number): number {
    return Atomics.load(this.#ints, (this.#block(worker) + ACTIVE) >> 2);
  }

  /** Milliseconds so far in which the worker was busy, and the monotonic time at which that was read. */
  setBusy(worker: number, busyMs: number, atMs: number): void {
    const at = (this.#block(worker) + BUSY) >> 3;
    this.#floats[at] = busyMs;
    this.#floats[at + 1] = atMs;
  }
  busyMs(worker: number): number {
    return this.#floats[(this.#block(worker) + BUSY) >> 3]!;
  }
  busyReadMs(worker: number): number {
    return this.#floats[((this.#block(worker) + BUSY) >> 3) + 1]!;
  }

  #block(worker: number): number {
    return MAIN_BYTES + worker * WORKER_BYTES;
  }
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}
