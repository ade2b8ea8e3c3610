import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** An Ed25519 public key that leases may be signed with; plain data, fit for structured clone. */
export interface MasterKey {
  /** 64 lower-case hexadecimal digits of a sound curve point. */
  readonly hex: string;
  /** Master's id for the key, where it is known. */
  readonly kid: string | undefined;
}

/** Master's id for the key where it is known, else the one that is derived from it: `k` and its first 16 digits (design-relay 5). */
export function masterKeyId(key: MasterKey): string {
  return key.kid ?? `k${key.hex.slice(0, 16)}`;
}

/** The key as node:crypto verifies with it. Made once a key, not once a lease. */
export function masterKeyObject(key: MasterKey): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key.hex, 'hex').toString('base64url') },
    format: 'jwk',
  });
}
