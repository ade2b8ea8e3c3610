import { replayAccept } from '../protocol/replay-window.ts';
import {
  FORWARD_ALIAS,
  FORWARD_HIGH,
  FORWARD_KIND,
  FORWARD_LOW,
  FORWARD_WORDS,
  ForwardKind,
  ForwardProblem,
  forwardSequence,
} from '../protocol/rift.ts';
import { HEADER_BYTES } from '../protocol/header.ts';
import { takeHandshake } from '../session/handshakes.ts';
import {
  addressAt,
  ALIAS,
  ALIAS_KNOWN,
  BUCKET,
  EXPIRES,
  floatsAt,
  HANDSHAKES,
  HARD_KBPS,
  HAS_BOTH,
  leaseFloatsAt,
  peerFloatsAt,
  peerWordsAt,
  REBOUND,
  REPLAY,
  SOFT_KBPS,
  STATE,
  UNANSWERED,
  wordsAt,
} from '../session/layout.ts';
import { forwardedFrom } from '../session/life.ts';
import { peerFrom } from '../session/peers.ts';
import { isGlimpsed, rebindingPeer } from '../session/rebind.ts';
import { silentBudget } from '../session/silence.ts';
import { refillBuckets, takeHard, takeSoft } from '../session/token-bucket.ts';
import type { Books } from './books.ts';
import { Counter } from './counters.ts';
import type { ForbiddenAddresses } from './forbidden-addresses.ts';
import type { HeldForwards } from './held-forwards.ts';
import { Rate } from './rate-limits.ts';
import type { RateLimits } from './rate-limits.ts';
import type { SessionPool } from './session-pool.ts';
import { Verdict } from './verdict.ts';

export interface ForwardRules {
  readonly leaseDurationMs: number;
  readonly renewOnTraffic: boolean;
  readonly rebindOnForward: 'port' | 'off';
}

/**
 * FORWARD, the hot path. Order of checks (wire reference 1): session, active, sender, payload and CRC, replay, hard limit;
 * the budget of a silent receiver stands before the hard limit, so that what nobody gets uses none of it up. Who is no peer of an
 * active session is charged to the source limit, and held while a LEASE_PRESENT for the session waits.
 */
export class ForwardPath {
  flow = 0;
  destinationBase = 0;

  readonly #pool: SessionPool;
  readonly #words: Int32Array;
  readonly #floats: Float64Array;
  readonly #books: Books;
  readonly #limits: RateLimits;
  readonly #forbidden: ForbiddenAddresses;
  readonly #leaseDurationMs: number;
  readonly #renewOnTraffic: boolean;
  readonly #rebinds: boolean;
  readonly #held: HeldForwards;
  readonly #sequence: Uint32Array = new Uint32Array(FORWARD_WORDS);
  /** Of the datagram that is judged just now. */
  #turn: Turn = Turn.First;

  constructor(
    pool: SessionPool,
    books: Books,
    limits: RateLimits,
    forbidden: ForbiddenAddresses,
    held: HeldForwards,
    rules: ForwardRules,
  ) {
    this.#pool = pool;
    this.#words = pool.table.words;
    this.#floats = pool.table.floats;
    this.#books = books;
    this.#limits = limits;
    this.#forbidden = forbidden;
    this.#held = held;
    this.#leaseDurationMs = rules.leaseDurationMs;
    this.#renewOnTraffic = rules.renewOnTraffic;
    this.#rebinds = rules.rebindOnForward === 'port';
  }

  /** `slot` is that of the header's session id, or -1. */
  receive(
    bytes: Uint8Array,
    offset: number,
    length: number,
    slot: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): Verdict {
    if (slot < 0) {
      const reason = Counter.session_not_found_packets;
      return this.#fromStranger(bytes, offset, length, source, sourceBase, reason, nowMs);
    }
    const words = this.#words;
    const floats = this.#floats;
    const session = wordsAt(slot);

    let sender = peerFrom(words, slot, source, sourceBase);
    if (sender >= 0) this.#pool.hear(slot, sender, nowMs);
    const active =
      (words[session + STATE]! & HAS_BOTH) === HAS_BOTH && nowMs < floats[floatsAt(slot) + EXPIRES]!;
    if (!active) {
      const reason = Counter.session_not_active_packets;
      return this.#fromStranger(bytes, offset, length, source, sourceBase, reason, nowMs);
    }

    const sequence = this.#sequence;
    let problem: ForwardProblem = ForwardProblem.None;
    if (sender >= 0) {
      problem = forwardSequence(bytes, offset + HEADER_BYTES, length - HEADER_BYTES, sequence);
      if (problem !== ForwardProblem.None) return this.#drop(Counter.invalid_packets);
    } else {
      sender = this.#rebind(bytes, offset, length, slot, source, sourceBase, nowMs);
      if (sender < 0) return sender === HELD ? Verdict.Held : Verdict.Drop;
    }

    const peer = peerWordsAt(slot, sender);
    const high = sequence[FORWARD_HIGH]!;
    const low = sequence[FORWARD_LOW]!;
    const kind = sequence[FORWARD_KIND]!;
    const fresh =
      high === 0 && low === 0 && kind !== ForwardKind.Plain
        ? takeHandshake(floats, peerFloatsAt(slot, sender) + HANDSHAKES, nowMs)
        : replayAccept(words, peer + REPLAY, high, low);
    if (!fresh) return this.#drop(Counter.replay_dropped_packets);

    const hardKbps = words[session + HARD_KBPS]! >>> 0;
    const receiver = 1 - sender;
    const unanswered = peerFloatsAt(slot, receiver) + UNANSWERED;
    if (floats[unanswered]! + length > silentBudget(hardKbps)) {
      return this.#drop(Counter.session_not_active_packets);
    }
    const buckets = floatsAt(slot) + BUCKET;
    refillBuckets(floats, buckets, hardKbps, words[session + SOFT_KBPS]! >>> 0, nowMs);
    if (!takeHard(floats, buckets, length)) return this.#drop(Counter.rate_limited_packets);
    if (!takeSoft(floats, buckets, length)) this.#books.count(Counter.soft_limit_exceeded_packets);

    floats[unanswered] = floats[unanswered]! + length;
    floats[peerFloatsAt(slot, sender) + UNANSWERED] = 0;
    words[peer + ALIAS] = sequence[FORWARD_ALIAS]!;
    words[peer + ALIAS_KNOWN] = kind === ForwardKind.RiftTransport ? 1 : 0;
    forwardedFrom(floats, slot, sender, this.#leaseDurationMs, this.#renewOnTraffic, nowMs);
    this.flow = slot * 2 + sender;
    this.destinationBase = addressAt(slot, receiver);
    return Verdict.Forward;
  }

  /** Judges a datagram out of HeldForwards: Held again while it may wait and would be dropped. */
  receiveHeld(slot: number, nowMs: number): Verdict {
    const { bytes, offset, length, sources, sourceBase, due } = this.#held;
    this.#turn = due ? Turn.Last : Turn.Again;
    const verdict = this.receive(bytes, offset, length, slot, sources, sourceBase, nowMs);
    this.#turn = Turn.First;
    return verdict;
  }

  /** The role of the peer that sends from a new port, moved there; or HELD; or -1, and the packet is counted as dropped. */
  #rebind(
    bytes: Uint8Array,
    offset: number,
    length: number,
    slot: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): number {
    const glimpsed = isGlimpsed(this.#words, this.#floats, slot, source, sourceBase, nowMs);
    if (!glimpsed && this.#isOverRate(source, sourceBase, nowMs)) {
      this.#books.drop(Counter.rate_limited_packets);
      return -1;
    }
    if (this.#hold(bytes, offset, length, source, sourceBase)) return HELD;
    const sound =
      this.#rebinds &&
      forwardSequence(bytes, offset + HEADER_BYTES, length - HEADER_BYTES, this.#sequence) ===
        ForwardProblem.None &&
      !this.#forbidden.has(source, sourceBase);
    const role = sound
      ? rebindingPeer(this.#words, this.#floats, slot, source, sourceBase, this.#sequence, nowMs)
      : -1;
    if (role < 0) {
      this.#books.drop(Counter.unknown_peer_packets);
      return -1;
    }
    this.#pool.move(slot, role, source, sourceBase, nowMs);
    this.#floats[leaseFloatsAt(slot, role) + REBOUND] = nowMs;
    this.#books.count(Counter.nat_rebind_events);
    this.#pool.journal(slot);
    return role;
  }

  #fromStranger(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    reason: number,
    nowMs: number,
  ): Verdict {
    if (this.#isOverRate(source, sourceBase, nowMs)) return this.#drop(Counter.rate_limited_packets);
    if (this.#hold(bytes, offset, length, source, sourceBase)) return Verdict.Held;
    return this.#drop(reason);
  }

  /** A datagram that was held was charged to its source when it came. */
  #isOverRate(source: Int32Array, sourceBase: number, nowMs: number): boolean {
    return this.#turn === Turn.First && this.#limits.source(source, sourceBase, nowMs) !== Rate.Within;
  }

  #hold(bytes: Uint8Array, offset: number, length: number, source: Int32Array, sourceBase: number): boolean {
    if (this.#turn !== Turn.First) return this.#turn === Turn.Again;
    return this.#held.push(bytes, offset, length, source, sourceBase);
  }

  #drop(reason: number): Verdict {
    this.#books.drop(reason);
    return Verdict.Drop;
  }
}

/** As a datagram comes; once more, out of HeldForwards; and there for the last time. */
const Turn = { First: 0, Again: 1, Last: 2 } as const;
type Turn = (typeof Turn)[keyof typeof Turn];

const HELD = -2;
