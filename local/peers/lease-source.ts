import { randomUUID } from 'node:crypto';

import type { PeerLeases } from '../master/dev-master.ts';
import { readKeyFile } from '../master/keys.ts';
import type { Role } from '../master/lease.ts';
import { DEFAULT_HARD_KBPS, DEFAULT_LEASE_SECONDS, DEFAULT_SOFT_KBPS, issueLease } from '../master/lease.ts';

/** What to ask for. Claims that are null are left out. */
export interface LeaseRequest {
  /** Fresh leases for this session; a new session without it. */
  readonly sessionId?: string;
  readonly relayId?: string;
  readonly leaseSeconds?: number;
  readonly hardKbps?: number;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Where the two leases of a session come from. Rejects with an error that says why there are none. */
export type LeaseSource = (request: LeaseRequest) => Promise<PeerLeases>;

/** A development Master's `POST /dev/sessions`. */
export function leasesFromMaster(url: string): LeaseSource {
  const target = `${url.replace(/\/+$/, '')}/dev/sessions`;
  return async (request) => {
    const response = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        session_id: request.sessionId,
        relay_id: request.relayId,
        lease_seconds: request.leaseSeconds,
        hard_kbps: request.hardKbps,
        claims: request.claims,
      }),
      signal: AbortSignal.timeout(MASTER_TIMEOUT_MS),
    }).catch((error: unknown) => {
      throw new Error(`no answer from Master at ${url}: ${reason(error)}`);
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`Master gives no lease: ${problemIn(text)} (HTTP ${response.status})`);
    return JSON.parse(text) as PeerLeases;
  };
}

/** Leases signed here with Master's key, for a relay of which Master need not know. */
export function mintedLeases(relay: string, relayId: string, keyFile: string): LeaseSource {
  const key = readKeyFile(keyFile);
  let lastNs = 0n;
  return (request) => {
    const now = BigInt(Date.now()) * 1_000_000n;
    // Later leases have to be newer ones.
    lastNs = now > lastNs ? now : lastNs + 1000n;
    const session_id = request.sessionId ?? randomUUID();
    const changes = Object.fromEntries(
      Object.entries(request.claims ?? {}).map(([name, value]) => [name, value ?? undefined]),
    );
    const lease = (role: Role): PeerLeases[Role] => {
      const terms = {
        identity: `${role}-${session_id}`,
        sessionId: session_id,
        role,
        relayId,
        leaseSeconds: request.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
        softKbps: DEFAULT_SOFT_KBPS,
        hardKbps: request.hardKbps ?? DEFAULT_HARD_KBPS,
      };
      return { relay_id: relayId, token: issueLease(terms, key, lastNs, changes), addr: relay, session_id };
    };
    return Promise.resolve({ client: lease('client'), server: lease('server') });
  };
}

const MASTER_TIMEOUT_MS = 10_000;

function reason(error: unknown): string {
  const cause = (error as Error).cause;
  return cause instanceof Error && cause.message ? cause.message : (error as Error).message;
}

function problemIn(text: string): string {
  try {
    return String((JSON.parse(text) as { error: unknown }).error);
  } catch {
    return text.slice(0, 200);
  }
}
