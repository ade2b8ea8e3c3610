import { Counter } from '../pipeline/counters.ts';
import type { LeaseQueue } from '../pipeline/lease-queue.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import { Verdict } from '../pipeline/verdict.ts';
import { BusyTime } from './busy-time.ts';
import { monotonicMs } from './clock.ts';
import type { DirtyRecords } from './dirty-records.ts';
import { LeaseSchedule } from './lease-schedule.ts';
import type { PacketLog } from './packet-log.ts';
import type { SharedState } from './shared-state.ts';

/** Where a loop's answers to single datagrams go: copied at once, sent with the next flush at the latest. */
export interface ReplySink {
  reply(bytes: Uint8Array, length: number, address: Int32Array, base: number, nowMs: number): void;
  flush(nowMs: number): void;
}

/** Where a loop sends packets that are not of its batch. */
export interface PacketSink extends ReplySink {
  /** Sends on `pipeline.held`, for which the pipeline has just said Forward; its bytes stay as they are until the flush. */
  forwardHeld(nowMs: number): void;
}

export interface WorkerParts {
  readonly index: number;
  readonly pipeline: Pipeline;
  readonly leases: LeaseQueue;
  readonly state: SharedState;
  /** Undefined without a state file. */
  readonly records: DirtyRecords | undefined;
  /** Undefined unless lines at level debug are wanted. */
  readonly log: PacketLog | undefined;
  /** Reads what the main thread sent. */
  readonly mail: (nowMs: number) => void;
  /** The mapped address of a STUN answer, six words. */
  readonly stunAnswered: (mapped: Int32Array) => void;
}

/** What a worker does beside receiving and forwarding, the same for every kind of socket. */
export class WorkerDuties {
  readonly #parts: WorkerParts;
  readonly #schedule: LeaseSchedule;
  readonly #busy: BusyTime;
  #nextTickMs = 0;
  #nextSecondMs = 0;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    this.#schedule = new LeaseSchedule(monotonicMs());
    this.#busy = new BusyTime(monotonicMs());
  }

  /** Whether something waits for the worker's next turn, so that it must not sleep for a packet. */
  get pressing(): boolean {
    return this.#parts.leases.size > 0 || (this.#parts.records?.waiting ?? 0) > 0;
  }

  /** How long the loop has just waited for datagrams. */
  slept(elapsedMs: number): void {
    this.#busy.slept(elapsedMs);
  }

  /** All verdicts but Forward, for the datagram that the pipeline has just judged. */
  settle(
    verdict: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    nowMs: number,
    replies: ReplySink,
  ): void {
    const { pipeline, leases, log } = this.#parts;
    switch (verdict) {
      case Verdict.Reply:
        replies.reply(pipeline.reply, pipeline.replyLength, source, 0, nowMs);
        log?.refused(pipeline.dropReason, source, 0);
        return;
      case Verdict.Lease:
        if (leases.push(bytes, offset, length, source, 0, pipeline.knownSession)) return;
        pipeline.queueFull();
        log?.refused(Counter.backpressure_dropped_packets, source, 0);
        return;
      case Verdict.Stun:
        this.#parts.stunAnswered(pipeline.stunMapped);
        return;
      default:
        log?.refused(pipeline.dropReason, source, 0);
    }
  }

  /** Once a turn, after its sends. `idle`: no datagram came in this turn. */
  afterSends(idle: boolean, nowMs: number, sink: PacketSink): void {
    const { leases, records, state, index } = this.#parts;
    // First: a lease that Master signed after the registration must meet the key that the registration brought.
    if (state.takeMail(index)) this.#parts.mail(nowMs);
    if (leases.size > 0) this.#verify(idle, nowMs, sink);
    if (nowMs >= this.#nextTickMs) this.#tick(nowMs, sink);
    records?.publish(nowMs);
  }

  /** After the last turn: what still waits gets into the books, and into the state file what that has not been told yet. */
  end(nowMs: number): void {
    this.#parts.pipeline.end();
    this.#parts.records?.publish(nowMs);
  }

  #verify(idle: boolean, nowMs: number, sink: PacketSink): void {
    const { leases, pipeline, log, state, index } = this.#parts;
    let allowance = this.#schedule.allowance(idle, nowMs);
    if (allowance === 0) return;
    const startedMs = monotonicMs();
    const wallMs = Date.now();
    for (; allowance > 0 && leases.shift(); allowance--) {
      const { bytes, offset, length, sources, sourceBase } = leases;
      const verdict = pipeline.present(bytes, offset, length, sources, sourceBase, startedMs, wallMs);
      if (verdict === Verdict.Reply) {
        sink.reply(pipeline.reply, pipeline.replyLength, sources, sourceBase, startedMs);
      }
      log?.refused(pipeline.dropReason, sources, sourceBase);
      this.#followUp(startedMs, sink);
    }
    // The last one's place is free only after the next shift.
    if (leases.size === 0) leases.shift();
    sink.flush(startedMs);
    state.setActiveSessions(index, pipeline.activeSessions);
    const elapsedMs = monotonicMs() - startedMs;
    this.#schedule.spent(elapsedMs, idle);
    if (idle) this.#busy.spared(elapsedMs);
  }

  /** The FORWARDs that the lease just judged had held up. */
  #followUp(nowMs: number, sink: PacketSink): void {
    const { pipeline, log } = this.#parts;
    for (;;) {
      const verdict = pipeline.takeHeld(nowMs);
      if (verdict === Verdict.Held) return;
      if (verdict === Verdict.Forward) sink.forwardHeld(nowMs);
      else log?.refused(pipeline.dropReason, pipeline.held.sources, pipeline.held.sourceBase);
    }
  }

  #tick(nowMs: number, replies: ReplySink): void {
    const { pipeline, state, index, log } = this.#parts;
    this.#nextTickMs = nowMs + TICK_MS;
    const wallMs = Date.now();
    pipeline.sweep(nowMs, wallMs);
    while (pipeline.takeDue(nowMs, wallMs) === Verdict.Reply) {
      replies.reply(
        pipeline.reply,
        pipeline.replyLength,
        pipeline.destinations,
        pipeline.destinationBase,
        nowMs,
      );
    }
    replies.flush(nowMs);
    state.setActiveSessions(index, pipeline.activeSessions);
    state.setBusy(index, this.#busy.totalMs(nowMs, threadCpuMs()), nowMs);
    if (nowMs < this.#nextSecondMs) return;
    this.#nextSecondMs = nowMs + 1000;
    log?.refill();
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const TICK_MS = 100;
