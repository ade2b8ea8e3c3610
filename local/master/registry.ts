/** A relay's standing with Master (wire reference 4). */
export type RelayState = (typeof RELAY_STATES)[number];
export const RELAY_STATES = [
  'New',
  'Probation',
  'Active',
  'Degraded',
  'Draining',
  'Quarantined',
  'Banned',
] as const;

/** What a relay says of itself when it registers. */
export interface Registration {
  readonly relayId: string;
  /** `ip:port`, the first is what peers are sent to. */
  readonly endpoints: readonly string[];
  readonly region: string | null;
  readonly asn: number | null;
  readonly maxSessions: number | null;
  readonly maxBitrateKbps: number;
  readonly features: readonly string[];
}

export interface RelayEntry extends Registration {
  readonly loadPct: number;
  readonly lastSeenMs: number;
  readonly state: RelayState;
  /** Sessions handed to it since its load was last heard. */
  readonly assignedSinceHeard: number;
}

export type RegisterOutcome = 'registered' | 'too many relays at this address' | 'registry full';
export type Choice = { readonly relay: RelayEntry } | { readonly refused: string };

/** Relays whose endpoint begins with the IP of a new one's first endpoint, at most. */
export const RELAYS_PER_ADDRESS = 5;
/** A relay unheard for longer is not assigned and is listed as Quarantined. */
export const UNHEARD_MS = 120_000;
/** A relay unheard for longer is forgotten. */
export const PURGE_MS = 600_000;
/** Anybody may register where no token is set, so the registry has an end. */
export const MAX_RELAYS = 5_000;

const PROBATION_PCT = 85;
const DEGRADED_PCT = 95;
const ASSIGNABLE: ReadonlySet<RelayState> = new Set(['New', 'Probation', 'Active', 'Degraded']);
/** Only an administrator sets these, and no heartbeat takes them back; registering again does (wire reference 4). */
const STAYS: ReadonlySet<RelayState> = new Set(['Draining', 'Banned']);

/** Master's list of relays. Time comes in with each call: milliseconds of one monotonic clock. */
export class Registry {
  readonly #relays = new Map<string, RelayEntry>();

  register(registration: Registration, nowMs: number): RegisterOutcome {
    this.#sweep(nowMs);
    if (this.#countAt(addressOf(registration.endpoints[0]!)) >= RELAYS_PER_ADDRESS) {
      return 'too many relays at this address';
    }
    if (this.#relays.size >= MAX_RELAYS && !this.#relays.has(registration.relayId)) return 'registry full';
    this.#relays.set(registration.relayId, {
      ...registration,
      loadPct: 0,
      lastSeenMs: nowMs,
      state: 'New',
      assignedSinceHeard: 0,
    });
    return 'registered';
  }

  /** False: the relay is unknown and has to register again. */
  heartbeat(relayId: string, loadPct: number, nowMs: number): boolean {
    this.#sweep(nowMs);
    const relay = this.#relays.get(relayId);
    if (!relay) return false;
    const state = STAYS.has(relay.state) ? relay.state : stateAtLoad(loadPct);
    this.#relays.set(relayId, { ...relay, loadPct, state, lastSeenMs: nowMs, assignedSinceHeard: 0 });
    return true;
  }

  setState(relayId: string, state: RelayState, nowMs: number): boolean {
    this.#sweep(nowMs);
    const relay = this.#relays.get(relayId);
    if (!relay) return false;
    this.#relays.set(relayId, { ...relay, state });
    return true;
  }

  list(nowMs: number): RelayEntry[] {
    this.#sweep(nowMs);
    return [...this.#relays.values()];
  }

  assignable(nowMs: number): RelayEntry[] {
    return this.list(nowMs).filter((relay) => ASSIGNABLE.has(relay.state));
  }

  /**
   * Picks the relay for a new session: the one asked for, or the least loaded. Sessions handed out since a relay's load
   * was last heard count as load, so that a burst between two heartbeats spreads.
   */
  choose(nowMs: number, relayId?: string): Choice {
    const all = this.list(nowMs);
    if (relayId !== undefined) {
      const wanted = all.find((relay) => relay.relayId === relayId);
      if (!wanted) return { refused: `no relay ${relayId} is registered` };
      if (!ASSIGNABLE.has(wanted.state)) return { refused: `relay ${relayId} is ${wanted.state}` };
      return this.#assign(wanted);
    }
    const [first, ...rest] = all.filter((relay) => ASSIGNABLE.has(relay.state));
    if (!first) return { refused: whyNone(all) };
    return this.#assign(
      rest.reduce((best, relay) => (expected(relay) < expected(best) ? relay : best), first),
    );
  }

  #assign(relay: RelayEntry): Choice {
    const assigned = { ...relay, assignedSinceHeard: relay.assignedSinceHeard + 1 };
    this.#relays.set(relay.relayId, assigned);
    return { relay: assigned };
  }

  #countAt(address: string): number {
    let count = 0;
    for (const relay of this.#relays.values()) {
      if (relay.endpoints.some((endpoint) => endpoint.startsWith(address))) count++;
    }
    return count;
  }

  #sweep(nowMs: number): void {
    for (const relay of this.#relays.values()) {
      const unheardMs = nowMs - relay.lastSeenMs;
      if (unheardMs > PURGE_MS) this.#relays.delete(relay.relayId);
      else if (unheardMs > UNHEARD_MS && !STAYS.has(relay.state) && relay.state !== 'Quarantined') {
        this.#relays.set(relay.relayId, { ...relay, state: 'Quarantined' });
      }
    }
  }
}

/** Textual on purpose: the part before the first colon, so 10.0.0.1 also counts 10.0.0.11 (wire reference 4). */
function addressOf(endpoint: string): string {
  return endpoint.split(':', 1)[0]!;
}

function stateAtLoad(loadPct: number): RelayState {
  if (loadPct >= DEGRADED_PCT) return 'Degraded';
  return loadPct >= PROBATION_PCT ? 'Probation' : 'Active';
}

function expected(relay: RelayEntry): number {
  return relay.loadPct + (100 * relay.assignedSinceHeard) / (relay.maxSessions || 100);
}

function whyNone(relays: readonly RelayEntry[]): string {
  if (relays.length === 0) return 'no relay is registered';
  const states = relays.map((relay) => `${relay.relayId} is ${relay.state}`);
  const shown = states.slice(0, 3).join(', ');
  return `no relay can be assigned: ${shown}${states.length > 3 ? `, and ${states.length - 3} more` : ''}`;
}
