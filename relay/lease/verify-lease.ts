import { createHash } from 'node:crypto';
import { MAX_TOKEN_BYTES } from '../protocol/lease-present.ts';
import { SESSION_ID_BYTES } from '../protocol/header.ts';
import type { Role } from '../protocol/role.ts';
import { judgeClaims } from './claims.ts';
import { parseJsonObject } from './json-object.ts';
import type { KeyRing, VerifyKey } from './key-ring.ts';
import { LeaseProblem } from './lease-problem.ts';
import { parseV4Public, verifyV4Public } from './paseto.ts';
import type { V4PublicToken } from './paseto.ts';

export interface LeaseContext {
  readonly relayId: string;
  readonly keyRing: KeyRing;
  /** The wall clock, Unix milliseconds: it only judges claims (design-relay 3, "Clocks"). */
  readonly nowMs: number;
  /**
   * Insecure development mode when set: signature and key id are not asked, all other claims are, and the peer's identity is
   * this source address (`ip:port`) rather than `sub`, which anybody could have written.
   */
  readonly insecureIdentity?: string | undefined;
}

/** An accepted lease. */
export interface Lease {
  /** 16 bytes, a copy. */
  readonly sessionId: Uint8Array;
  readonly role: Role;
  /** The `sub` claim; in insecure mode the source address. */
  readonly identity: string;
  /** SHA-256 of the identity, 32 bytes: what sessions compare and the state file keeps. */
  readonly identityHash: Uint8Array;
  /** `iat_rfc3339`, Unix milliseconds with a fraction. */
  readonly issuedAtMs: number | undefined;
  /** `exp_rfc3339`, Unix milliseconds. */
  readonly expiresMs: number;
  /** The earlier of `exp_rfc3339` and the registered `exp`, Unix milliseconds: expired from 30 s after it. */
  readonly validUntilMs: number;
  readonly softKbps: number;
  readonly hardKbps: number;
}

export type LeaseVerdict = { readonly lease: Lease } | { readonly problem: LeaseProblem };

/**
 * Judges a presented lease by itself: token form and size, signature, payload, claims, in the order of wire reference 2.
 * What a refusal gets is in LEASE_REFUSALS; rates, roles, capacity and overload are the caller's next questions.
 *
 * `token` is ASCII (lease-present.ts saw to that) and only read during the call; `sessionId` is the header's. Never throws.
 */
export function verifyLease(
  token: Uint8Array,
  sessionId: Uint8Array,
  role: Role,
  context: LeaseContext,
): LeaseVerdict {
  if (token.length === 0) return { problem: LeaseProblem.EmptyToken };
  if (token.length > MAX_TOKEN_BYTES) return { problem: LeaseProblem.NotV4Public };
  const parts = parseV4Public(asciiOf(token));
  if (!parts) return { problem: LeaseProblem.NotV4Public };

  // Read before it is verified, but only for the kid, which says which key to ask.
  const claims = parseJsonObject(parts.message);
  const insecure = context.insecureIdentity !== undefined;
  let keyId: string | undefined;
  if (!insecure) {
    const keys = context.keyRing.keysFor(kidOf(claims), context.nowMs);
    if (keys.length === 0) return { problem: LeaseProblem.NoKey };
    const signer = signerOf(parts, keys);
    if (!signer) return { problem: LeaseProblem.BadSignature };
    keyId = signer.kid;
  }
  if (!claims) return { problem: LeaseProblem.MalformedClaims };

  const judged = judgeClaims(claims, {
    sessionId,
    role,
    relayId: context.relayId,
    keyId,
    nowMs: context.nowMs,
  });
  if ('problem' in judged) return judged;
  const { subject, ...limits } = judged.grant;
  const identity = context.insecureIdentity ?? subject;
  const identityHash = createHash('sha256').update(identity).digest();
  return {
    lease: {
      sessionId: new Uint8Array(sessionId.subarray(0, SESSION_ID_BYTES)),
      role,
      identity,
      identityHash,
      ...limits,
    },
  };
}

function asciiOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function kidOf(claims: ReadonlyMap<string, unknown> | undefined): string | undefined {
  const kid = claims?.get('kid');
  return typeof kid === 'string' ? kid : undefined;
}

function signerOf(token: V4PublicToken, keys: readonly VerifyKey[]): VerifyKey | undefined {
  return keys.find((key) => verifyV4Public(token, key.publicKey));
}
