import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Role } from '../master/lease.ts';
import { nthAddress, parseEndpoint, strangerAddress } from './addresses.ts';
import type { FloodCount } from './flood.ts';
import type { RunningFlood } from './flood-runner.ts';
import { runFlood } from './flood-runner.ts';
import type { Flow } from './flow.ts';
import type { Percentiles } from './histogram.ts';
import { Histogram } from './histogram.ts';
import { newDatagram } from './payload.ts';
import type { Peer } from './peer.ts';
import type { PeersOptions } from './peers-options.ts';
import type { PeersSnapshot, Phase } from './peers-snapshot.ts';
import { Schedule } from './schedule.ts';
import { Session } from './session.ts';
import { Tally } from './tally.ts';
import { Thief } from './thief.ts';

export interface RunningPeers {
  snapshot(): PeersSnapshot;
  /** Resolves when the duration is over and everything is closed; rejects when no lease could be had. */
  readonly done: Promise<PeersSnapshot>;
  /** Ends the traffic now and resolves as `done`. */
  stop(): Promise<PeersSnapshot>;
}

/** Starts peers. Their sockets live in this thread; call it in a worker to keep them off yours. */
export function startPeers(options: PeersOptions): RunningPeers {
  const run = new Run(options);
  const done = run.go();
  return {
    snapshot: () => run.snapshot(),
    done,
    stop: () => {
      run.stop();
      return done;
    },
  };
}

/** Deployed peers ping twice a second. */
const PINGS_PER_SECOND = 2;
const PING_SIZE = 64;
/** A tick of the run, and how often sessions that are being set up are looked at. */
const TICK_MS = 1;
const SETUP_TICK_MS = 50;
const STARTS_AT_ONCE = 8;
const KEEP_ALIVE_TICKS = 20;
/** While something is missing of what was under way when the traffic ended, and something still comes. */
const SETTLE_MS = 10_000;
const SETTLE_TICK_MS = 50;
/** Two seconds: a relay that gets no processor for so long has lost nothing yet. */
const QUIET_TICKS = 2000 / SETTLE_TICK_MS;
/** Far beyond the relay's replay window of 128. */
const OLD_PACKET = 200;
const REPLAY_OLD_EVERY = 64;

class Run {
  readonly #options: PeersOptions;
  readonly #tally = new Tally();
  readonly #overall = new Histogram();
  readonly #sessions: Session[] = [];
  readonly #thieves: Thief[] = [];
  readonly #stopping = new AbortController();
  #phase: Phase = 'setting up';
  #setupTicks = 0;
  #startedMs = 0;
  #endedMs = 0;
  #recent: Percentiles = new Histogram().percentiles();
  #flood: RunningFlood | undefined;
  #floodCount: FloodCount | undefined;
  #data: Buffer;
  #ping = newDatagram(PING_SIZE);
  #dataSchedule = new Schedule(0, 0, 1, 0);
  #pingSchedule = new Schedule(0, 0, 1, 0);
  #senders: Peer[] = [];
  #pingers: Peer[] = [];

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#data = newDatagram(options.size);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async go(): Promise<PeersSnapshot> {
    try {
      await this.#setUp();
      if (!this.#stopping.signal.aborted) await this.#talk();
      await this.#settle();
    } finally {
      if (this.#flood) this.#floodCount = await this.#flood.stop();
      for (const thief of this.#thieves) thief.stop();
      for (const session of this.#sessions) session.close();
      this.#phase = 'done';
    }
    return this.snapshot();
  }

  snapshot(): PeersSnapshot {
    const overall = new Histogram();
    overall.add(this.#overall);
    overall.add(this.#tally.latency);
    const ended = this.#endedMs || performance.now();
    return {
      phase: this.#phase,
      seconds: this.#startedMs ? (ended - this.#startedMs) / 1000 : 0,
      sessions: {
        wanted: this.#options.sessions,
        established: this.#sessions.filter((session) => session.state === 'talking').length,
        failed: this.#sessions.filter((session) => session.state === 'failed').length,
      },
      failures: this.#failures(),
      tally: this.#tally.counts(),
      lost: this.#lost(),
      skipped: this.#dataSchedule.skipped + this.#pingSchedule.skipped,
      recent: this.#recent,
      overall: overall.percentiles(),
      ...(this.#options.copiedToken && { loot: this.#loot() }),
      ...(this.#floodCount && { flood: this.#floodCount }),
    };
  }

  async #setUp(): Promise<void> {
    const perSecond = this.#options.setupRate ?? 250;
    const began = performance.now();
    const ticker = setInterval(() => this.#tickSetup(), SETUP_TICK_MS);
    try {
      const starting = new Set<Promise<void>>();
      const problems: unknown[] = [];
      for (let i = 0; i < this.#options.sessions; i++) {
        const waitMs = began + (1000 * i) / perSecond - performance.now();
        if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
        if (this.#stopping.signal.aborted || problems.length > 0) break;
        const one: Promise<void> = this.#startSession(i)
          .catch((error: unknown) => void problems.push(error))
          .finally(() => starting.delete(one));
        starting.add(one);
        if (starting.size >= STARTS_AT_ONCE) await Promise.race(starting);
      }
      await Promise.all(starting);
      if (problems.length > 0) throw problems[0];
      while (this.#pending().length > 0 && !this.#stopping.signal.aborted) await sleep(5);
    } finally {
      clearInterval(ticker);
    }
  }

  async #startSession(index: number): Promise<void> {
    const { leases, behaviour, bind, leaseSeconds, hardKbps, rate } = this.#options;
    const pair = await leases({
      ...(leaseSeconds !== undefined && { leaseSeconds }),
      ...(hardKbps !== undefined && { hardKbps }),
    });
    const from: Record<Role, string | undefined> = {
      client: bind && nthAddress(bind, 2 * index),
      server: bind && nthAddress(bind, 2 * index + 1),
    };
    // Two seconds of packets are remembered for their latency.
    const remembered = Math.min(65_536, Math.max(64, 2 * (rate + PINGS_PER_SECOND)));
    const session = new Session(pair, behaviour ?? 'deployed', from, remembered, this.#tally);
    await session.start(performance.now());
    this.#sessions.push(session);
  }

  #tickSetup(): void {
    const now = performance.now();
    for (const session of this.#pending()) session.tick(now);
    // Those that are ready must not fall idle while others are being set up.
    for (let i = this.#setupTicks++ % KEEP_ALIVE_TICKS; i < this.#sessions.length; i += KEEP_ALIVE_TICKS) {
      const { state, client, server } = this.#sessions[i]!;
      if (state !== 'talking') continue;
      client.sendHandshake();
      server.sendHandshake();
    }
  }

  async #talk(): Promise<void> {
    const { rate, train = 1, durationSeconds, bidirectional, copiedToken, flood, bind } = this.#options;
    const talking = this.#sessions.filter((session) => session.state === 'talking');
    if (talking.length === 0 && !flood) return;
    if (copiedToken) {
      for (const [i, session] of talking.entries()) {
        const { client } = session.leases;
        this.#thieves.push(await Thief.start(client, strangerAddress(parseEndpoint(client.addr), bind, i)));
      }
    }
    if (flood) await this.#startFlood(flood);
    this.#senders = talking.flatMap(({ client, server }) => (bidirectional ? [server, client] : [server]));
    this.#pingers = talking.flatMap(({ client, server }) => [client, server]);
    this.#startedMs = performance.now();
    this.#dataSchedule = new Schedule(this.#senders.length, rate, train, this.#startedMs);
    this.#pingSchedule = new Schedule(this.#pingers.length, PINGS_PER_SECOND, 1, this.#startedMs);
    this.#phase = 'talking';
    const timers = [
      setInterval(() => this.#tickTraffic(), TICK_MS),
      setInterval(() => this.#turnSecond(), 1000),
      ...this.#chores(talking),
    ];
    const ms = durationSeconds === undefined ? 2 ** 31 - 1 : durationSeconds * 1000;
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => {});
    for (const timer of timers) clearTimeout(timer);
    this.#endedMs = performance.now();
  }

  #chores(talking: readonly Session[]): NodeJS.Timeout[] {
    const { behaviour, renewSeconds = 60, rebindAfterSeconds, leases, leaseSeconds } = this.#options;
    const timers: NodeJS.Timeout[] = [];
    if (behaviour === 'renewing') {
      let round = 0;
      timers.push(
        setInterval(() => {
          const fresh = ++round % 2 === 0;
          for (const session of talking) {
            if (fresh) session.representFresh(leases, leaseSeconds).catch(() => this.#tally.renewalsFailed++);
            else session.renew();
          }
        }, renewSeconds * 1000),
      );
    }
    if (rebindAfterSeconds !== undefined) {
      timers.push(
        setTimeout(() => {
          for (const session of talking) session.client.rebind().catch(() => this.#tally.socketErrors++);
        }, rebindAfterSeconds * 1000),
      );
    }
    return timers;
  }

  async #startFlood(flood: NonNullable<PeersOptions['flood']>): Promise<void> {
    const { leases, bind } = this.#options;
    const first = this.#sessions[0]?.leases ?? (await leases({}));
    const relay = parseEndpoint(first.client.addr);
    const from = Array.from({ length: flood.addresses }, (_, i) => strangerAddress(relay, bind, i));
    this.#flood = await runFlood({ kind: flood.kind, rate: flood.rate, relay, from });
  }

  #tickTraffic(): void {
    const { train = 1, replay } = this.#options;
    const now = performance.now();
    for (let at = this.#dataSchedule.due(now); at >= 0; at = this.#dataSchedule.due(now)) {
      const sender = this.#senders[at]!;
      for (let i = 0; i < train; i++) {
        this.#data = sender.sendNext(this.#data);
        if (replay) this.#replay(sender);
      }
    }
    for (let at = this.#pingSchedule.due(now); at >= 0; at = this.#pingSchedule.due(now)) {
      this.#ping = this.#pingers[at]!.sendNext(this.#ping);
    }
  }

  #replay(sender: Peer): void {
    const { sent } = sender.outgoing;
    this.#data = sender.sendAgain(this.#data, sent);
    if (sent > OLD_PACKET && sent % REPLAY_OLD_EVERY === 0) {
      this.#data = sender.sendAgain(this.#data, sent - OLD_PACKET);
    }
  }

  #turnSecond(): void {
    this.#recent = this.#tally.latency.percentiles();
    this.#overall.add(this.#tally.latency);
    this.#tally.latency.clear();
    this.#flood?.count().then(
      (count) => (this.#floodCount = count),
      () => {},
    );
    this.#options.onSecond?.(this.snapshot());
  }

  async #settle(): Promise<void> {
    this.#phase = 'settling';
    const untilMs = performance.now() + SETTLE_MS;
    let { received } = this.#tally;
    // Turns of this process, as one that stands still hears nothing either.
    for (let quiet = 0; quiet < QUIET_TICKS && performance.now() < untilMs; quiet++) {
      if (this.#flows().every((flow) => flow.lost === 0)) return;
      await sleep(SETTLE_TICK_MS);
      if (received === this.#tally.received) continue;
      received = this.#tally.received;
      quiet = 0;
    }
  }

  #failures(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { state, failure } of this.#sessions) {
      if (state === 'failed') counts[failure] = (counts[failure] ?? 0) + 1;
    }
    return counts;
  }

  #pending(): Session[] {
    return this.#sessions.filter(({ state }) => state === 'presenting' || state === 'handshaking');
  }

  #flows(): Flow[] {
    return this.#sessions.flatMap(({ client, server }) => [client.outgoing, server.outgoing]);
  }

  #lost(): number {
    const over = this.#phase === 'done';
    let lost = 0;
    for (const flow of this.#flows()) lost += over ? flow.lost : flow.arrivals.missing;
    return lost;
  }

  #loot(): NonNullable<PeersSnapshot['loot']> {
    const loot = { presents: 0, acks: 0, stolenPackets: 0 };
    for (const thief of this.#thieves) {
      loot.presents += thief.loot.presents;
      loot.acks += thief.loot.acks;
      loot.stolenPackets += thief.loot.stolenPackets;
    }
    return loot;
  }
}
