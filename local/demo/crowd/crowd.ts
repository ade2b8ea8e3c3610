import { performance } from 'node:perf_hooks';

import type { RelayListing } from '../../master/dev-master.ts';
import type { LeaseSource } from '../../peers/lease-source.ts';
import type { CrowdReport, CrowdTotal, RelayTraffic } from './crowd-report.ts';
import { Pair } from './pair.ts';

export interface CrowdOptions {
  readonly leases: LeaseSource;
  /** What Master lists at the moment. */
  readonly relays: () => Promise<readonly RelayListing[]>;
  /** Sessions that each relay is given. */
  readonly perRelay: number;
  readonly rate: number;
  readonly size: number;
  readonly lifeSeconds: { readonly least: number; readonly most: number };
  /** 0 to 1, as Math.random. */
  readonly random: () => number;
}

/**
 * Keeps some sessions on every relay that takes them. Each lasts a while and is followed by another, so that a relay that
 * drains loses its sessions one by one, and a new one gets its own.
 */
export class Crowd {
  readonly #options: CrowdOptions;
  readonly #pairs = new Set<Pair>();
  readonly #failures: Record<string, number> = {};
  #past: CrowdTotal = NOTHING;
  #startedMs = 0;
  #stopped = false;

  constructor(options: CrowdOptions) {
    this.#options = options;
  }

  /** To be called once a second: fills up and tells how it goes. */
  async second(): Promise<CrowdReport> {
    const relays = this.#traffic();
    const total = this.#total();
    if (this.#startedMs === 0 && total.received > 0) this.#startedMs = performance.now();
    const report = {
      seconds: this.#startedMs === 0 ? 0 : (performance.now() - this.#startedMs) / 1000,
      relays,
      total,
      failures: this.#failures,
    };
    try {
      const listed = (await this.#options.relays()).filter(isHeard);
      this.#fillUp(listed);
      return { ...report, registered: listed.length };
    } catch (error) {
      return { ...report, registered: 0, trouble: (error as Error).message };
    }
  }

  async stop(): Promise<CrowdReport> {
    this.#stopped = true;
    await Promise.all([...this.#pairs].map((pair) => pair.stop()));
    const total = this.#total();
    const seconds = this.#startedMs === 0 ? 0 : (performance.now() - this.#startedMs) / 1000;
    return { seconds, registered: 0, relays: {}, total, failures: this.#failures };
  }

  #fillUp(listed: readonly RelayListing[]): void {
    if (this.#stopped) return;
    const { perRelay, lifeSeconds, random, leases, rate, size } = this.#options;
    const busy = [...this.#pairs].map((pair) => pair.relayId);
    for (const relayId of relaysInNeed(listed, busy, perRelay)) {
      const life = lifeSeconds.least + random() * (lifeSeconds.most - lifeSeconds.least);
      const pair = new Pair({ relayId, leases, rate, size, lifeSeconds: life });
      this.#pairs.add(pair);
      void pair.ended.then((failure) => {
        this.#pairs.delete(pair);
        this.#past = sum(this.#past, pair.total());
        if (failure !== undefined && !this.#stopped)
          this.#failures[failure] = (this.#failures[failure] ?? 0) + 1;
      });
    }
  }

  #traffic(): Record<string, RelayTraffic> {
    const relays: Record<string, RelayTraffic> = {};
    for (const pair of this.#pairs) {
      const now = pair.second();
      const other = relays[pair.relayId] ?? IDLE;
      relays[pair.relayId] = {
        sessions: other.sessions + now.sessions,
        packets: other.packets + now.packets,
        bytes: other.bytes + now.bytes,
        p50: Math.max(other.p50, now.p50),
        p99: Math.max(other.p99, now.p99),
        lost: other.lost + now.lost,
      };
    }
    return relays;
  }

  #total(): CrowdTotal {
    return [...this.#pairs].map((pair) => pair.total()).reduce(sum, this.#past);
  }
}

/** The relay of each session that is missing. */
export function relaysInNeed(
  listed: readonly RelayListing[],
  busy: readonly string[],
  perRelay: number,
): string[] {
  return listed
    .filter(({ state }) => !CLOSED.has(state))
    .flatMap(({ relay_id }) => {
      const has = busy.filter((id) => id === relay_id).length;
      return Array<string>(Math.max(0, perRelay - has)).fill(relay_id);
    });
}

/** Master goes on listing a relay that has gone; nobody should be sent there. */
export function isHeard({ last_seen_ms_ago }: RelayListing): boolean {
  return last_seen_ms_ago < UNHEARD_MS;
}

const CLOSED: ReadonlySet<RelayListing['state']> = new Set(['Draining', 'Quarantined', 'Banned']);
/** Three heartbeats as the demo’s Master asks for them, and one as Master does by default. */
const UNHEARD_MS = 7000;
const IDLE: RelayTraffic = { sessions: 0, packets: 0, bytes: 0, p50: 0, p99: 0, lost: 0 };
const NOTHING: CrowdTotal = { sessions: 0, sent: 0, received: 0, receivedBytes: 0, lost: 0, wrong: 0 };

function sum(a: CrowdTotal, b: CrowdTotal): CrowdTotal {
  return {
    sessions: a.sessions + b.sessions,
    sent: a.sent + b.sent,
    received: a.received + b.received,
    receivedBytes: a.receivedBytes + b.receivedBytes,
    lost: a.lost + b.lost,
    wrong: a.wrong + b.wrong,
  };
}
