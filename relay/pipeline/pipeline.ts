import type { LeaseVerdict } from '../lease/verify-lease.ts';
import type { Role } from '../protocol/role.ts';
import type { Admission } from './admission.ts';

/**
 * Judges a token: lease/verify-lease.ts with this worker's keys. `token` and `sessionId` are only valid during the call.
 * `insecureIdentity` is set in insecure development mode only: the peer's `ip:port`, its identity there.
 */
export type LeaseVerifier = (
  token: Uint8Array,
  sessionId: Uint8Array,
  role: Role,
  wallMs: number,
  insecureIdentity: string | undefined,
) => LeaseVerdict;

/** Told in the middle of a call into the pipeline: note the slot, act later. */
export interface SessionJournal {
  /** The record of the session in this slot changed, or it is new; see Pipeline.writeRecord. */
  dirty(slot: number): void;
  /** The session in this slot is gone; the slot may hold another one soon. */
  removed(slot: number): void;
}

/** Durations in milliseconds, rates per second. */
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
  /** Structurally a part of Config. */
  readonly limits: PipelineLimits;
  /** COUNTER_CELLS cells that only this pipeline writes. */
  readonly counters: Float64Array;
  /** Four random words: the key of all hashes. */
  readonly seed: Uint32Array;
  readonly admission: Admission;
  readonly journal: SessionJournal | undefined;
  readonly verify: LeaseVerifier;
  readonly insecure: boolean;
  readonly nowMs: number;
  readonly wallMs: number;
}

/**
 * One datagram in, one verdict out. `nowMs` is monotonic milliseconds and never goes back from call to call, `wallMs`
 * Unix milliseconds: it judges claims, fills LEASE_ACK and stamps records, and ends no session.
 */
export class Pipeline {
  /** After Verdict.Forward: sessionSlot * 2 + role of the sender: the key for building trains. */
  flow = 0;
  /** After Verdict.Forward and after takeDue: the address to send to is the six words at destinationBase. */
  readonly destinations: Int32Array;
  destinationBase = 0;
  /** After Verdict.Reply. */
  readonly reply: Uint8Array;
  replyLength = 0;
  /** After Verdict.Lease: its session exists, so the queue's reserved half is open to it. */
  knownSession = false;
  /** After Verdict.Stun: six address words. */
  readonly stunMapped: Int32Array = new Int32Array(6);
  /** Sessions with two peers; those that expired count until they are cleaned up. */
  activeSessions = 0;
  /** Waiting and active. */
  heldSessions = 0;

  constructor(options: PipelineOptions) {
    this.destinations = new Int32Array(options.sessionCapacity);
    this.reply = new Uint8Array(36);
  }

  /**
   * One datagram of `length` bytes (0 included) at `offset`, from the address words at `sourceBase`. Counts it. Nothing of
   * `bytes` or `source` is kept. Never throws.
   */
  receive(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): number {
    throw new Error(`not built yet ${bytes.length + offset + length + source.length + sourceBase + nowMs}`);
  }

  /** A LEASE_PRESENT out of the queue: verified (about 0.1 ms) and judged. Reply (send it to the source) or Drop. */
  present(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
    wallMs: number,
  ): number {
    throw new Error(
      `not built yet ${wallMs + this.receive(bytes, offset, length, source, sourceBase, nowMs)}`,
    );
  }

  /**
   * The LEASE_ACKs for addresses that had to wait until the old one was silent (design-relay 3). Call a few times a second
   * until it says Drop; at each Reply send `reply` to `destinations` at `destinationBase`.
   */
  takeDue(nowMs: number, wallMs: number): number {
    throw new Error(`not built yet ${nowMs + wallMs}`);
  }

  /** Sent on: `packets` of `bytes` together. */
  forwarded(packets: number, bytes: number): void {
    throw new Error(`not built yet ${packets + bytes}`);
  }

  /** The kernel refused packets after Verdict.Forward. */
  sendFailed(packets: number): void {
    throw new Error(`not built yet ${packets}`);
  }

  /** Packets that found a queue full: a lease after Verdict.Lease. Counted as received by `receive` already. */
  queueFull(packets: number): void {
    throw new Error(`not built yet ${packets}`);
  }

  /** Packets that never got as far as `receive` because a ring between workers was full: counts them as received, too. */
  handOverFull(packets: number, bytes: number): void {
    throw new Error(`not built yet ${packets + bytes}`);
  }

  /** Clean-up and the clocks' relation; bounded work a call. Call a few times a second. */
  sweep(nowMs: number, wallMs: number): void {
    throw new Error(`not built yet ${nowMs + wallMs}`);
  }

  /** Addresses that no peer can have: address words, six each. */
  setOwnEndpoints(addresses: Int32Array): void {
    throw new Error(`not built yet ${addresses.length}`);
  }

  /** A binding request was sent: until `untilMs` the answer with this transaction id (12 bytes) from `server` (six words) is one. */
  expectStun(server: Int32Array, transactionId: Uint8Array, untilMs: number): void {
    throw new Error(`not built yet ${server.length + transactionId.length + untilMs}`);
  }

  /** Takes a session from a record (session/record.ts); false when it is none of this relay's, too old, or there is no room. */
  restore(record: Uint8Array, nowMs: number, wallMs: number): boolean {
    throw new Error(`not built yet ${record.length + nowMs + wallMs}`);
  }

  /** Writes the 256-byte record of the session in `slot`; false, with nothing written, when it holds none. */
  writeRecord(slot: number, out: Uint8Array, offset: number, nowMs: number, wallMs: number): boolean {
    throw new Error(`not built yet ${slot + out.length + offset + nowMs + wallMs}`);
  }
}
