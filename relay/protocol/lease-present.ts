import { readU16, writeU16 } from './big-endian.ts';
import { HEADER_BYTES, MessageType, writeHeader } from './header.ts';
import { Role } from './role.ts';

/** role u8, token length u16, token (wire reference 1). */
const FIXED_BYTES = 3;
export const MAX_TOKEN_BYTES = 8192;

/** Where {@link parseLeasePresent} puts what it found; its `out` has at least LEASE_PRESENT_WORDS elements. */
export const LEASE_PRESENT_ROLE = 0;
export const LEASE_PRESENT_TOKEN_OFFSET = 1;
export const LEASE_PRESENT_TOKEN_LENGTH = 2;
export const LEASE_PRESENT_WORDS = 3;

/**
 * What is wrong with a LEASE_PRESENT payload. EmptyToken is an authentication failure and answered with reject 2;
 * all others are invalid packets and get no answer (wire reference 2, "What a bad lease gets").
 */
export const LeasePresentProblem = {
  None: 0,
  EmptyToken: 1,
  TooShort: 2,
  UnknownRole: 3,
  TokenBeyondDatagram: 4,
  TokenNotAscii: 5,
} as const;
export type LeasePresentProblem = (typeof LeasePresentProblem)[keyof typeof LeasePresentProblem];

/**
 * Parses the payload of `length` bytes at `offset` (behind the header): role, token offset (within `bytes`) and token
 * length go to `out`, which holds nothing of worth when a problem is returned, but for the role when it is EmptyToken.
 *
 * Bytes after the token are ignored. A token over 8192 bytes needs no code of its own: it never fits a datagram.
 */
export function parseLeasePresent(
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Int32Array,
): LeasePresentProblem {
  if (length < FIXED_BYTES) return LeasePresentProblem.TooShort;
  const role = bytes[offset]!;
  if (role !== Role.Client && role !== Role.Server) return LeasePresentProblem.UnknownRole;
  const tokenLength = readU16(bytes, offset + 1);
  if (tokenLength > length - FIXED_BYTES || tokenLength > MAX_TOKEN_BYTES) {
    return LeasePresentProblem.TokenBeyondDatagram;
  }
  const start = offset + FIXED_BYTES;
  let all = 0;
  for (let at = start; at < start + tokenLength; at++) all |= bytes[at]!;
  if (all > 0x7f) return LeasePresentProblem.TokenNotAscii;
  out[LEASE_PRESENT_ROLE] = role;
  out[LEASE_PRESENT_TOKEN_OFFSET] = start;
  out[LEASE_PRESENT_TOKEN_LENGTH] = tokenLength;
  return tokenLength === 0 ? LeasePresentProblem.EmptyToken : LeasePresentProblem.None;
}

/** A whole LEASE_PRESENT datagram, as a peer sends it. */
export function leasePresentDatagram(sessionId: Uint8Array, role: Role, token: string): Uint8Array {
  const tokenBytes = new TextEncoder().encode(token);
  const datagram = new Uint8Array(HEADER_BYTES + FIXED_BYTES + tokenBytes.length);
  writeHeader(datagram, 0, MessageType.LeasePresent, sessionId, 0);
  datagram[HEADER_BYTES] = role;
  writeU16(datagram, HEADER_BYTES + 1, tokenBytes.length);
  datagram.set(tokenBytes, HEADER_BYTES + FIXED_BYTES);
  return datagram;
}
