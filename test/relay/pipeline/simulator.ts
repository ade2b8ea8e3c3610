import assert from 'node:assert/strict';
import { readRecord } from '../../../relay/session/record.ts';
import { formatAddress } from '../../../relay/protocol/address.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { forwardOf, handshakeOf, Harness, presentOf, RELAY_ID, riftOf, sessionId } from './harness.ts';
import type { Outcome, TestToken } from './harness.ts';

/**
 * Two deployed peers (they present once, never again, and ping every 500 ms), a relay, and a world that means them no good:
 * a network that loses, repeats, delays and reorders; NATs that change ports; a relay that is killed and started again with
 * nothing but its records; a wall clock that steps; and somebody who sees every packet, sends copies of them under any address
 * but the peers' own old ones, and presents the copied tokens all the time. All of it from one seed.
 *
 * What holds throughout is asserted at each datagram; see `#check`. What docs/known-limits.md gives up is left out of the world:
 * with an attacker, 2 s without a packet from a peer; the attacker at a peer's very address; a NAT that changes a port before the
 * relay accepted any packet from behind it.
 */
export interface World {
  readonly seed: number;
  readonly durationMs: number;
  /** Somebody sees, copies, replays and forges. */
  readonly attacker: boolean;
  /** Share of datagrams lost; as many again are duplicated. */
  readonly loss: number;
  /** Peers are cut off for up to so long, now and then; with an attacker, for two pings at most. */
  readonly outageMs: number;
  readonly restarts: boolean;
  readonly rebinds: boolean;
}

interface Peer {
  readonly role: Role;
  readonly ip: string;
  port: number;
  nextId: number;
  outageUntilMs: number;
  /** When a packet of it was last neither cut off nor lost. */
  lastOnWireMs: number;
  /** The relay knows its numbers: a packet was accepted since the relay started, and since a lease last came from its address. */
  followed: boolean;
  lastThroughMs: number;
}

interface Datagram {
  readonly atMs: number;
  readonly bytes: Uint8Array;
  readonly from: string;
  /** Sent by a peer itself; undefined: by the attacker. */
  readonly peer: Peer | undefined;
}

const SESSION = 1;
const TICK_MS = 10;
const PING_MS = 500;
/** The attacker's ports behind a peer's NAT: so many from here on. */
const NEIGHBOUR_PORT = 30_000;
const NEIGHBOUR_PORTS = 100;
const HARD_KBPS = 8000;
const BUDGET = Math.max(2 ** 20, HARD_KBPS * 250);
const TOKEN: TestToken = { iat: 0, exp: 900_000, soft: HARD_KBPS, hard: HARD_KBPS };

export class Simulator {
  readonly peers: readonly [Peer, Peer];
  restarts = 0;
  rebinds = 0;
  attacks = 0;
  /** Of the peers' own packets, the longest time that none of one peer got through. */
  longestGapMs = 0;

  readonly #world: World;
  readonly #random: () => number;
  readonly #seen: Datagram[] = [];
  readonly #unanswered = new Map<string, number>();
  #relay: Harness;
  #records = new Map<number, Uint8Array>();
  #stored: [string, string] = ['', ''];
  #wire: Datagram[] = [];
  #nowMs = 0;
  #downUntilMs = -1;
  #quietUntilMs = 0;

  constructor(world: World) {
    this.#world = world;
    this.#random = mulberry32(world.seed);
    this.#relay = new Harness({ seed: this.#words(), startMs: 1000 });
    const peer = (role: Role, ip: string): Peer => ({
      role,
      ip,
      port: 4000 + role,
      nextId: 1,
      outageUntilMs: -1,
      lastOnWireMs: 0,
      followed: false,
      lastThroughMs: 0,
    });
    this.peers = [peer(Role.Client, '192.0.2.1'), peer(Role.Server, '198.51.100.2')];
  }

  run(): void {
    for (const peer of this.peers) {
      const token = { ...TOKEN, sub: `peer ${peer.role}` };
      const bytes = presentOf(SESSION, peer.role, token);
      const datagram = { atMs: 0, bytes, from: addressOf(peer), peer };
      this.#seen.push(datagram);
      assert.equal(this.#deliver(datagram).kind, 'ack');
    }
    while (this.#nowMs < this.#world.durationMs) this.#tick();
    this.#relay.balanced();
    assert.equal(this.#relay.pipeline.activeSessions, 1, 'the session is still there');
  }

  #tick(): void {
    this.#nowMs += TICK_MS;
    this.#relay.pass(TICK_MS);
    if (this.#downUntilMs >= 0 && this.#nowMs >= this.#downUntilMs) this.#start();
    if (this.#nowMs % 250 === 0) this.#poll();
    for (const peer of this.peers) this.#speak(peer);
    if (this.#world.attacker && this.#chance(0.1)) this.#attack();
    this.#mishaps();
    const due = this.#wire.filter((datagram) => datagram.atMs <= this.#nowMs);
    if (due.length > 0) {
      this.#wire = this.#wire.filter((datagram) => datagram.atMs > this.#nowMs);
      for (const datagram of due) if (this.#downUntilMs < 0) this.#deliver(datagram);
    }
    for (const peer of this.peers) {
      this.longestGapMs = Math.max(this.longestGapMs, this.#nowMs - peer.lastThroughMs);
    }
  }

  /** A ping every 500 ms; the server streams 20 packets a second besides. */
  #speak(peer: Peer): void {
    const every = peer.role === Role.Client ? PING_MS : 50;
    if (this.#nowMs % every !== 0) return;
    const mayBeLost = !this.#world.attacker || this.#nowMs - peer.lastOnWireMs <= 2 * PING_MS;
    if (mayBeLost && this.#nowMs < peer.outageUntilMs) return;
    const bytes = riftOf(SESSION, peer.nextId++, {
      alias: 77 + peer.role,
      size: this.#pick([60, 400, 1200]),
    });
    const datagram = { atMs: this.#nowMs, bytes, from: addressOf(peer), peer };
    this.#seen.push(datagram);
    if (this.#seen.length > 400) this.#seen.splice(2, 200);
    if (this.#chance(this.#world.loss) && mayBeLost) return;
    peer.lastOnWireMs = this.#nowMs;
    const copies = this.#chance(this.#world.loss) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      this.#wire.push({ ...datagram, atMs: this.#nowMs + 5 + Math.floor(this.#random() * 40) });
    }
  }

  #poll(): void {
    if (this.#downUntilMs >= 0) return;
    this.#relay.sweep();
    for (let due = this.#relay.takeDue(); due; due = this.#relay.takeDue()) {
      this.#check({ atMs: this.#nowMs, bytes: new Uint8Array(0), from: '', peer: undefined }, due);
    }
  }

  #deliver(datagram: Datagram): Outcome {
    const outcome = this.#relay.send(datagram.bytes, datagram.from);
    this.#check(datagram, outcome);
    return outcome;
  }

  #check(datagram: Datagram, outcome: Outcome): void {
    const { from, peer, bytes } = datagram;
    const before = this.#stored;
    this.#journal();
    for (const role of [0, 1] as const) {
      const [old, now] = [before[role], this.#stored[role]];
      if (old === '' || old === now) continue;
      // Nobody moves a peer but itself, or who copies its packet under the address where it really is.
      const itself = peer?.role === role || now === addressOf(this.peers[role]);
      assert.ok(itself && now === from, `${old} was moved to ${now} by a stranger at ${this.#nowMs} ms`);
      this.rebinds++;
    }
    if (outcome.kind === 'forward') {
      const sender = this.#stored.indexOf(from);
      assert.ok(sender >= 0, `${from} is no peer's address, but its packet was forwarded`);
      assert.equal(outcome.to, this.#stored[1 - sender]);
      const unanswered = (this.#unanswered.get(outcome.to) ?? 0) + bytes.length;
      assert.ok(unanswered <= BUDGET, `${unanswered} bytes to the silent ${outcome.to}`);
      this.#unanswered.set(outcome.to, unanswered);
      if (peer) peer.lastThroughMs = this.#nowMs;
      this.peers[sender as Role].followed = true;
    }
    if (outcome.kind === 'ack') this.peers[this.#stored.indexOf(outcome.to) as Role].followed = false;
    if (outcome.kind === 'forward' || outcome.kind === 'ack') this.#unanswered.delete(from);
    if (outcome.kind === 'reject') {
      assert.ok(!this.#stored.includes(from) || !peer, 'a peer is never rejected');
    }
  }

  /** What the state file would have: each record that changed. */
  #journal(): void {
    for (const slot of this.#relay.dirty.splice(0)) {
      const bytes = this.#relay.record(slot);
      if (!bytes) continue;
      this.#records.set(slot, bytes);
      const record = readRecord(bytes, 0, RELAY_ID)!;
      if (Buffer.compare(record.sessionId, sessionId(SESSION)) === 0) {
        this.#stored = record.peers.map((peer) => (peer ? formatAddress(peer.address, 0) : '')) as [
          string,
          string,
        ];
      }
    }
    for (const slot of this.#relay.removed.splice(0)) this.#records.delete(slot);
  }

  #mishaps(): void {
    const { restarts, rebinds, outageMs } = this.#world;
    if (this.#nowMs < this.#quietUntilMs || !this.#chance(0.0005)) return;
    // One at a time: what has to heal is given the time.
    this.#quietUntilMs = this.#nowMs + 60_000;
    const peer = this.#pick(this.peers);
    const mishap = this.#pick(['restart', 'rebind', 'outage', 'clock'] as const);
    if (mishap === 'restart' && restarts) this.#kill();
    if (mishap === 'rebind' && rebinds && peer.followed) {
      peer.port = NEIGHBOUR_PORT + NEIGHBOUR_PORTS + Math.floor(this.#random() * 30_000);
    }
    if (mishap === 'outage') peer.outageUntilMs = this.#nowMs + this.#random() * outageMs;
    if (mishap === 'clock') this.#relay.wallMs += this.#pick([-60_000, -5000, 5000, 60_000]);
  }

  /** kill -9. */
  #kill(): void {
    this.#relay.balanced();
    this.restarts++;
    this.#downUntilMs = this.#nowMs + this.#random() * 3000;
  }

  /** A new process, with other hash seeds and a monotonic clock that starts anywhere, takes the records. */
  #start(): void {
    this.#downUntilMs = -1;
    for (const peer of this.peers) peer.followed = false;
    const wallMs = this.#relay.wallMs;
    this.#relay = new Harness({
      seed: this.#words(),
      startMs: Math.floor(this.#random() * 1e9),
      startWallMs: wallMs,
    });
    const records = this.#records;
    this.#records = new Map();
    this.#unanswered.clear();
    for (const record of records.values()) assert.equal(this.#relay.restore(record), true);
    this.#journal();
  }

  #attack(): void {
    this.attacks++;
    const own = `203.0.113.${1 + Math.floor(this.#random() * 50)}:${1024 + Math.floor(this.#random() * 60_000)}`;
    const victim = this.#pick(this.peers);
    const copy = this.#pick(this.#seen);
    const [client, server] = this.#seen;
    const token = this.#pick([client!, server!]).bytes;
    const behindTheNat = `${victim.ip}:${NEIGHBOUR_PORT + Math.floor(this.#random() * NEIGHBOUR_PORTS)}`;
    const attack = (bytes: Uint8Array, from: string): void => {
      this.#wire.push({ atMs: this.#nowMs + Math.floor(this.#random() * 30), bytes, from, peer: undefined });
    };
    switch (Math.floor(this.#random() * 10)) {
      case 0:
        return attack(copy.bytes, own);
      case 1:
        // A copy under the peer's own present address.
        return copy.peer ? attack(copy.bytes, addressOf(copy.peer)) : undefined;
      case 2:
        return attack(token, own);
      case 3:
        return attack(token, behindTheNat);
      case 4:
        return attack(riftOf(SESSION, victim.nextId + 5, { alias: 77 + victim.role }), own);
      case 5:
        return attack(riftOf(SESSION, victim.nextId + 10_000_000, { alias: 77 + victim.role }), behindTheNat);
      case 6:
        return attack(forwardOf(SESSION, new Uint8Array(0)).fill(4, 2, 3), own);
      case 7:
        return attack(handshakeOf(SESSION), own);
      case 8: {
        const noise = copy.bytes.slice();
        const at = Math.floor(this.#random() * noise.length);
        noise[at] = noise[at]! ^ (1 << Math.floor(this.#random() * 8));
        return attack(noise, own);
      }
      default:
        for (let i = 0; i < 30; i++) attack(riftOf(100 + i, i + 1), `203.0.113.77:${2000 + i}`);
    }
  }

  #words(): Uint32Array {
    return Uint32Array.from({ length: 4 }, () => Math.floor(this.#random() * 2 ** 32));
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!;
  }
}

function addressOf(peer: Peer): string {
  return `${peer.ip}:${peer.port}`;
}

function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
