import { randomUUID } from 'node:crypto';

import type { MasterKey } from './keys.ts';
import { generateKey, publicKeyHex } from './keys.ts';
import type { LeaseTerms, PeerLease, Role } from './lease.ts';
import { DEFAULT_HARD_KBPS, DEFAULT_SOFT_KBPS, issueLease } from './lease.ts';
import type { Fault } from './misbehave.ts';
import type { Choice, RegisterOutcome, RelayEntry, RelayState } from './registry.ts';
import { Registry } from './registry.ts';
import type { RegisterBody, SessionBody } from './requests.ts';

/** Two clocks, so that tests can step one of them. */
export interface Clocks {
  /** Milliseconds that never go back. */
  readonly monotonicMs: () => number;
  /** Nanoseconds since the Unix epoch. */
  readonly unixNs: () => bigint;
}

/** An entry of `GET /v1/relays`. */
export interface RelayListing {
  readonly relay_id: string;
  readonly endpoints: readonly string[];
  readonly load_pct: number;
  readonly last_seen_ms_ago: number;
  readonly max_bitrate_kbps: number;
  readonly state: RelayState;
}

export interface PeerLeases {
  readonly client: PeerLease;
  readonly server: PeerLease;
}

/** What to put into the leases beside what a session request says: claims replaced, or removed when undefined. */
export type ClaimChanges = Readonly<Partial<Record<Role, Readonly<Record<string, unknown>>>>>;

/** Master's state and decisions, without HTTP. */
export class DevMaster {
  readonly #registry = new Registry();
  readonly #clocks: Clocks;
  readonly #leaseSeconds: number;
  readonly #startedMs: number;
  readonly #onNewKey: (key: MasterKey) => void;
  #key: MasterKey;
  #next: MasterKey | undefined;
  #fault: Fault | undefined;
  #calls = { register: 0, heartbeat: 0 };

  constructor(
    key: MasterKey,
    leaseSeconds: number,
    clocks: Clocks,
    onNewKey: (key: MasterKey) => void = () => {},
  ) {
    this.#key = key;
    this.#leaseSeconds = leaseSeconds;
    this.#clocks = clocks;
    this.#startedMs = clocks.monotonicMs();
    this.#onNewKey = onNewKey;
  }

  key(): MasterKey {
    return this.#key;
  }

  /** The key that will sign after the next rotation, so that relays can be told ahead. */
  nextKey(): MasterKey {
    this.#next ??= generateKey();
    return this.#next;
  }

  /** Signs with a new key from now on. Relays learn it when they register again. */
  rotate(): void {
    const key = this.nextKey();
    this.#next = undefined;
    this.#onNewKey(key);
    this.#key = key;
  }

  wavryId(): { public_key: string; key_id: string; version: string } {
    return { public_key: publicKeyHex(this.#key), key_id: this.#key.keyId, version: '1.0' };
  }

  register(body: RegisterBody, maxBitrateKbps: number): RegisterOutcome {
    this.#calls.register++;
    return this.#registry.register(
      {
        relayId: body.relay_id,
        endpoints: body.endpoints,
        region: body.region ?? null,
        asn: body.asn ?? null,
        maxSessions: body.max_sessions ?? null,
        maxBitrateKbps,
        features: body.features ?? [],
      },
      this.#clocks.monotonicMs(),
    );
  }

  heartbeat(relayId: string, loadPct: number): boolean {
    this.#calls.heartbeat++;
    return this.#registry.heartbeat(relayId, loadPct, this.#clocks.monotonicMs());
  }

  setState(relayId: string, state: RelayState): boolean {
    return this.#registry.setState(relayId, state, this.#clocks.monotonicMs());
  }

  /** Every relay with all that it registered. */
  relays(): RelayEntry[] {
    return this.#registry.list(this.#clocks.monotonicMs());
  }

  /** The same as the wire shows it. */
  list(): RelayListing[] {
    const now = this.#clocks.monotonicMs();
    return this.#registry.list(now).map((relay) => ({
      relay_id: relay.relayId,
      endpoints: relay.endpoints,
      load_pct: relay.loadPct,
      last_seen_ms_ago: Math.max(0, Math.floor(now - relay.lastSeenMs)),
      max_bitrate_kbps: relay.maxBitrateKbps,
      state: relay.state,
    }));
  }

  health(): {
    uptime_secs: number;
    relays_registered: number;
    relays_assignable: number;
    signing_key_id: string;
  } {
    const now = this.#clocks.monotonicMs();
    return {
      uptime_secs: Math.floor((now - this.#startedMs) / 1000),
      relays_registered: this.#registry.list(now).length,
      relays_assignable: this.#registry.assignable(now).length,
      signing_key_id: this.#key.keyId,
    };
  }

  /** How many well-formed calls came, whatever the answer. */
  calls(): { readonly register: number; readonly heartbeat: number } {
    return { ...this.#calls };
  }

  /**
   * Leases for both peers of a session, on the relay asked for or the least loaded one. With a `session_id` they are
   * leases of that very session: its relay is not chosen, so its state does not matter.
   */
  session(request: SessionBody = {}, changes: ClaimChanges = {}): PeerLeases | { readonly refused: string } {
    const choice = this.#choose(request);
    if ('refused' in choice) return choice;
    const { relay } = choice;
    const sessionId = request.session_id ?? randomUUID();
    const softKbps = request.soft_kbps ?? DEFAULT_SOFT_KBPS;
    const asked = Object.fromEntries(
      Object.entries(request.claims ?? {}).map(([claim, value]) => [claim, value ?? undefined]),
    );
    const lease = (role: Role): PeerLease => {
      const terms: LeaseTerms = {
        identity: request[role] ?? `${role}-${sessionId}`,
        sessionId,
        role,
        relayId: relay.relayId,
        leaseSeconds: request.lease_seconds ?? this.#leaseSeconds,
        softKbps,
        hardKbps: request.hard_kbps ?? Math.max(softKbps, DEFAULT_HARD_KBPS),
      };
      const token = issueLease(terms, this.#key, this.#clocks.unixNs(), { ...asked, ...changes[role] });
      return { relay_id: relay.relayId, token, addr: relay.endpoints[0]!, session_id: sessionId };
    };
    return { client: lease('client'), server: lease('server') };
  }

  /** Spoils answers to relays from now on; undefined ends it. */
  misbehave(fault: Fault | undefined): void {
    this.#fault = fault;
  }

  /** The fault that the next call has to suffer, counted down. */
  takeFault(call: 'register' | 'heartbeat'): Fault | undefined {
    const fault = this.#fault;
    if (!fault || (fault.only ?? call) !== call) return undefined;
    if (fault.times !== undefined) {
      this.#fault = fault.times > 1 ? { ...fault, times: fault.times - 1 } : undefined;
    }
    return fault;
  }

  #choose({ relay_id, session_id }: SessionBody): Choice {
    const now = this.#clocks.monotonicMs();
    if (session_id === undefined) return this.#registry.choose(now, relay_id);
    const relay = this.#registry.list(now).find((relay) => relay.relayId === relay_id);
    return relay ? { relay } : { refused: `no relay ${relay_id} is registered` };
  }
}
