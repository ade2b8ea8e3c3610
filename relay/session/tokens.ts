import { CLOCK_TOLERANCE_MS } from '../lease/claims.ts';
import type { Lease } from '../lease/verify-lease.ts';
import {
  ISSUED_WALL,
  JUDGED_WALL,
  leaseFloatsAt,
  leaseWordsAt,
  STATE,
  TOKEN,
  TOKEN_EXPIRES_WALL,
  tokenBit,
  VALID_UNTIL_WALL,
  wordsAt,
} from './layout.ts';
import { sameDigest, storeDigest } from './peers.ts';
import type { SessionTable } from './table.ts';

/**
 * What a session keeps of each peer's current token: its SHA-256 and its times.
 *
 * The digest stands for the token's bytes: two tokens with one SHA-256 are not to be had, 32 bytes bound what 20,000 peers
 * take, and hashing costs a hundredth of a verification. Bytes behind the token, which anybody may add, are not in it.
 */

/** Whether the token with this SHA-256 (32 bytes) is the one that the peer presented last. */
export function isCurrentToken(table: SessionTable, slot: number, role: number, digest: Uint8Array): boolean {
  const known = (table.words[wordsAt(slot) + STATE]! & tokenBit(role)) !== 0;
  return known && sameDigest(table.words, leaseWordsAt(slot, role) + TOKEN, digest);
}

/**
 * Whether judging the current token's claims again could only come to the same result. Between its judging and its end a
 * lease that was early enough and not too far ahead stays so; a clock that stepped back before it was judged asks anew.
 */
export function stillHolds(table: SessionTable, slot: number, role: number, wallMs: number): boolean {
  const at = leaseFloatsAt(slot, role);
  return (
    wallMs >= table.floats[at + JUDGED_WALL]! &&
    table.floats[at + VALID_UNTIL_WALL]! > wallMs - CLOCK_TOLERANCE_MS
  );
}

/** By `iat_rfc3339`; a token without one is neither newer nor older than any. */
export function isNewerToken(table: SessionTable, slot: number, role: number, lease: Lease): boolean {
  return lease.issuedAtMs !== undefined && lease.issuedAtMs > issuedMs(table, slot, role);
}

export function isOlderToken(table: SessionTable, slot: number, role: number, lease: Lease): boolean {
  return lease.issuedAtMs !== undefined && lease.issuedAtMs < issuedMs(table, slot, role);
}

/** `judgedWallMs`: when the lease was judged, Unix milliseconds. */
export function storeToken(
  table: SessionTable,
  slot: number,
  role: number,
  lease: Lease,
  digest: Uint8Array,
  judgedWallMs: number,
): void {
  const { words, floats } = table;
  const at = leaseFloatsAt(slot, role);
  // A token without a date must not make older ones look new again.
  if (lease.issuedAtMs !== undefined) floats[at + ISSUED_WALL] = lease.issuedAtMs;
  floats[at + TOKEN_EXPIRES_WALL] = lease.expiresMs;
  floats[at + JUDGED_WALL] = judgedWallMs;
  floats[at + VALID_UNTIL_WALL] = lease.validUntilMs;
  storeDigest(words, leaseWordsAt(slot, role) + TOKEN, digest);
  words[wordsAt(slot) + STATE] = words[wordsAt(slot) + STATE]! | tokenBit(role);
}

function issuedMs(table: SessionTable, slot: number, role: number): number {
  return table.floats[leaseFloatsAt(slot, role) + ISSUED_WALL]!;
}
