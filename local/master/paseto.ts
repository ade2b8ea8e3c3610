import type { KeyObject } from 'node:crypto';
import { sign } from 'node:crypto';

/** Signs a PASETO `v4.public` token (PASETO version 4, "Sign"; RFC 8032 Ed25519), with an empty implicit assertion. */
export function signV4Public(message: string, privateKey: KeyObject, footer = ''): string {
  const payload = Buffer.from(message);
  const foot = Buffer.from(footer);
  const signature = sign(
    null,
    preAuthenticationEncoding([Buffer.from(HEADER), payload, foot, Buffer.alloc(0)]),
    privateKey,
  );
  const body = HEADER + Buffer.concat([payload, signature]).toString('base64url');
  return footer === '' ? body : `${body}.${foot.toString('base64url')}`;
}

/** PAE of the PASETO specification: the count of pieces, then each with its length; 64-bit little-endian, top bit clear. */
export function preAuthenticationEncoding(pieces: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [length64(pieces.length)];
  for (const piece of pieces) parts.push(length64(piece.length), piece);
  return Buffer.concat(parts);
}

const HEADER = 'v4.public.';

function length64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
