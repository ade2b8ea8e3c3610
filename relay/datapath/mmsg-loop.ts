import { Counter } from '../pipeline/counters.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { Verdict } from '../pipeline/verdict.ts';
import { ADDRESS_WORDS } from '../protocol/address.ts';
import { MAX_DATAGRAM, MIN_DATAGRAM } from '../protocol/header.ts';
import { monotonicMs } from './clock.ts';
import { Pushed, type HandOver } from './hand-over.ts';
import { EAGAIN, EINTR, MSG_DONTWAIT, MSG_WAITFORONE, type Libc } from './libc.ts';
import type { NativeBlock } from './native-block.ts';
import { NUDGE_BYTES, type Nudge } from './nudge.ts';
import { INVALID, type ReceiveBatch } from './receive.ts';
import type { SharedState } from './shared-state.ts';
import { workerOf } from './steering.ts';
import type { Trains } from './trains.ts';
import type { PacketSink, WorkerDuties } from './worker-duties.ts';

export interface MmsgLoopParts {
  readonly libc: Libc;
  readonly index: number;
  readonly pipeline: Pipeline;
  readonly counters: Float64Array;
  readonly state: SharedState;
  readonly duties: WorkerDuties;
  readonly batch: ReceiveBatch;
  readonly trains: Trains;
  /** The memory of the pipeline's held datagrams. */
  readonly held: NativeBlock;
  /** Undefined when there is one worker. */
  readonly others: { readonly handOver: HandOver; readonly nudge: Nudge } | undefined;
}

/** One worker's life: recvmmsg, the pipeline for each datagram, sendmmsg, until the main thread says stop (design-relay 2). */
export class MmsgLoop implements PacketSink {
  readonly #libc: Libc;
  readonly #index: number;
  readonly #pipeline: Pipeline;
  readonly #counters: Float64Array;
  readonly #state: SharedState;
  readonly #duties: WorkerDuties;
  readonly #batch: ReceiveBatch;
  readonly #trains: Trains;
  readonly #held: NativeBlock;
  readonly #handOver: HandOver | undefined;
  readonly #nudge: Nudge | undefined;
  readonly #workers: number;
  readonly #source = new Int32Array(ADDRESS_WORDS);
  #moreMayWait = false;
  #failures = 0;
  #moves = 0;

  constructor(parts: MmsgLoopParts) {
    this.#libc = parts.libc;
    this.#index = parts.index;
    this.#pipeline = parts.pipeline;
    this.#counters = parts.counters;
    this.#state = parts.state;
    this.#duties = parts.duties;
    this.#batch = parts.batch;
    this.#trains = parts.trains;
    this.#held = parts.held;
    this.#handOver = parts.others?.handOver;
    this.#nudge = parts.others?.nudge;
    this.#workers = parts.others?.handOver.workers ?? 1;
  }

  run(): void {
    while (this.turn());
    this.#duties.end(monotonicMs());
  }

  /** False once the stop flag is set. Sleeps for a datagram for 100 ms at most. */
  turn(): boolean {
    this.#state.beat(this.#index);
    const pressing = this.#duties.pressing || (this.#workers > 1 && this.#handedOverWaits());
    // After a full batch a look first: a call that may sleep and one that has much to copy take as long.
    const awake = pressing || this.#moreMayWait;
    const beforeMs = awake ? 0 : monotonicMs();
    const received = this.#batch.receive(awake ? MSG_DONTWAIT : MSG_WAITFORONE);
    // Checked first: after shutdown(SHUT_RD) recvmmsg returns empty messages that nobody sent (datapath-notes).
    if (this.#state.stopping()) return false;
    const nowMs = monotonicMs();
    if (!awake) this.#duties.slept(nowMs - beforeMs);
    this.#moreMayWait = this.#batch.isFull(received);
    if (received > 0) this.#takeBatch(received, nowMs);
    else this.#takeNothing(this.#libc.errno());
    if (this.#workers > 1) this.#takeHandedOver(nowMs);
    else this.#trains.flush(nowMs);
    this.#duties.afterSends(received <= 0, nowMs, this);
    return true;
  }

  reply(bytes: Uint8Array, length: number, address: Int32Array, base: number, nowMs: number): void {
    this.#trains.reply(bytes, length, address, base, nowMs);
  }

  forwardHeld(nowMs: number): void {
    const { offset, length } = this.#pipeline.held;
    this.#forward((this.#held.low + offset) | 0, this.#held.high, length, nowMs);
  }

  flush(nowMs: number): void {
    this.#trains.flush(nowMs);
  }

  #takeBatch(received: number, nowMs: number): void {
    const batch = this.#batch;
    const block = batch.block;
    const source = this.#source;
    for (let i = 0; i < received; i++) {
      const length = batch.length(i);
      const size = batch.segmentSize(i);
      if (size === INVALID) {
        this.#countInvalid(length);
        continue;
      }
      batch.source(i, source, 0);
      const start = batch.offset(i);
      const end = start + length;
      let at = start;
      do {
        const bytes = size < end - at ? size : end - at;
        if (this.#workers === 1 || this.#isMine(at, bytes)) {
          this.#judge(block.bytes, at, bytes, (block.low + at) | 0, block.high, nowMs);
        }
        at += size;
      } while (at < end);
    }
  }

  #judge(bytes: Uint8Array, offset: number, length: number, low: number, high: number, nowMs: number): void {
    const verdict = this.#pipeline.receive(bytes, offset, length, this.#source, 0, nowMs);
    if (verdict === Verdict.Forward) this.#forward(low, high, length, nowMs);
    else this.#duties.settle(verdict, bytes, offset, length, this.#source, nowMs, this.#trains);
  }

  /** The datagram that was judged just now. */
  #forward(low: number, high: number, length: number, nowMs: number): void {
    const pipeline = this.#pipeline;
    // A peer has moved to this datagram's source: trains towards its old address end here.
    if (this.#counters[Counter.nat_rebind_events] !== this.#moves) {
      this.#moves = this.#counters[Counter.nat_rebind_events]!;
      this.#trains.flush(nowMs);
    }
    this.#trains.add(
      pipeline.flow,
      low,
      high,
      length,
      pipeline.destinations,
      pipeline.destinationBase,
      nowMs,
    );
  }

  /** With several workers: false when the datagram was a nudge, or another worker's and given to it. */
  #isMine(at: number, length: number): boolean {
    const bytes = this.#batch.block.bytes;
    if (length < MIN_DATAGRAM || length > MAX_DATAGRAM) return true;
    if (length === NUDGE_BYTES && this.#nudge!.isNudge(bytes, at)) return false;
    const owner = workerOf(bytes, at, this.#workers);
    if (owner === this.#index) return true;
    const pushed = this.#handOver!.push(owner, this.#batch.block.address + at, length, this.#source, 0);
    if (pushed === Pushed.Full) this.#pipeline.handOverFull(1, length);
    else this.#counters[Counter.handed_over_packets]!++;
    if (pushed === Pushed.First) this.#nudge!.send(owner);
    return false;
  }

  #handedOverWaits(): boolean {
    for (let from = 0; from < this.#workers; from++) {
      if (from !== this.#index && this.#handOver!.waiting(from) > 0) return true;
    }
    return false;
  }

  /** Also sends what the batch left: a slot is free for its producer only after the kernel has read it. */
  #takeHandedOver(nowMs: number): void {
    const handOver = this.#handOver!;
    for (let from = 0; from < this.#workers; from++) {
      const count = from === this.#index ? 0 : handOver.waiting(from);
      if (count === 0) continue;
      for (let i = 0; i < count; i++) {
        const offset = handOver.offset(from, i);
        handOver.source(from, i, this.#source, 0);
        this.#judge(
          handOver.bytes,
          offset,
          handOver.length(from, i),
          (handOver.low + offset) | 0,
          handOver.high,
          nowMs,
        );
      }
      this.#trains.flush(nowMs);
      handOver.release(from, count);
    }
    this.#trains.flush(nowMs);
  }

  #takeNothing(errno: number): void {
    if (errno === EAGAIN || errno === EINTR) {
      this.#failures = 0;
    } else if (++this.#failures === MAX_FAILURES) {
      throw new Error(`recvmmsg failed ${MAX_FAILURES} times in a row, the last time with error ${errno}`);
    }
  }

  /** A buffer that was cut off or whose segments make no sense: one packet, whatever was in it. */
  #countInvalid(length: number): void {
    this.#counters[Counter.packets_rx]!++;
    this.#counters[Counter.bytes_rx]! += length;
    this.#counters[Counter.dropped_packets]!++;
    this.#counters[Counter.invalid_packets]!++;
  }
}

/** Not a passing shortage of memory any more: the worker dies, and the relay with it. */
const MAX_FAILURES = 100;
