import type { SessionJournal } from '../pipeline/pipeline.ts';
import { RECORD_BYTES } from '../session/record.ts';

/**
 * Session records on their way from the workers to the state file, in shared memory (design-relay 6): a worker never waits
 * for the disk, nor for the thread that writes to it.
 *
 * Each worker has a record for each slot of its session table, a lock word for it, and a ring of the slots whose record
 * is new. A slot is in the ring at most once, so the ring never overflows. A lock is only ever tried: who finds it taken
 * comes back (a seqlock would need fences that JavaScript doesn't have on arm64).
 */

/** Writes the record of the session in a slot; false when the slot holds none (Pipeline.writeRecord). */
export type EncodeRecord = (
  slot: number,
  out: Uint8Array,
  offset: number,
  nowMs: number,
  wallMs: number,
) => boolean;

/** The worker's side: a {@link SessionJournal} that acts at the end of a turn. */
export class DirtyRecords implements SessionJournal {
  readonly #slots: Slots;
  readonly #encode: EncodeRecord;
  /** What each slot waits for; those that wait are listed in `#waiting`. */
  readonly #pending: Uint8Array;
  readonly #waiting: Int32Array;
  #count = 0;

  constructor(buffer: SharedArrayBuffer, worker: number, capacity: number, encode: EncodeRecord) {
    this.#slots = new Slots(buffer, worker, capacity);
    this.#encode = encode;
    this.#pending = new Uint8Array(capacity);
    this.#waiting = new Int32Array(capacity);
  }

  dirty(slot: number): void {
    this.#mark(slot, CHANGED);
  }

  removed(slot: number): void {
    this.#mark(slot, REMOVED);
  }

  /** How many records wait to be published: 0 after a `publish`, unless the main thread was just reading one. */
  get waiting(): number {
    return this.#count;
  }

  /** Copies out what was marked since the last call. To be called once a turn, after the sends. */
  publish(nowMs: number): void {
    const count = this.#count;
    if (count === 0) return;
    const wallMs = Date.now();
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const slot = this.#waiting[i]!;
      if (this.#slots.tryLock(slot)) {
        const present =
          this.#pending[slot] === CHANGED &&
          this.#encode(slot, this.#slots.bytes, this.#slots.recordOffset(slot), nowMs, wallMs);
        this.#pending[slot] = NOTHING;
        this.#slots.setPresent(slot, present);
        this.#slots.unlock(slot);
        this.#slots.queue(slot);
      } else {
        this.#waiting[kept++] = slot;
      }
    }
    this.#count = kept;
  }

  #mark(slot: number, what: number): void {
    if (this.#pending[slot] === NOTHING) this.#waiting[this.#count++] = slot;
    this.#pending[slot] = what;
  }
}

/** The main thread's side, over the records of all workers. */
export class DirtyRecordsReader {
  readonly #workers: readonly Slots[];
  readonly #record = new Uint8Array(RECORD_BYTES);
  /** Slots whose worker was just writing. */
  readonly #postponed: Set<number>[];

  constructor(buffer: SharedArrayBuffer, workers: number, capacity: number) {
    this.#workers = Array.from({ length: workers }, (_, worker) => new Slots(buffer, worker, capacity));
    this.#postponed = this.#workers.map(() => new Set());
  }

  static allocate(workers: number, capacity: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * workerBytes(capacity));
  }

  /** See Datapath.takeDirty. */
  take(visit: (worker: number, slot: number, record: Uint8Array | undefined) => void): number {
    let visited = 0;
    for (const [worker, slots] of this.#workers.entries()) {
      const postponed = this.#postponed[worker]!;
      for (let slot = slots.next(); slot >= 0; slot = slots.next()) postponed.add(slot);
      for (const slot of postponed) {
        if (!slots.tryLock(slot)) continue;
        postponed.delete(slot);
        const present = slots.present(slot);
        const start = slots.recordOffset(slot);
        if (present) this.#record.set(slots.bytes.subarray(start, start + RECORD_BYTES));
        slots.unlock(slot);
        visit(worker, slot, present ? this.#record : undefined);
        visited++;
      }
    }
    return visited;
  }
}

const NOTHING = 0;
const CHANGED = 1;
const REMOVED = 2;

const LINE = 128;
const HEAD = 0;
const TAIL: number = LINE / 4;

/**
 * One worker's part: head and tail (a line each), then int32 columns of `capacity`: lock, present, queued; the ring, a
 * power of two; the records.
 */
class Slots {
  readonly bytes: Uint8Array;
  readonly #ints: Int32Array;
  readonly #start: number;
  readonly #capacity: number;
  readonly #ringSize: number;
  readonly #records: number;

  constructor(buffer: SharedArrayBuffer, worker: number, capacity: number) {
    this.bytes = new Uint8Array(buffer);
    this.#ints = new Int32Array(buffer);
    this.#start = (worker * workerBytes(capacity)) / 4;
    this.#capacity = capacity;
    this.#ringSize = ringSize(capacity);
    this.#records = (this.#ring + this.#ringSize) * 4;
  }

  tryLock(slot: number): boolean {
    return Atomics.compareExchange(this.#ints, this.#lock + slot, 0, 1) === 0;
  }
  unlock(slot: number): void {
    Atomics.store(this.#ints, this.#lock + slot, 0);
  }

  /** Only under the lock. */
  present(slot: number): boolean {
    return this.#ints[this.#lock + this.#capacity + slot] === 1;
  }
  setPresent(slot: number, present: boolean): void {
    this.#ints[this.#lock + this.#capacity + slot] = present ? 1 : 0;
  }
  recordOffset(slot: number): number {
    return this.#records + slot * RECORD_BYTES;
  }

  /** Worker: puts the slot into the ring unless it is there already. */
  queue(slot: number): void {
    if (Atomics.exchange(this.#ints, this.#queued + slot, 1) === 1) return;
    const tail = this.#ints[this.#start + TAIL]!;
    this.#ints[this.#ring + (tail & (this.#ringSize - 1))] = slot;
    Atomics.store(this.#ints, this.#start + TAIL, (tail + 1) | 0);
  }

  /** Main thread: the next slot of the ring, which from now on may be put there again; -1 when there is none. */
  next(): number {
    const head = this.#ints[this.#start + HEAD]!;
    if (head === Atomics.load(this.#ints, this.#start + TAIL)) return -1;
    const slot = this.#ints[this.#ring + (head & (this.#ringSize - 1))]!;
    Atomics.store(this.#ints, this.#start + HEAD, (head + 1) | 0);
    Atomics.store(this.#ints, this.#queued + slot, 0);
    return slot;
  }

  get #lock(): number {
    return this.#start + (2 * LINE) / 4;
  }
  get #queued(): number {
    return this.#lock + 2 * this.#capacity;
  }
  get #ring(): number {
    return this.#lock + 3 * this.#capacity;
  }
}

function ringSize(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, capacity)));
}

function workerBytes(capacity: number): number {
  const bytes = 2 * LINE + 3 * 4 * capacity + 4 * ringSize(capacity) + RECORD_BYTES * capacity;
  return Math.ceil(bytes / LINE) * LINE;
}
