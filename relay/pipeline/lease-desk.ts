import { hash } from 'node:crypto';
import { LEASE_REFUSALS } from '../lease/lease-problem.ts';
import type { LeaseProblem } from '../lease/lease-problem.ts';
import type { LeaseVerdict } from '../lease/verify-lease.ts';
import { formatAddress, sameAddress } from '../protocol/address.ts';
import {
  HEADER_BYTES,
  MessageType,
  SESSION_ID_BYTES,
  SESSION_ID_OFFSET,
  TYPE_OFFSET,
} from '../protocol/header.ts';
import {
  LEASE_PRESENT_ROLE,
  LEASE_PRESENT_TOKEN_LENGTH,
  LEASE_PRESENT_TOKEN_OFFSET,
  LEASE_PRESENT_WORDS,
  LeasePresentProblem,
  parseLeasePresent,
} from '../protocol/lease-present.ts';
import { LEASE_REJECT_BYTES, RejectReason } from '../protocol/lease-reject.ts';
import type { Role } from '../protocol/role.ts';
import {
  addressAt,
  EXPIRES,
  floatsAt,
  IDENTITY,
  IDENTITY_WORDS,
  leaseFloatsAt,
  leaseWordsAt,
  TOKEN_EXPIRES_WALL,
} from '../session/layout.ts';
import { hardKbpsOf, softKbpsOf, startLimits } from '../session/limits.ts';
import { peerFrom, sameIdentity, storeDigest } from '../session/peers.ts';
import { isCurrentToken, stillHolds } from '../session/tokens.ts';
import { admissionRefusal } from './admission.ts';
import type { Admission } from './admission.ts';
import type { Answer } from './answer.ts';
import type { Books } from './books.ts';
import { LeaseEffects } from './lease-effects.ts';
import type { Presented } from './lease-effects.ts';
import { Counter } from './counters.ts';
import type { ForbiddenAddresses } from './forbidden-addresses.ts';
import { Rate } from './rate-limits.ts';
import type { RateLimits } from './rate-limits.ts';
import type { SessionPool } from './session-pool.ts';
import { Verdict } from './verdict.ts';

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

export interface LeaseRules {
  readonly verify: LeaseVerifier;
  readonly insecure: boolean;
  readonly leaseDurationMs: number;
}

/** LEASE_PRESENT and LEASE_RENEW: every row of "What a bad lease gets" (wire reference 2), and what good ones do. */
export class LeaseDesk {
  knownSession = false;
  /** After takeDue: where the peer's address is. */
  destinationBase = 0;

  readonly #pool: SessionPool;
  readonly #books: Books;
  readonly #limits: RateLimits;
  readonly #forbidden: ForbiddenAddresses;
  readonly #admission: Admission;
  readonly #answer: Answer;
  readonly #effects: LeaseEffects;
  readonly #rules: LeaseRules;
  readonly #form: Int32Array = new Int32Array(LEASE_PRESENT_WORDS);
  readonly #identity: Int32Array = new Int32Array(IDENTITY_WORDS);

  constructor(
    pool: SessionPool,
    books: Books,
    limits: RateLimits,
    forbidden: ForbiddenAddresses,
    admission: Admission,
    answer: Answer,
    rules: LeaseRules,
  ) {
    this.#pool = pool;
    this.#books = books;
    this.#limits = limits;
    this.#forbidden = forbidden;
    this.#admission = admission;
    this.#answer = answer;
    this.#effects = new LeaseEffects(pool, books, rules.leaseDurationMs);
    this.#rules = rules;
  }

  /** What can be said of a LEASE_PRESENT without verifying it. */
  receivePresent(
    bytes: Uint8Array,
    offset: number,
    length: number,
    found: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
    wallMs: number,
  ): Verdict {
    this.#books.count(Counter.lease_present_packets);
    if (this.#forbidden.has(source, sourceBase)) return this.#drop(Counter.invalid_packets);
    const slot = this.#live(found, nowMs);
    const peer = this.#hearPeer(slot, source, sourceBase, nowMs);
    const trusted = peer >= 0 && this.#pool.isActive(slot);
    if (!trusted) {
      const rate = this.#limits.source(source, sourceBase, nowMs);
      if (rate !== Rate.Within) return this.#overRate(bytes, offset, length, rate);
    }
    const form = this.#form;
    const problem = parseLeasePresent(bytes, offset + HEADER_BYTES, length - HEADER_BYTES, form);
    if (problem === LeasePresentProblem.EmptyToken) {
      return this.#reject(bytes, offset, Counter.auth_reject_packets, RejectReason.InvalidSignature);
    }
    const role = form[LEASE_PRESENT_ROLE]!;
    if (problem !== LeasePresentProblem.None || peer === 1 - role) return this.#drop(Counter.invalid_packets);
    if (peer === role && this.#isRepetition(bytes, slot, role, wallMs)) {
      const rate = this.#limits.identity(this.#pool.table.words, leaseWordsAt(slot, role) + IDENTITY, nowMs);
      if (rate !== Rate.Within) return this.#overIdentityRate(bytes, offset, length, rate);
      this.#pool.answered(slot, role);
      const expiresWallMs = this.#pool.table.floats[leaseFloatsAt(slot, role) + TOKEN_EXPIRES_WALL]!;
      return this.#accept(bytes, offset, slot, expiresWallMs, nowMs, wallMs);
    }
    if (trusted) {
      // Whoever is in a session could fill the queue with tokens that are made up.
      const rate = this.#limits.source(source, sourceBase, nowMs);
      if (rate !== Rate.Within) return this.#overRate(bytes, offset, length, rate);
    }
    this.knownSession = slot >= 0;
    return Verdict.Lease;
  }

  /** A LEASE_PRESENT that {@link receivePresent} found fit to be verified, some time later. */
  present(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
    wallMs: number,
  ): Verdict {
    const problem = parseLeasePresent(bytes, offset + HEADER_BYTES, length - HEADER_BYTES, this.#form);
    if (problem !== LeasePresentProblem.None) return this.#drop(Counter.invalid_packets);
    const role = this.#form[LEASE_PRESENT_ROLE]! as Role;
    const { words } = this.#pool.table;
    const found = this.#pool.table.find(bytes, offset + SESSION_ID_OFFSET);
    const slot = this.#live(found, nowMs);
    // Asked again: other leases were accepted while this one waited.
    if (slot >= 0 && peerFrom(words, slot, source, sourceBase) === 1 - role) {
      return this.#drop(Counter.invalid_packets);
    }

    const token = this.#tokenIn(bytes);
    const id = bytes.subarray(offset + SESSION_ID_OFFSET, offset + SESSION_ID_OFFSET + SESSION_ID_BYTES);
    const insecureIdentity = this.#rules.insecure ? formatAddress(source, sourceBase) : undefined;
    const verdict = this.#rules.verify(token, id, role, wallMs, insecureIdentity);
    if ('problem' in verdict) return this.#refuse(bytes, offset, verdict.problem);
    const { lease } = verdict;
    storeDigest(this.#identity, 0, lease.identityHash);
    const rate = this.#limits.identity(this.#identity, 0, nowMs);
    if (rate !== Rate.Within) return this.#overIdentityRate(bytes, offset, length, rate);

    const presented = { role, lease, tokenDigest: digestOf(token), source, sourceBase, wallMs };
    if (slot < 0) {
      if (found >= 0) {
        // Expired, and forgotten now rather than at the next clean-up.
        this.#pool.close(found);
        this.#books.count(Counter.cleanup_expired_sessions);
      }
      return this.#open(bytes, offset, presented, nowMs);
    }
    if (!this.#pool.has(slot, role)) {
      this.#effects.join(slot, presented, nowMs);
    } else if (!sameIdentity(words, slot, role, lease.identityHash)) {
      return this.#reject(bytes, offset, Counter.auth_reject_packets, RejectReason.InvalidSignature);
    } else if (sameAddress(words, addressAt(slot, role), source, sourceBase)) {
      this.#effects.presentAtHome(slot, presented, nowMs);
    } else if (!this.#effects.presentElsewhere(slot, presented, nowMs)) {
      return this.#drop(Counter.unknown_peer_packets);
    }
    return this.#accept(bytes, offset, slot, lease.expiresMs, nowMs, wallMs);
  }

  receiveRenew(
    bytes: Uint8Array,
    offset: number,
    length: number,
    found: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
    wallMs: number,
  ): Verdict {
    this.#books.count(Counter.lease_renew_packets);
    if (this.#forbidden.has(source, sourceBase)) return this.#drop(Counter.invalid_packets);
    const slot = this.#live(found, nowMs);
    const peer = this.#hearPeer(slot, source, sourceBase, nowMs);
    if (peer < 0 || !this.#pool.isActive(slot)) {
      const rate = this.#limits.source(source, sourceBase, nowMs);
      if (rate !== Rate.Within) return this.#overRate(bytes, offset, length, rate);
    }
    if (found < 0) {
      return this.#reject(bytes, offset, Counter.session_not_found_packets, RejectReason.Expired);
    }
    if (slot < 0) {
      this.#books.count(Counter.expired_lease_rejects);
      return this.#reject(bytes, offset, Counter.auth_reject_packets, RejectReason.Expired);
    }
    if (peer < 0) {
      return this.#reject(bytes, offset, Counter.unknown_peer_packets, RejectReason.InvalidSignature);
    }
    const rate = this.#limits.identity(this.#pool.table.words, leaseWordsAt(slot, peer) + IDENTITY, nowMs);
    if (rate !== Rate.Within) return this.#overIdentityRate(bytes, offset, length, rate);
    this.#pool.answered(slot, peer);
    return this.#accept(bytes, offset, slot, -Infinity, nowMs, wallMs);
  }

  /** Moves one peer to an address that waited until the old one was silent. Its datagram is counted already. */
  takeDue(nowMs: number, wallMs: number): Verdict {
    for (;;) {
      const due = this.#pool.pending.takeDue(nowMs);
      if (!due) return Verdict.Drop;
      const { slot, role, lease, address } = due;
      const others = peerFrom(this.#pool.table.words, slot, address, 0) >= 0;
      if (others || !this.#pool.isLive(slot, nowMs)) continue;
      this.#effects.take(slot, { ...due, source: address, sourceBase: 0, wallMs: due.judgedWallMs }, nowMs);
      // A clock that stepped back meanwhile gives a token no longer a life than it had when it was judged.
      this.#effects.extend(slot, lease.expiresMs, nowMs, Math.max(wallMs, due.judgedWallMs));
      this.#acknowledge(lease.sessionId, 0, slot, nowMs, wallMs);
      this.destinationBase = addressAt(slot, role);
      return Verdict.Reply;
    }
  }

  #live(found: number, nowMs: number): number {
    return found >= 0 && this.#pool.isLive(found, nowMs) ? found : -1;
  }

  /** The role of the peer at this address, which so was heard, or -1. */
  #hearPeer(slot: number, source: Int32Array, sourceBase: number, nowMs: number): number {
    const peer = slot >= 0 ? peerFrom(this.#pool.table.words, slot, source, sourceBase) : -1;
    if (peer >= 0) this.#pool.hear(slot, peer, nowMs);
    return peer;
  }

  /** Whether the datagram parsed last holds the very token that this peer presented last, and nothing can have changed. */
  #isRepetition(bytes: Uint8Array, slot: number, role: number, wallMs: number): boolean {
    const { table } = this.#pool;
    if (!stillHolds(table, slot, role, wallMs)) return false;
    return isCurrentToken(table, slot, role, digestOf(this.#tokenIn(bytes)));
  }

  #tokenIn(bytes: Uint8Array): Uint8Array {
    const start = this.#form[LEASE_PRESENT_TOKEN_OFFSET]!;
    return bytes.subarray(start, start + this.#form[LEASE_PRESENT_TOKEN_LENGTH]!);
  }

  #open(bytes: Uint8Array, offset: number, presented: Presented, nowMs: number): Verdict {
    let refusal = admissionRefusal(this.#admission, presented.lease.issuedAtMs, nowMs);
    if (refusal < 0 && this.#pool.isFull) {
      this.#admission.release();
      refusal = Counter.session_full_rejects;
    }
    if (refusal >= 0) return this.#reject(bytes, offset, refusal, RejectReason.SessionFull);
    const { lease, wallMs } = presented;
    const slot = this.#pool.open(bytes, offset + SESSION_ID_OFFSET);
    startLimits(this.#pool.table, slot, lease.softKbps, lease.hardKbps, nowMs);
    this.#effects.join(slot, presented, nowMs);
    return this.#accept(bytes, offset, slot, lease.expiresMs, nowMs, wallMs);
  }

  #accept(
    bytes: Uint8Array,
    offset: number,
    slot: number,
    tokenExpiresWallMs: number,
    nowMs: number,
    wallMs: number,
  ): Verdict {
    this.#books.count(Counter.lease_accepted_packets);
    this.#effects.extend(slot, tokenExpiresWallMs, nowMs, wallMs);
    this.#acknowledge(bytes, offset + SESSION_ID_OFFSET, slot, nowMs, wallMs);
    return Verdict.Reply;
  }

  #acknowledge(id: Uint8Array, idOffset: number, slot: number, nowMs: number, wallMs: number): void {
    const { table } = this.#pool;
    const expiresWallMs = table.floats[floatsAt(slot) + EXPIRES]! - nowMs + wallMs;
    this.#answer.ack(id, idOffset, expiresWallMs, softKbpsOf(table, slot), hardKbpsOf(table, slot));
  }

  #refuse(bytes: Uint8Array, offset: number, problem: LeaseProblem): Verdict {
    const { reply, counters } = LEASE_REFUSALS[problem];
    const [primary, ...others] = counters;
    for (const name of others) this.#books.count(Counter[name]);
    if (reply === undefined) return this.#drop(Counter[primary!]);
    return this.#reject(bytes, offset, Counter[primary!], reply);
  }

  #overIdentityRate(bytes: Uint8Array, offset: number, length: number, rate: Rate): Verdict {
    this.#books.count(Counter.identity_rate_limited_packets);
    return this.#overRate(bytes, offset, length, rate);
  }

  #overRate(bytes: Uint8Array, offset: number, length: number, rate: Rate): Verdict {
    // A LEASE_PRESENT of 20 or 21 bytes is none and may not get more than it brought; a renew is 20 bytes by design.
    const answered =
      rate === Rate.Over &&
      (length >= LEASE_REJECT_BYTES || bytes[offset + TYPE_OFFSET] === MessageType.LeaseRenew);
    if (!answered) return this.#drop(Counter.rate_limited_packets);
    return this.#reject(bytes, offset, Counter.rate_limited_packets, RejectReason.RateLimited);
  }

  #reject(bytes: Uint8Array, offset: number, counter: number, reason: RejectReason): Verdict {
    this.#books.drop(counter);
    this.#answer.reject(bytes, offset, reason);
    return Verdict.Reply;
  }

  #drop(counter: number): Verdict {
    this.#books.drop(counter);
    return Verdict.Drop;
  }
}

function digestOf(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}
