import { ADDRESS_WORDS } from '../protocol/address.ts';
import { MAX_DATAGRAM } from '../protocol/header.ts';
import { addressOf, type Libc } from './libc.ts';
import { allocateShared, splitAddress } from './native-block.ts';

/**
 * Rings by which a worker passes on a datagram of a session that is another worker's (design-relay 1): the kernel gives a
 * coalesced buffer whole to the worker of its first datagram, and it may hold other sessions of the same source address.
 *
 * One single-producer single-consumer ring of 256 slots for each ordered pair of workers, in shared memory. A slot is
 * 1536 bytes: length, the source's six words, then the datagram at byte 32. `head` counts what was taken and is written by
 * the consumer, `tail` what was put and is written by the producer; both wrap.
 */
export class HandOver {
  readonly #libc: Libc;
  readonly #worker: number;
  readonly #workers: number;
  readonly #ints: Int32Array;
  readonly #address: number;
  /** What `datagram` points into: pass it with `offset` to the pipeline, and `low + offset`, `high` to the kernel. */
  readonly bytes: Uint8Array;
  readonly low: number;
  readonly high: number;

  constructor(libc: Libc, buffer: SharedArrayBuffer, worker: number, workers: number) {
    this.#libc = libc;
    this.#worker = worker;
    this.#workers = workers;
    this.bytes = new Uint8Array(buffer);
    this.#ints = new Int32Array(buffer);
    this.#address = addressOf(buffer);
    const { low, high } = splitAddress(this.#address);
    this.low = low;
    this.high = high;
  }

  /** For two workers or more. */
  static allocate(workers: number): SharedArrayBuffer {
    return allocateShared(workers * workers * RING_BYTES);
  }

  /** Copies the datagram (at most 1500 bytes, at native address `from`) for worker `to`: a {@link Pushed}. */
  push(to: number, from: number, length: number, source: Int32Array, base: number): Pushed {
    if (length > MAX_DATAGRAM) throw new RangeError(`a datagram of ${length} bytes is handed to nobody`);
    const ring = this.#ring(this.#worker, to);
    const tail = this.#ints[(ring + TAIL) >> 2]!;
    if (((tail - Atomics.load(this.#ints, (ring + HEAD) >> 2)) | 0) === SLOTS) return Pushed.Full;
    const slot = ring + FIRST_SLOT + (tail & (SLOTS - 1)) * SLOT_BYTES;
    this.#ints[slot >> 2] = length;
    for (let i = 0; i < ADDRESS_WORDS; i++) this.#ints[(slot >> 2) + 1 + i] = source[base + i]!;
    this.#libc.memcpy(this.#address + slot + DATAGRAM, from, length);
    Atomics.store(this.#ints, (ring + TAIL) >> 2, (tail + 1) | 0);
    // Read after the store: either this sees that the consumer had caught up, or the consumer sees the new tail.
    const behind = (tail - Atomics.load(this.#ints, (ring + HEAD) >> 2)) | 0;
    return behind === 0 ? Pushed.First : Pushed.Behind;
  }

  /** How many datagrams from worker `from` wait. */
  waiting(from: number): number {
    const ring = this.#ring(from, this.#worker);
    return (Atomics.load(this.#ints, (ring + TAIL) >> 2) - this.#ints[(ring + HEAD) >> 2]!) | 0;
  }

  /** Byte offset in `bytes` of the n-th waiting datagram from worker `from`. */
  offset(from: number, n: number): number {
    return this.#slot(from, n) + DATAGRAM;
  }
  length(from: number, n: number): number {
    return this.#ints[this.#slot(from, n) >> 2]!;
  }
  source(from: number, n: number, address: Int32Array, base: number): void {
    const at = (this.#slot(from, n) >> 2) + 1;
    for (let i = 0; i < ADDRESS_WORDS; i++) address[base + i] = this.#ints[at + i]!;
  }

  /** Frees the slots of the first `count` waiting datagrams: nothing may point to them any more. */
  release(from: number, count: number): void {
    const head = (this.#ring(from, this.#worker) + HEAD) >> 2;
    Atomics.store(this.#ints, head, (this.#ints[head]! + count) | 0);
  }

  get worker(): number {
    return this.#worker;
  }
  get workers(): number {
    return this.#workers;
  }

  #ring(from: number, to: number): number {
    return (from * this.#workers + to) * RING_BYTES;
  }

  #slot(from: number, n: number): number {
    const ring = this.#ring(from, this.#worker);
    const position = (this.#ints[(ring + HEAD) >> 2]! + n) & (SLOTS - 1);
    return ring + FIRST_SLOT + position * SLOT_BYTES;
  }
}

/** First: the consumer had nothing from this producer and may be asleep. Behind: it still has to come for earlier ones. */
export const Pushed = { Full: 0, First: 1, Behind: 2 } as const;
export type Pushed = (typeof Pushed)[keyof typeof Pushed];

const SLOTS = 256;
const SLOT_BYTES = 1536;
const DATAGRAM = 32;
const HEAD = 0;
const TAIL = 128;
const FIRST_SLOT = 256;
const RING_BYTES: number = FIRST_SLOT + SLOTS * SLOT_BYTES;
