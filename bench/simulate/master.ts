/**
 * Wavry's Master as far as it matters to a fleet (wire reference 4), with the rules of local/master/registry.ts, which a test
 * holds it to: a registry, heartbeats, and a relay for each new session. Made for hundreds of thousands of choices.
 */
export class SimMaster {
  readonly #byId = new Map<string, Entry>();
  #entries: Entry[] = [];
  /** When it went down for lack of news: the first one that may be stale. */
  #sweptMs = 0;

  /** False: five relays are registered at this address. */
  register(relayId: string, endpoint: string, maxSessions: number, nowMs: number): boolean {
    this.#sweep(nowMs, 0);
    const address = endpoint.split(':', 1)[0]!;
    let there = 0;
    for (const entry of this.#entries) if (entry.endpoint.startsWith(address)) there += 1;
    if (there >= RELAYS_PER_ADDRESS) return false;
    const entry: Entry = {
      relayId,
      endpoint,
      maxSessions,
      load: 0,
      perSession: 100 / maxSessions,
      lastSeenMs: nowMs,
      state: 'New',
    };
    const before = this.#byId.get(relayId);
    if (before) this.#entries[this.#entries.indexOf(before)] = entry;
    else this.#entries.push(entry);
    this.#byId.set(relayId, entry);
    return true;
  }

  /** False: unknown, register again. */
  heartbeat(relayId: string, loadPct: number, nowMs: number): boolean {
    const entry = this.#byId.get(relayId);
    if (!entry) return false;
    entry.lastSeenMs = nowMs;
    entry.load = loadPct;
    if (entry.state !== 'Draining')
      entry.state = loadPct >= 95 ? 'Degraded' : loadPct >= 85 ? 'Probation' : 'Active';
    return true;
  }

  setState(relayId: string, state: 'Draining' | 'Active'): boolean {
    const entry = this.#byId.get(relayId);
    if (entry) entry.state = state;
    return entry !== undefined;
  }

  /** The least loaded relay, sessions handed out since its last heartbeat included; undefined when there is none. */
  choose(nowMs: number): string | undefined {
    this.#sweep(nowMs, 1000);
    let best: Entry | undefined;
    for (const entry of this.#entries) {
      if (
        (best === undefined || entry.load < best.load) &&
        entry.state !== 'Draining' &&
        entry.state !== 'Quarantined'
      ) {
        best = entry;
      }
    }
    if (!best) return undefined;
    best.load += best.perSession;
    return best.relayId;
  }

  /** `GET /v1/relays`. */
  list(nowMs: number): readonly Entry[] {
    this.#sweep(nowMs, 0);
    return this.#entries;
  }

  /** Today's Master keeps its registry in memory. */
  restart(): void {
    this.#byId.clear();
    this.#entries = [];
  }

  #sweep(nowMs: number, everyMs: number): void {
    if (nowMs - this.#sweptMs < everyMs) return;
    this.#sweptMs = nowMs;
    let forgotten = false;
    for (const entry of this.#entries) {
      const unheardMs = nowMs - entry.lastSeenMs;
      if (unheardMs > PURGE_MS) {
        this.#byId.delete(entry.relayId);
        forgotten = true;
      } else if (unheardMs > UNHEARD_MS && entry.state !== 'Draining') entry.state = 'Quarantined';
    }
    if (forgotten) this.#entries = this.#entries.filter((entry) => this.#byId.has(entry.relayId));
  }
}

export interface Entry {
  readonly relayId: string;
  readonly endpoint: string;
  readonly maxSessions: number;
  readonly perSession: number;
  /** Percent, sessions handed out since the last heartbeat included. */
  load: number;
  lastSeenMs: number;
  state: 'New' | 'Probation' | 'Active' | 'Degraded' | 'Draining' | 'Quarantined';
}

const RELAYS_PER_ADDRESS = 5;
const UNHEARD_MS = 120_000;
const PURGE_MS = 600_000;
