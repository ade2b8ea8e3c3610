import {
  HeaderProblem,
  headerProblem,
  MessageType,
  SESSION_ID_OFFSET,
  TYPE_OFFSET,
} from '../protocol/header.ts';
import { relayKey, writeRecord } from '../session/record.ts';
import type { SessionTable } from '../session/table.ts';
import type { Admission } from './admission.ts';
import { Answer } from './answer.ts';
import { Books } from './books.ts';
import { CleanUp } from './clean-up.ts';
import { Counter } from './counters.ts';
import { ForbiddenAddresses } from './forbidden-addresses.ts';
import { ForwardPath } from './forward-path.ts';
import { HeldForwards } from './held-forwards.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { LeaseVerifier } from './lease-desk.ts';
import { RateLimits } from './rate-limits.ts';
import { RecordRefresh } from './record-refresh.ts';
import { describeSession, restoreSession } from './restoring.ts';
import { SessionPool } from './session-pool.ts';
import type { SessionJournal } from './session-pool.ts';
import { StunWait } from './stun-wait.ts';
import { Verdict } from './verdict.ts';

export type { LeaseVerifier } from './lease-desk.ts';
export type { SessionJournal } from './session-pool.ts';

/** Durations in milliseconds, rates per second. Structurally a part of Config. */
export interface PipelineLimits {
  readonly idleTimeoutMs: number;
  readonly leaseDurationMs: number;
  readonly cleanupIntervalMs: number;
  readonly renewOnTraffic: boolean;
  readonly rebindOnForward: 'port' | 'off';
  readonly ipRateLimitPps: number;
  readonly identityRateLimitPps: number;
}

export interface PipelineOptions {
  readonly relayId: string;
  /** Slots of this worker's table: no fewer than sessions may be held at all, as all may fall to one worker. */
  readonly sessionCapacity: number;
  readonly limits: PipelineLimits;
  /** COUNTER_CELLS cells that only this pipeline writes. */
  readonly counters: Float64Array;
  /** Four random words: the key of all hashes. */
  readonly seed: Uint32Array;
  readonly admission: Admission;
  readonly journal: SessionJournal | undefined;
  readonly verify: LeaseVerifier;
  readonly insecure: boolean;
  /** HELD_BYTES for datagrams that wait; what takeHeld gives lies there. */
  readonly heldBytes: Uint8Array;
  readonly nowMs: number;
  readonly wallMs: number;
}

/**
 * One datagram in, one verdict out. `nowMs` is monotonic milliseconds and never goes back from call to call; `wallMs` is Unix
 * milliseconds: it judges claims, fills LEASE_ACK and stamps records, and ends no session.
 */
export class Pipeline {
  /** After Verdict.Forward (of receive and takeHeld), and after takeDue: the address to send to is the six words at `destinationBase`. */
  readonly destinations: Int32Array;
  destinationBase = 0;
  /** After Verdict.Reply, and after takeDue: what to send. */
  readonly reply: Uint8Array;
  /** After Verdict.Stun: six address words. */
  readonly stunMapped: Int32Array;
  /** After takeHeld: the datagram and its source. */
  readonly held: HeldForwards;

  readonly #table: SessionTable;
  readonly #pool: SessionPool;
  readonly #books: Books;
  readonly #forbidden: ForbiddenAddresses;
  readonly #answer: Answer;
  readonly #forwards: ForwardPath;
  readonly #leases: LeaseDesk;
  readonly #cleanUp: CleanUp;
  readonly #refresh: RecordRefresh;
  readonly #stun: StunWait;
  readonly #options: PipelineOptions;
  readonly #relayKey: Uint8Array;
  #wallAheadMs: number;

  constructor(options: PipelineOptions) {
    const { seed, admission, journal, limits } = options;
    this.#options = options;
    this.#books = new Books(options.counters);
    this.#pool = new SessionPool(options.sessionCapacity, seed, admission, journal);
    this.#table = this.#pool.table;
    this.#forbidden = new ForbiddenAddresses();
    this.#answer = new Answer();
    const rates = new RateLimits(seed, limits.ipRateLimitPps, limits.identityRateLimitPps);
    this.held = new HeldForwards(options.heldBytes, this.#table);
    this.#forwards = new ForwardPath(this.#pool, this.#books, rates, this.#forbidden, this.held, limits);
    this.#leases = new LeaseDesk(this.#pool, this.#books, rates, this.#forbidden, admission, this.#answer, {
      verify: options.verify,
      insecure: options.insecure,
      leaseDurationMs: limits.leaseDurationMs,
    });
    this.#cleanUp = new CleanUp(this.#pool, this.#books, limits, options.nowMs);
    this.#refresh = new RecordRefresh(this.#pool, limits.leaseDurationMs, options.nowMs, options.wallMs);
    this.#stun = new StunWait();
    this.#relayKey = relayKey(options.relayId);
    this.#wallAheadMs = options.wallMs - options.nowMs;
    this.destinations = this.#table.words;
    this.reply = this.#answer.bytes;
    this.stunMapped = this.#stun.mapped;
  }

  /** After Verdict.Forward: session slot * 2 + role of the sender, the key for building trains. */
  get flow(): number {
    return this.#forwards.flow;
  }

  get replyLength(): number {
    return this.#answer.length;
  }

  /** After Verdict.Lease: its session exists, so the queue's reserved half is open to it. */
  get knownSession(): boolean {
    return this.#leases.knownSession;
  }

  /** Why the latest datagram was dropped or rejected (the index in Counter of its primary reason), or -1 when it was not. */
  get dropReason(): number {
    return this.#books.dropReason;
  }

  /** Sessions with two peers; those that expired count until they are cleaned up. */
  get activeSessions(): number {
    return this.#pool.activeSessions;
  }

  /** Waiting and active. */
  get heldSessions(): number {
    return this.#table.size;
  }

  /**
   * One datagram of `length` bytes (0 included) at `offset`, from the address words at `sourceBase`. Counts it. Nothing of
   * `bytes` or `source` is kept, but a copy of what is Held. Never throws.
   */
  receive(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): Verdict {
    const books = this.#books;
    books.dropReason = -1;
    books.count(Counter.packets_rx);
    books.add(Counter.bytes_rx, length);
    if (headerProblem(bytes, offset, length) !== HeaderProblem.None) {
      return this.#notOurs(bytes, offset, length, source, sourceBase, nowMs);
    }
    const type = bytes[offset + TYPE_OFFSET]!;
    const slot = this.#table.find(bytes, offset + SESSION_ID_OFFSET);
    if (type === MessageType.Forward) {
      const verdict = this.#forwards.receive(bytes, offset, length, slot, source, sourceBase, nowMs);
      this.destinationBase = this.#forwards.destinationBase;
      return verdict;
    }
    return this.#lease(type, bytes, offset, length, slot, source, sourceBase, nowMs);
  }

  /** A LEASE_PRESENT out of the queue: verified (about 0.1 ms) and judged. Reply (send it to the source) or Drop; then see takeHeld. */
  present(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
    wallMs: number,
  ): Verdict {
    this.#books.dropReason = -1;
    this.held.presentJudged(bytes, offset);
    return this.#leases.present(bytes, offset, length, source, sourceBase, nowMs, wallMs);
  }

  /**
   * What became of the FORWARDs that the LEASE_PRESENT judged last had held up. Call after each present, before the next receive,
   * until it says Held. At Forward send on what `held` has; its bytes stay until the next receive.
   */
  takeHeld(nowMs: number): Verdict {
    const { held } = this;
    while (held.next()) {
      this.#books.dropReason = -1;
      const slot = this.#table.find(held.bytes, held.offset + SESSION_ID_OFFSET);
      const verdict = this.#forwards.receiveHeld(slot, nowMs);
      if (verdict === Verdict.Held) continue;
      held.remove();
      this.destinationBase = this.#forwards.destinationBase;
      return verdict;
    }
    return Verdict.Held;
  }

  /**
   * The LEASE_ACKs for addresses that had to wait until the old one was silent (design-relay 3). Call a few times a second
   * until it says Drop; at each Reply send `reply` to `destinations` at `destinationBase`.
   */
  takeDue(nowMs: number, wallMs: number): Verdict {
    const verdict = this.#leases.takeDue(nowMs, wallMs);
    this.destinationBase = this.#leases.destinationBase;
    return verdict;
  }

  /** `packets` of `bytes` together were sent on. */
  forwarded(packets: number, bytes: number): void {
    this.#books.add(Counter.packets_forwarded, packets);
    this.#books.add(Counter.bytes_forwarded, bytes);
  }

  /** The kernel refused packets after Verdict.Forward. */
  sendFailed(packets: number): void {
    this.#books.add(Counter.dropped_packets, packets);
    this.#books.add(Counter.send_failed_packets, packets);
  }

  /** The lease of the latest receive found the queue full after Verdict.Lease. */
  queueFull(): void {
    this.held.presentLost();
    this.#backpressure(1);
  }

  /** Packets for which the ring to another worker was full, so that no `receive` ever sees them: received and dropped. */
  handOverFull(packets: number, bytes: number): void {
    this.#books.add(Counter.packets_rx, packets);
    this.#books.add(Counter.bytes_rx, bytes);
    this.#backpressure(packets);
  }

  /** Nothing is judged any more: what still waits is dropped. */
  end(): void {
    this.#backpressure(this.held.presents + this.held.size);
    this.held.clear();
  }

  /** Cleans up, learns how far the wall clock is ahead, and has records written that would be over too early. Bounded work; call it a few times a second. */
  sweep(nowMs: number, wallMs: number): void {
    this.#wallAheadMs = wallMs - nowMs;
    this.#cleanUp.sweep(nowMs);
    this.#refresh.sweep(nowMs, wallMs);
  }

  /** The relay's own endpoints, six address words each: no peer can have one of them. */
  setOwnEndpoints(addresses: Int32Array): void {
    this.#forbidden.setOwn(addresses);
  }

  /** A binding request was sent: until `untilMs` the answer with this id (12 bytes) from `server` (six words) is one. */
  expectStun(server: Int32Array, transactionId: Uint8Array, untilMs: number): void {
    this.#stun.expect(server, transactionId, untilMs);
  }

  /** Takes a session from a record of 256 bytes (session/record.ts); see {@link restoreSession} for when it does not. */
  restore(record: Uint8Array, nowMs: number, wallMs: number): boolean {
    const { admission, relayId, limits } = this.#options;
    return restoreSession(this.#pool, admission, record, relayId, limits.leaseDurationMs, nowMs, wallMs);
  }

  /** Writes the 256-byte record of the session in `slot`; false, with nothing written, when it holds none. */
  writeRecord(slot: number, out: Uint8Array, offset: number, nowMs: number, wallMs: number): boolean {
    if (!this.#table.holds(slot)) return false;
    writeRecord(describeSession(this.#pool, slot, nowMs, wallMs), this.#relayKey, out, offset);
    return true;
  }

  #lease(
    type: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    slot: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): Verdict {
    const wallMs = nowMs + this.#wallAheadMs;
    if (type === MessageType.LeasePresent) {
      const leases = this.#leases;
      const verdict = leases.receivePresent(bytes, offset, length, slot, source, sourceBase, nowMs, wallMs);
      if (verdict === Verdict.Lease) this.held.presentCame(bytes, offset);
      return verdict;
    }
    if (type === MessageType.LeaseRenew) {
      return this.#leases.receiveRenew(bytes, offset, length, slot, source, sourceBase, nowMs, wallMs);
    }
    // LEASE_ACK and LEASE_REJECT are the relay's to send.
    this.#books.drop(Counter.invalid_packets);
    return Verdict.Drop;
  }

  #backpressure(packets: number): void {
    this.#books.add(Counter.dropped_packets, packets);
    this.#books.add(Counter.backpressure_dropped_packets, packets);
  }

  #notOurs(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): Verdict {
    if (this.#stun.takes(bytes, offset, length, source, sourceBase, nowMs)) {
      this.#books.count(Counter.stun_answer_packets);
      return Verdict.Stun;
    }
    this.#books.drop(Counter.invalid_packets);
    return Verdict.Drop;
  }
}
