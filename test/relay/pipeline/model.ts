import type { CounterName } from '../../../relay/pipeline/counters.ts';
import type { PipelineLimits } from '../../../relay/pipeline/pipeline.ts';
import { START_WALL_MS } from './harness.ts';
import type { Outcome, TestToken } from './harness.ts';

/**
 * What the design says about sessions, written down a second time: with Maps, Sets and BigInt, without a thought for speed,
 * and without anything from relay/ but types. The property test holds the pipeline to it.
 */

export type Packet =
  | { kind: 'present'; session: number; role: 0 | 1; token: TestToken; from: string }
  | { kind: 'renew'; session: number; from: string }
  | {
      kind: 'forward';
      session: number;
      from: string;
      /** handshake: a RIFT handshake header; broken: a wrong CRC. */
      form: 'transport' | 'handshake' | 'plain' | 'broken';
      id: number;
      alias: number;
      size: number;
    };

type Present = Packet & { kind: 'present' };

interface Peer {
  identity: string;
  address: string;
  iat: number | undefined;
  token: string | undefined;
  tokenValidUntilWall: number;
  tokenJudgedWall: number;
  tokenExpiresWall: number;
  seen: Set<bigint>;
  highest: bigint | undefined;
  alias: number | undefined;
  heardMs: number;
  forwardedMs: number;
  reboundMs: number;
  /** A packet that fits all conditions of rebinding but time. */
  glimpse: { address: string; id: bigint; ms: number } | undefined;
  unanswered: number;
  handshakes: Map<number, number>;
  pending: { address: string; token: TestToken; wallMs: number; turn: number } | undefined;
}

interface Session {
  peers: [Peer | undefined, Peer | undefined];
  expiresMs: number;
  soft: number;
  hard: number;
  hardTokens: number;
  softTokens: number;
  refilledMs: number;
}

export class Model {
  readonly sessions = new Map<number, Session>();
  readonly counts = new Map<CounterName, number>();
  /** Presents that are still to be verified. */
  readonly waiting: Present[] = [];
  nowMs: number;
  wallMs: number;
  shedding = false;
  drainedSince: { ms: number; wallMs: number } | undefined;
  readonly #limits: PipelineLimits;
  readonly #maxSessions: number;
  readonly #rates = new Map<string, number>();
  /** FORWARDs, and for how many presents each still waits. */
  readonly #held: { readonly packet: Packet & { kind: 'forward' }; awaits: number }[] = [];
  #passMs: number;
  #turns = 0;

  constructor(limits: PipelineLimits, maxSessions: number, nowMs: number, wallMs: number) {
    this.#limits = limits;
    this.#maxSessions = maxSessions;
    this.nowMs = nowMs;
    this.wallMs = wallMs;
    this.#passMs = nowMs;
  }

  arrive(packet: Packet): Outcome {
    const { session, live, active, role, peer } = this.#look(packet);
    const glimpsed =
      packet.kind === 'forward' && active && live!.peers.some((other) => this.#glimpsed(other!, packet.from));
    const rate =
      (peer && active) || glimpsed
        ? 0
        : this.#rate(`source ${hostOf(packet.from)}`, this.#limits.ipRateLimitPps);
    if (rate > 0) return this.#limited(packet, rate);
    if (packet.kind === 'present') return this.#came(packet, live, role, peer !== undefined && active);
    if (packet.kind === 'renew') return this.#renew(packet, session, live, peer);
    const awaits = this.waiting.filter((present) => present.session === packet.session).length;
    if (!(peer && active) && awaits > 0 && this.#held.length < 256) {
      this.#held.push({ packet, awaits });
      return { kind: 'held' };
    }
    return this.#forward(packet, session, active ? live : undefined, role);
  }

  /** The present that has waited longest, and what waited for it. */
  verify(): { outcome: Outcome; held: Outcome[] } {
    const present = this.waiting.shift()!;
    const { session, live, role } = this.#look(present, false);
    const outcome = this.#present(present, session, live, role);
    const held: Outcome[] = [];
    const own = this.#held.filter(({ packet }) => packet.session === present.session);
    for (const entry of own) {
      const { packet } = entry;
      entry.awaits--;
      const { session, live, active, role, peer } = this.#look(packet);
      if (!(peer && active) && entry.awaits > 0) continue;
      this.#held.splice(this.#held.indexOf(entry), 1);
      held.push(this.#forward(packet, session, active ? live : undefined, role));
    }
    return { outcome, held };
  }

  #look(packet: Packet, hears = true) {
    const session = this.sessions.get(packet.session);
    const live = session && this.nowMs < session.expiresMs ? session : undefined;
    const role = [0, 1].find((role) => live?.peers[role]?.address === packet.from);
    const peer = role === undefined ? undefined : live!.peers[role];
    if (peer && hears) this.#heard(peer);
    const active = live?.peers[0] !== undefined && live.peers[1] !== undefined;
    return { session, live, active, role, peer };
  }

  /** The acknowledgements that became due, who waited first first. */
  takeDue(): Outcome[] {
    const taken: Outcome[] = [];
    const waiting = [...this.sessions.values()]
      .flatMap((session) => session.peers.map((peer) => ({ session, peer: peer! })))
      .filter(({ peer }) => peer?.pending !== undefined)
      .toSorted((a, b) => a.peer.pending!.turn - b.peer.pending!.turn);
    for (const { session, peer } of waiting) {
      const pending = peer.pending!;
      if (!this.#mayMove(peer)) continue;
      peer.pending = undefined;
      const held = session.peers.some((other) => other?.address === pending.address);
      if (held || this.nowMs >= session.expiresMs) continue;
      this.#move(session, peer, pending.address, pending.token, pending.wallMs);
      taken.push(this.#ack(session, pending.address, pending.token, pending.wallMs));
    }
    return taken;
  }

  sweep(): void {
    if (this.nowMs - this.#passMs < this.#limits.cleanupIntervalMs) return;
    this.#passMs = this.nowMs;
    for (const [key, session] of this.sessions) {
      const heardMs = Math.max(...session.peers.map((peer) => peer?.heardMs ?? -Infinity));
      if (this.nowMs >= session.expiresMs) this.#count('cleanup_expired_sessions');
      else if (this.nowMs - heardMs >= this.#limits.idleTimeoutMs) this.#count('cleanup_idle_sessions');
      else continue;
      this.sessions.delete(key);
    }
  }

  #came(packet: Present, live: Session | undefined, at: number | undefined, uncharged: boolean): Outcome {
    const { role, token, from } = packet;
    if (at === 1 - role) return this.#drop('invalid_packets');
    const peer = live?.peers[role];
    const repeated =
      at === role &&
      peer!.token === JSON.stringify(token) &&
      this.wallMs >= peer!.tokenJudgedWall &&
      peer!.tokenValidUntilWall > this.wallMs - 30_000;
    if (!repeated) {
      const rate = uncharged ? this.#rate(`source ${hostOf(from)}`, this.#limits.ipRateLimitPps) : 0;
      if (rate > 0) return this.#limited(packet, rate);
      this.waiting.push(packet);
      return { kind: 'waits' };
    }
    const limited = this.#identityLimited(packet, peer!.identity);
    if (limited) return limited;
    peer!.unanswered = 0;
    return this.#accepted(live!, from, token);
  }

  #present(
    packet: Present,
    session: Session | undefined,
    live: Session | undefined,
    at: number | undefined,
  ): Outcome {
    const { role, token, from } = packet;
    if (at === 1 - role) return this.#drop('invalid_packets');
    if (this.wallMs - 30_000 >= validUntil(token)) {
      this.#count('expired_lease_rejects');
      return this.#reject('auth_reject_packets', 1);
    }
    const identity = token.sub!;
    const limited = this.#identityLimited(packet, identity);
    if (limited) return limited;
    const peer = live?.peers[role];
    if (!live) {
      if (session) {
        this.sessions.delete(packet.session);
        this.#count('cleanup_expired_sessions');
      }
      const refused = this.#refusesNew(token);
      if (refused) return this.#reject(refused, 4);
      const fresh: Session = {
        peers: [undefined, undefined],
        expiresMs: -Infinity,
        soft: token.soft!,
        hard: token.hard!,
        hardTokens: depth(token.hard!),
        softTokens: depth(token.soft!),
        refilledMs: this.nowMs,
      };
      this.sessions.set(packet.session, fresh);
      fresh.peers[role] = this.#newPeer(identity, from);
      this.#grant(fresh, fresh.peers[role], token, this.wallMs);
      return this.#accepted(fresh, from, token);
    }
    if (!peer) {
      live.peers[role] = this.#newPeer(identity, from);
      this.#grant(live, live.peers[role], token, this.wallMs);
      return this.#accepted(live, from, token);
    }
    if (peer.identity !== identity) return this.#reject('auth_reject_packets', 2);
    const iat = issued(token);
    const older = iat !== undefined && peer.iat !== undefined && iat < peer.iat;
    const newer = iat !== undefined && peer.iat !== undefined && iat > peer.iat;
    if (peer.address === from) {
      this.#heard(peer);
      peer.unanswered = 0;
      if (!older) {
        if (peer.token !== JSON.stringify(token)) forgetSequences(peer);
        this.#grant(live, peer, token, this.wallMs);
      }
      return this.#accepted(live, from, token);
    }
    if (older) return this.#drop('unknown_peer_packets');
    if (newer || this.#mayMove(peer)) {
      this.#move(live, peer, from, token, this.wallMs);
      return this.#accepted(live, from, token);
    }
    const turn = peer.pending?.turn ?? ++this.#turns;
    peer.pending = { address: from, token, wallMs: this.wallMs, turn };
    return this.#drop('unknown_peer_packets');
  }

  #renew(
    packet: Packet & { kind: 'renew' },
    session: Session | undefined,
    live: Session | undefined,
    peer: Peer | undefined,
  ): Outcome {
    if (!session) return this.#reject('session_not_found_packets', 1);
    if (!live) {
      this.#count('expired_lease_rejects');
      return this.#reject('auth_reject_packets', 1);
    }
    if (!peer) return this.#reject('unknown_peer_packets', 2);
    const limited = this.#identityLimited(packet, peer.identity);
    if (limited) return limited;
    peer.unanswered = 0;
    return this.#accepted(live, packet.from, undefined);
  }

  #forward(
    packet: Packet & { kind: 'forward' },
    session: Session | undefined,
    active: Session | undefined,
    at: number | undefined,
  ): Outcome {
    if (!session) return this.#drop('session_not_found_packets');
    if (!active) return this.#drop('session_not_active_packets');
    let role = at;
    if (role === undefined) {
      role = this.#rebinding(active, packet);
      if (role === undefined) return this.#drop('unknown_peer_packets');
      active.peers[role]!.address = packet.from;
      active.peers[role]!.reboundMs = this.nowMs;
      active.peers[role]!.glimpse = undefined;
      this.#heard(active.peers[role]!);
      this.#count('nat_rebind_events');
    }
    const sender = active.peers[role]!;
    const receiver = active.peers[1 - role]!;
    if (packet.form === 'broken') return this.#drop('invalid_packets');
    if (!this.#isFresh(sender, packet)) return this.#drop('replay_dropped_packets');
    if (receiver.unanswered + packet.size > Math.max(2 ** 20, (active.hard * 1000 * 2) / 8)) {
      return this.#drop('session_not_active_packets');
    }
    this.#refill(active);
    if (active.hardTokens < packet.size) return this.#drop('rate_limited_packets');
    active.hardTokens -= packet.size;
    if (active.softTokens < packet.size) this.#count('soft_limit_exceeded_packets');
    else active.softTokens -= packet.size;
    receiver.unanswered += packet.size;
    sender.unanswered = 0;
    sender.alias = packet.form === 'transport' ? packet.alias : undefined;
    sender.forwardedMs = this.nowMs;
    const { renewOnTraffic, leaseDurationMs } = this.#limits;
    if (renewOnTraffic && this.nowMs - receiver.forwardedMs <= leaseDurationMs) {
      active.expiresMs = Math.max(active.expiresMs, this.nowMs + leaseDurationMs);
    }
    this.#count('packets_forwarded');
    return { kind: 'forward', to: receiver.address, flow: role };
  }

  #rebinding(session: Session, packet: Packet & { kind: 'forward' }): number | undefined {
    if (this.#limits.rebindOnForward === 'off' || packet.form !== 'transport') return undefined;
    const id = BigInt(packet.id);
    const fitting = [0, 1].filter((role) => {
      const peer = session.peers[role]!;
      if (hostOf(peer.address) !== hostOf(packet.from) || peer.alias !== packet.alias) return false;
      if (peer.highest === undefined || id <= peer.highest) return false;
      if (id <= peer.highest + 4096n) return true;
      const last = this.#glimpsed(peer, packet.from) ? peer.glimpse!.id : undefined;
      return last !== undefined && id > last && id <= last + 4096n;
    });
    if (fitting.length !== 1) return undefined;
    const peer = session.peers[fitting[0]!]!;
    if (this.nowMs - peer.heardMs >= 2000 && this.nowMs - peer.reboundMs >= 5000) return fitting[0];
    const before = peer.glimpse && this.#glimpsed(peer, peer.glimpse.address) ? peer.glimpse : undefined;
    if (before && before.address !== packet.from) return undefined;
    const furthest = before && before.id > id ? before.id : id;
    peer.glimpse = { address: packet.from, id: furthest, ms: this.nowMs };
    return undefined;
  }

  #glimpsed(peer: Peer, from: string): boolean {
    const { glimpse } = peer;
    if (!glimpse || glimpse.address !== from) return false;
    return this.nowMs - glimpse.ms < 2000 && glimpse.ms > peer.heardMs;
  }

  #mayMove(peer: Peer): boolean {
    const signMs = Math.max(peer.heardMs, peer.glimpse?.ms ?? -Infinity);
    return this.nowMs - signMs >= 2000;
  }

  #isFresh(sender: Peer, { form, id }: Packet & { kind: 'forward' }): boolean {
    if (form !== 'plain' && id === 0) {
      const second = Math.floor(this.nowMs / 1000);
      const used = sender.handshakes.get(second) ?? 0;
      if (used >= 20) return false;
      sender.handshakes.set(second, used + 1);
      return true;
    }
    const sequence = BigInt(id);
    if (sender.highest !== undefined) {
      if (sequence <= sender.highest - 128n || sender.seen.has(sequence)) return false;
    }
    sender.seen.add(sequence);
    if (sender.highest === undefined || sequence > sender.highest) sender.highest = sequence;
    return true;
  }

  #refusesNew(token: TestToken): CounterName | undefined {
    if (this.drainedSince) {
      const late = (issued(token) ?? -Infinity) > this.drainedSince.wallMs + 5000;
      if (late || this.nowMs - this.drainedSince.ms >= 10_000) return 'drain_refused_packets';
    }
    if (this.sessions.size >= this.#maxSessions) return 'session_full_rejects';
    return this.shedding ? 'overload_shed_packets' : undefined;
  }

  #newPeer(identity: string, address: string): Peer {
    return {
      identity,
      address,
      iat: undefined,
      token: undefined,
      tokenValidUntilWall: 0,
      tokenJudgedWall: 0,
      tokenExpiresWall: 0,
      seen: new Set(),
      highest: undefined,
      alias: undefined,
      heardMs: this.nowMs,
      forwardedMs: -Infinity,
      reboundMs: -Infinity,
      glimpse: undefined,
      unanswered: 0,
      handshakes: new Map(),
      pending: undefined,
    };
  }

  #move(session: Session, peer: Peer, address: string, token: TestToken, judgedWallMs: number): void {
    if (peer.token !== JSON.stringify(token)) peer.unanswered = 0;
    peer.address = address;
    peer.glimpse = undefined;
    this.#heard(peer);
    forgetSequences(peer);
    this.#count('nat_rebind_events');
    this.#grant(session, peer, token, judgedWallMs);
  }

  #grant(session: Session, peer: Peer, token: TestToken, judgedWallMs: number): void {
    peer.iat = issued(token) ?? peer.iat;
    peer.token = JSON.stringify(token);
    peer.tokenJudgedWall = judgedWallMs;
    peer.tokenValidUntilWall = validUntil(token);
    peer.tokenExpiresWall = START_WALL_MS + token.exp!;
    this.#refill(session);
    session.soft = token.soft!;
    session.hard = token.hard!;
    session.hardTokens = Math.min(session.hardTokens, depth(session.hard));
    session.softTokens = Math.min(session.softTokens, depth(session.soft));
  }

  #accepted(session: Session, to: string, token: TestToken | undefined): Outcome {
    this.#count('lease_accepted_packets');
    return this.#ack(session, to, token);
  }

  /** A token that was judged a while ago has no more life than it had then, wherever the wall clock went. */
  #ack(session: Session, to: string, token: TestToken | undefined, judgedWallMs = this.wallMs): Outcome {
    const tokenLeft = token ? START_WALL_MS + token.exp! - Math.max(this.wallMs, judgedWallMs) : -Infinity;
    const left = Math.max(session.expiresMs - this.nowMs, this.#limits.leaseDurationMs, tokenLeft);
    session.expiresMs = this.nowMs + left;
    return { kind: 'ack', to, expiresMs: this.wallMs + left, soft: session.soft, hard: session.hard };
  }

  #heard(peer: Peer): void {
    peer.heardMs = this.nowMs;
    peer.pending = undefined;
  }

  #refill(session: Session): void {
    const elapsed = this.nowMs - session.refilledMs;
    session.hardTokens = Math.min(depth(session.hard), session.hardTokens + (elapsed * session.hard) / 8);
    session.softTokens = Math.min(depth(session.soft), session.softTokens + (elapsed * session.soft) / 8);
    session.refilledMs = this.nowMs;
  }

  /** 0 within the limit, 1 for as many again, 2 beyond. */
  #rate(key: string, limit: number): number {
    const name = `${key} at ${Math.floor(this.nowMs / 1000)}`;
    const count = (this.#rates.get(name) ?? 0) + 1;
    this.#rates.set(name, count);
    if (count <= limit) return 0;
    return count <= 2 * limit ? 1 : 2;
  }

  #identityLimited(packet: Packet, identity: string): Outcome | undefined {
    const rate = this.#rate(`identity ${identity}`, this.#limits.identityRateLimitPps);
    if (rate === 0) return undefined;
    this.#count('identity_rate_limited_packets');
    return this.#limited(packet, rate);
  }

  #limited(packet: Packet, rate: number): Outcome {
    if (packet.kind === 'forward' || rate === 2) return this.#drop('rate_limited_packets');
    return this.#reject('rate_limited_packets', 6);
  }

  #reject(counter: CounterName, reason: number): Outcome {
    this.#drop(counter);
    return { kind: 'reject', reason, counter };
  }

  #drop(counter: CounterName): Outcome {
    this.#count('dropped_packets');
    this.#count(counter);
    return { kind: 'drop', counter };
  }

  #count(name: CounterName): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}

function depth(kbps: number): number {
  return Math.max(65_536, (kbps * 1000 * 0.25) / 8);
}

function issued(token: TestToken): number | undefined {
  return typeof token.iat === 'number' ? START_WALL_MS + token.iat : undefined;
}

function validUntil(token: TestToken): number {
  return START_WALL_MS + Math.min(token.exp!, token.registeredExp!);
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':'));
}

function forgetSequences(peer: Peer): void {
  peer.seen = new Set();
  peer.highest = undefined;
  peer.alias = undefined;
}
