import type { MasterKey } from './keys.ts';
import { signV4Public } from './paseto.ts';

export type Role = 'client' | 'server';

/** What a lease says, in the units of its claims. */
export interface LeaseTerms {
  /** The peer's Wavry id. */
  readonly identity: string;
  readonly sessionId: string;
  readonly role: Role;
  readonly relayId: string;
  readonly leaseSeconds: number;
  readonly softKbps: number;
  readonly hardKbps: number;
}

/** What a peer gets from Master over its websocket (wire reference 4). */
export interface PeerLease {
  readonly relay_id: string;
  readonly token: string;
  readonly addr: string;
  readonly session_id: string;
}

export const DEFAULT_LEASE_SECONDS = 900;
export const MIN_LEASE_SECONDS = 60;
export const MAX_LEASE_SECONDS = 3600;
export const DEFAULT_SOFT_KBPS = 50_000;
export const DEFAULT_HARD_KBPS = 100_000;

/** The claims of a lease as Master writes them (wire reference 2). `unixNs` is the time of issue. */
export function leaseClaims(terms: LeaseTerms, keyId: string, unixNs: bigint): Record<string, unknown> {
  const wholeSeconds = unixNs - (unixNs % SECOND);
  return {
    iat: registeredTime(wholeSeconds),
    nbf: registeredTime(wholeSeconds),
    exp: registeredTime(wholeSeconds + REGISTERED_EXPIRY),
    sub: terms.identity,
    sid: terms.sessionId,
    role: terms.role,
    wavry_id: terms.identity,
    exp_rfc3339: rfc3339(unixNs + BigInt(terms.leaseSeconds) * SECOND),
    rid: terms.relayId,
    kid: keyId,
    iat_rfc3339: rfc3339(unixNs),
    nbf_rfc3339: rfc3339(unixNs - NOT_BEFORE_LEEWAY),
    slimit: terms.softKbps,
    hlimit: terms.hardKbps,
  };
}

/** A signed lease. `changes` replaces claims, or removes those given as undefined: for tests of bad leases. */
export function issueLease(
  terms: LeaseTerms,
  key: MasterKey,
  unixNs: bigint,
  changes: Readonly<Record<string, unknown>> = {},
): string {
  return signV4Public(
    JSON.stringify({ ...leaseClaims(terms, key.keyId, unixNs), ...changes }),
    key.privateKey,
  );
}

/** `2026-02-13T10:00:00.123456789+00:00`. */
export function rfc3339(unixNs: bigint): string {
  const fraction = String(unixNs % SECOND).padStart(9, '0');
  return `${toSeconds(unixNs)}.${fraction}+00:00`;
}

const SECOND = 1_000_000_000n;
const REGISTERED_EXPIRY = 3600n * SECOND;
const NOT_BEFORE_LEEWAY = 5n * SECOND;

/** `2026-02-13T10:00:00Z`, the form in which Master's PASETO library writes its registered claims. */
function registeredTime(unixNs: bigint): string {
  return `${toSeconds(unixNs)}Z`;
}

function toSeconds(unixNs: bigint): string {
  return new Date(Number(unixNs / 1_000_000n)).toISOString().slice(0, 19);
}
