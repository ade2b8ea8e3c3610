import { createHash } from 'node:crypto';

import { KeyRing, newKeyRing } from '../../relay/lease/key-ring.ts';
import { LeaseProblem } from '../../relay/lease/lease-problem.ts';
import { verifyLease } from '../../relay/lease/verify-lease.ts';
import type { Lease } from '../../relay/lease/verify-lease.ts';
import type { LeaseVerifier } from '../../relay/pipeline/lease-desk.ts';
import { ADDRESS_WORDS, parseAddress } from '../../relay/protocol/address.ts';
import { formatSessionId, sameSessionId } from '../../relay/protocol/session-id.ts';
import { hex } from './target.ts';
import { ALPHA, keyOf, masterTime, NOW_MS, signV4Public } from '../relay/lease/leases.ts';

/**
 * Who takes part in the fuzzing of the pipeline: pairs of honest peers, strangers, their sessions and their leases. The same
 * in every run; a seed only decides what they do.
 */

export const RELAY_ID = 'relay-of-the-fuzz';
export const PAIRS = 4;
/** Sessions that each pair has, one after the other. */
export const GENERATIONS = 4;
export const STRANGER_SESSIONS = 8;
/** Wall clock at the start, Unix milliseconds. */
export const START_WALL_MS: number = NOW_MS;

export type RoleNumber = 0 | 1;

/** A peer that behaves: it sends from one address, and nobody else sends from there. */
export function peerAddress(pair: number, role: RoleNumber): Int32Array {
  return PEER_ADDRESSES[pair * 2 + role]!;
}

/** The second pair is on IPv6, both peers of the third are behind one NAT. */
const PEER_ADDRESSES: readonly Int32Array[] = addresses([
  '10.0.0.1:5000',
  '10.0.0.2:6000',
  '[2001:db8:1::1]:5001',
  '[2001:db8:2::2]:6001',
  '10.0.2.1:5002',
  '10.0.2.1:6002',
  '10.0.3.1:5003',
  '10.0.3.2:6003',
]);

/** Also at the peers' own hosts and networks, and addresses that no packet should come from. */
export const STRANGERS: readonly Int32Array[] = addresses([
  '10.0.0.1:5001',
  '10.0.0.2:5000',
  '10.0.2.1:1',
  '10.0.3.2:65535',
  '[2001:db8:1::1]:5000',
  '[2001:db8:1::2]:5001',
  '192.0.2.1:4001',
  '192.0.2.2:4001',
  '198.51.100.1:4001',
  '[fe80::1%2]:4001',
  '[fe80::1%3]:4001',
  '127.0.0.1:4001',
  '0.0.0.0:4001',
  '[::]:4001',
  '10.0.0.9:0',
  '224.0.0.1:4001',
  '[ff02::1]:4001',
  '255.255.255.255:4001',
]);

/** Where somebody is who has a lease, though no good intentions. */
export function insiderAddress(session: number, role: RoleNumber): Int32Array {
  return Int32Array.of(0, 0, 0xffff, 0x0a09_0000 | (session << 8) | role, 7000, 0);
}

/** That insider's lease. */
export function insiderLease(session: number, role: RoleNumber): number {
  return LEASES_OF_PAIRS + session * 4 + role;
}

export const STUN_SERVER: Int32Array = parseAddress('198.51.100.200:3478')!;
export const STUN_ID: Uint8Array = Uint8Array.from({ length: 12 }, (_, i) => 100 + i);

export function pairSession(pair: number, generation: number): Uint8Array {
  return digest(`pair ${pair}, session ${generation}`).subarray(0, 16);
}

export function strangerSession(index: number): Uint8Array {
  return digest(`strangers ${index}`).subarray(0, 16);
}

/** What Master signed for one peer; times are Unix milliseconds. */
interface Terms {
  readonly session: Uint8Array;
  readonly role: RoleNumber;
  readonly identity: string;
  readonly issuedMs: number | undefined;
  readonly expiresMs: number;
  readonly softKbps: number;
  readonly hardKbps: number;
}

/** The lease that a pair presents when it meets. */
export function pairLease(pair: number, generation: number, role: RoleNumber, renewed = false): number {
  return ((pair * GENERATIONS + generation) * 2 + role) * PAIR_LEASES + (renewed ? 1 : 0);
}

/** For each peer: its lease, a newer one, and one for somebody else in its place. */
const PAIR_LEASES = 3;
const LEASES_OF_PAIRS = PAIRS * GENERATIONS * 2 * PAIR_LEASES;

const TERMS: readonly Terms[] = [
  ...Array.from({ length: PAIRS * GENERATIONS * 2 }, (_, i): Terms[] => {
    const pair = Math.floor(i / 2 / GENERATIONS);
    const generation = Math.floor(i / 2) % GENERATIONS;
    const role = (i % 2) as RoleNumber;
    const terms: Terms = {
      session: pairSession(pair, generation),
      role,
      identity: `pair ${pair} ${role}`,
      issuedMs: START_WALL_MS,
      expiresMs: START_WALL_MS + 3_500_000,
      softKbps: 50_000,
      hardKbps: 100_000,
    };
    const newer = { ...terms, issuedMs: START_WALL_MS + 1000, expiresMs: START_WALL_MS + 3_550_000 };
    return [terms, newer, { ...newer, identity: 'an impostor', issuedMs: START_WALL_MS + 2000 }];
  }).flat(),
  ...Array.from({ length: STRANGER_SESSIONS * 4 }, (_, i): Terms => {
    const session = Math.floor(i / 4);
    return {
      session: strangerSession(session),
      role: (i % 2) as RoleNumber,
      identity: `stranger ${session % 3} ${i % 2} ${Math.floor(i / 2) % 2}`,
      issuedMs: session % 4 === 0 ? undefined : START_WALL_MS - 1000 * session,
      expiresMs: START_WALL_MS + (session % 2 === 0 ? 60_000 : 3_400_000),
      softKbps: session % 3 === 0 ? 1000 : 50_000,
      hardKbps: session % 3 === 0 ? 1000 : 0xffff_ffff,
    };
  }),
];

/** Leases that strangers have of their own: for their sessions, and for the place of somebody in a pair's. */
export const STRANGERS_LEASES: readonly number[] = TERMS.map((_, lease) => lease).filter(
  (lease) => lease >= LEASES_OF_PAIRS || lease % PAIR_LEASES === PAIR_LEASES - 1,
);

/** Tokens by lease, and who judges them. */
export interface Leases {
  readonly tokens: readonly Uint8Array[];
  readonly verify: LeaseVerifier;
  expiresMs(lease: number): number;
}

/** Tokens that say which lease they stand for, judged in no time: the claims that depend on the clock are still asked. */
export function stubLeases(): Leases {
  // No mutation makes one of another.
  const texts = TERMS.map((_, lease) => `v4.public.${hex(digest(`lease ${lease}`)).slice(0, 32)}`);
  const byText = new Map(texts.map((text, lease) => [text, lease]));
  const leases = TERMS.map(leaseOf);
  return {
    tokens: texts.map((text) => new Uint8Array(Buffer.from(text, 'latin1'))),
    expiresMs: (lease) => TERMS[lease]!.expiresMs,
    verify: (token, sessionId, role, wallMs, insecureIdentity) => {
      const text = Buffer.from(token.buffer, token.byteOffset, token.length).toString('latin1');
      const index = byText.get(text);
      if (index === undefined) return { problem: LeaseProblem.BadSignature };
      const terms = TERMS[index]!;
      if (!sameSessionId(terms.session, 0, sessionId, 0)) return { problem: LeaseProblem.OtherSession };
      if (terms.role !== role) return { problem: LeaseProblem.RoleMismatch };
      if (terms.expiresMs <= wallMs - 30_000) return { problem: LeaseProblem.Expired };
      if (terms.expiresMs > wallMs + 3_600_000) return { problem: LeaseProblem.HorizonTooFar };
      if ((terms.issuedMs ?? 0) > wallMs + 30_000) return { problem: LeaseProblem.NotYetValid };
      const lease = leases[index]!;
      if (insecureIdentity === undefined) return { lease };
      return { lease: { ...lease, identity: insecureIdentity, identityHash: digest(insecureIdentity) } };
    },
  };
}

/** Tokens as Master signs them, judged by the real thing. */
export function signedLeases(): Leases {
  const keyRing = new KeyRing(newKeyRing([keyOf(ALPHA, 'k1')]));
  return {
    tokens: TERMS.map((terms) => {
      const claims = {
        sub: terms.identity,
        sid: formatSessionId(terms.session, 0),
        role: terms.role === 0 ? 'client' : 'server',
        rid: RELAY_ID,
        kid: 'k1',
        exp_rfc3339: masterTime(terms.expiresMs),
        ...(terms.issuedMs !== undefined && { iat_rfc3339: masterTime(terms.issuedMs) }),
        slimit: terms.softKbps,
        hlimit: terms.hardKbps,
      };
      return new Uint8Array(Buffer.from(signV4Public(JSON.stringify(claims), ALPHA.privateKey), 'latin1'));
    }),
    expiresMs: (lease) => TERMS[lease]!.expiresMs,
    verify: (token, sessionId, role, wallMs, insecureIdentity) =>
      verifyLease(token, sessionId, role, { relayId: RELAY_ID, keyRing, nowMs: wallMs, insecureIdentity }),
  };
}

function leaseOf(terms: Terms): Lease {
  return {
    sessionId: terms.session,
    role: terms.role,
    identity: terms.identity,
    identityHash: digest(terms.identity),
    issuedAtMs: terms.issuedMs,
    expiresMs: terms.expiresMs,
    validUntilMs: terms.expiresMs,
    softKbps: terms.softKbps,
    hardKbps: terms.hardKbps,
  };
}

function digest(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest());
}

function addresses(texts: readonly string[]): Int32Array[] {
  return texts.map((text) => {
    const words = parseAddress(text);
    if (words?.length !== ADDRESS_WORDS) throw new Error(`${text} is no address`);
    return words;
  });
}
