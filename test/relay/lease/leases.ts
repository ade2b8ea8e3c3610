import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { MasterKey } from '../../../relay/lease/verification-key.ts';
import { preAuthEncode } from '../../../relay/lease/paseto.ts';
import type { LeaseVerdict } from '../../../relay/lease/verify-lease.ts';

/** A key pair that a Master of these tests signs with. */
export interface Signer {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly publicBytes: Uint8Array;
  readonly hex: string;
}

/** RFC 8410 section 7: what stands before the 32 bytes of an Ed25519 seed in PKCS #8. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

export function signerOf(seed: Uint8Array): Signer {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey(privateKey);
  const publicBytes = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'));
  return { privateKey, publicKey, publicBytes, hex: Buffer.from(publicBytes).toString('hex') };
}

export const ALPHA: Signer = signerOf(new Uint8Array(32).fill(1));
export const BETA: Signer = signerOf(new Uint8Array(32).fill(2));

export function keyOf(signer: Signer, kid?: string): MasterKey {
  return { hex: signer.hex, kid };
}

/** PASETO v4.public Sign (paseto-spec, "Version4.md"). */
export function signV4Public(
  message: string | Uint8Array,
  privateKey: KeyObject,
  footer = '',
  implicitAssertion = '',
): string {
  const encoder = new TextEncoder();
  const bytes = typeof message === 'string' ? encoder.encode(message) : message;
  const header = 'v4.public.';
  const signed = preAuthEncode([
    encoder.encode(header),
    bytes,
    encoder.encode(footer),
    encoder.encode(implicitAssertion),
  ]);
  const body = Buffer.concat([bytes, sign(null, signed, privateKey)]).toString('base64url');
  return header + body + (footer === '' ? '' : `.${Buffer.from(footer).toString('base64url')}`);
}

export const SESSION = '550e8400-e29b-41d4-a716-446655440000';
export const RELAY = 'relay-7';
/** 2026-02-13T10:00:00Z. */
export const NOW_MS: number = Date.UTC(2026, 1, 13, 10);

/** RFC 3339 as Master writes it: nine fractional digits and a numeric offset. */
export function masterTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.(\d{3})Z$/, '.$1456789+00:00');
}

/** The claims of a lease that Master issues at `atMs` for 900 s; registered ones in whole seconds, `exp` an hour ahead. */
export function masterClaims(atMs: number = NOW_MS): Record<string, unknown> {
  const seconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, '+00:00');
  return {
    iat: seconds(atMs),
    nbf: seconds(atMs),
    exp: seconds(atMs + 3_600_000),
    sub: 'wavry-id-1',
    sid: SESSION,
    role: 'client',
    rid: RELAY,
    kid: 'k1',
    iat_rfc3339: masterTime(atMs),
    nbf_rfc3339: masterTime(atMs - 5000),
    exp_rfc3339: masterTime(atMs + 900_000),
    slimit: 20_000,
    hlimit: 40_000,
  };
}

/** The problem's name, or `accepted`. */
export function outcomeOf(verdict: LeaseVerdict | { readonly grant: object }): string {
  return 'problem' in verdict ? verdict.problem : 'accepted';
}
