import { verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { MAX_TOKEN_BYTES } from '../protocol/lease-present.ts';

/**
 * PASETO version 4, purpose public (paseto-spec, "Version4.md"): `v4.public.` base64url(message || signature), and
 * optionally `.` base64url(footer). Ed25519 over the pre-authentication encoding of header, message, footer and implicit
 * assertion.
 */

const HEADER = 'v4.public.';
const HEADER_BYTES: Uint8Array = new TextEncoder().encode(HEADER);
const SIGNATURE_BYTES = 64;
const NOTHING: Uint8Array = new Uint8Array(0);

/** A token's parts; nothing about them is verified yet. */
export interface V4PublicToken {
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  readonly footer: Uint8Array;
}

/** Takes a token of 1 to 8192 characters apart, or undefined when it has not the form of a v4.public token. */
export function parseV4Public(token: string): V4PublicToken | undefined {
  if (token.length > MAX_TOKEN_BYTES || !token.startsWith(HEADER)) return undefined;
  const parts = token.slice(HEADER.length).split('.');
  if (parts.length > 2) return undefined;
  const body = decodeBase64Url(parts[0]!);
  const footer = parts.length === 2 ? decodeBase64Url(parts[1]!) : NOTHING;
  if (!body || body.length < SIGNATURE_BYTES || !footer) return undefined;
  // A footer that is there but empty would be a second spelling of the same token.
  if (parts.length === 2 && footer.length === 0) return undefined;
  return {
    message: body.subarray(0, body.length - SIGNATURE_BYTES),
    signature: body.subarray(body.length - SIGNATURE_BYTES),
    footer,
  };
}

/** Whether the signature is the key's (Ed25519) over this message, footer and implicit assertion (empty as Master signs). */
export function verifyV4Public(
  token: V4PublicToken,
  publicKey: KeyObject,
  implicitAssertion: Uint8Array = NOTHING,
): boolean {
  const signed = preAuthEncode([HEADER_BYTES, token.message, token.footer, implicitAssertion]);
  return verify(null, signed, publicKey, token.signature);
}

/** PAE (paseto-spec, "Common.md"): the number of pieces, then each one's length and bytes; all numbers u64 little-endian. */
export function preAuthEncode(pieces: readonly Uint8Array[]): Uint8Array {
  const encoded = new Uint8Array(pieces.reduce((total, piece) => total + 8 + piece.length, 8));
  const view = new DataView(encoded.buffer);
  view.setUint32(0, pieces.length, true);
  let at = 8;
  for (const piece of pieces) {
    view.setUint32(at, piece.length, true);
    encoded.set(piece, at + 8);
    at += 8 + piece.length;
  }
  return encoded;
}

/**
 * Unpadded base64url (RFC 4648 section 5) in its one canonical spelling, or undefined. Node decodes leniently: it skips what is
 * no base64, takes both alphabets and padding, and ignores surplus bits; encoding again shows all of that.
 */
function decodeBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
