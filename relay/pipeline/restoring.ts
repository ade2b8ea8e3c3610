import { ADDRESS_WORDS } from '../protocol/address.ts';
import { writeU32 } from '../protocol/big-endian.ts';
import { SESSION_ID_BYTES } from '../protocol/header.ts';
import {
  addressAt,
  EXPIRES,
  floatsAt,
  ID,
  IDENTITY,
  IDENTITY_WORDS,
  ISSUED_WALL,
  leaseFloatsAt,
  leaseWordsAt,
  wordsAt,
} from '../session/layout.ts';
import { extendLife } from '../session/life.ts';
import { hardKbpsOf, softKbpsOf, startLimits } from '../session/limits.ts';
import { storeIdentity } from '../session/peers.ts';
import { readRecord } from '../session/record.ts';
import type { PeerRecord, SessionRecord } from '../session/record.ts';
import type { Admission } from './admission.ts';
import type { SessionPool } from './session-pool.ts';

/** The longest life that a token can give: its horizon and the tolerance for its clock (design-relay 6). */
const LONGEST_TOKEN_MS = 3_630_000;

/** What the record of the session in `slot` says. */
export function describeSession(
  pool: SessionPool,
  slot: number,
  nowMs: number,
  wallMs: number,
): SessionRecord {
  const { words, floats } = pool.table;
  const sessionId = bytesOf(words, wordsAt(slot) + ID, SESSION_ID_BYTES);
  const peer = (role: number): PeerRecord | undefined => {
    if (!pool.has(slot, role)) return undefined;
    const at = addressAt(slot, role);
    const issuedAtMs = floats[leaseFloatsAt(slot, role) + ISSUED_WALL]!;
    return {
      identityHash: bytesOf(words, leaseWordsAt(slot, role) + IDENTITY, 4 * IDENTITY_WORDS),
      address: words.slice(at, at + ADDRESS_WORDS),
      issuedAtMs: Number.isNaN(issuedAtMs) ? undefined : issuedAtMs,
    };
  };
  return {
    sessionId,
    expiresWallMs: floats[floatsAt(slot) + EXPIRES]! - nowMs + wallMs,
    softKbps: softKbpsOf(pool.table, slot),
    hardKbps: hardKbpsOf(pool.table, slot),
    peers: [peer(0), peer(1)],
  };
}

/**
 * Takes a session back from its record. What is not in it starts anew: the buckets are full, the first sequence of each peer
 * opens its window, no token is known by its bytes, and both addresses count as just heard, so nobody moves a peer at once.
 * False when the record is not sound, not this relay's, over, further ahead than any life can be, or there is no room.
 */
export function restoreSession(
  pool: SessionPool,
  admission: Admission,
  bytes: Uint8Array,
  relayId: string,
  leaseDurationMs: number,
  nowMs: number,
  wallMs: number,
): boolean {
  const record = readRecord(bytes, 0, relayId);
  if (!record) return false;
  const leftMs = record.expiresWallMs - wallMs;
  if (leftMs <= 0 || leftMs > Math.max(leaseDurationMs, LONGEST_TOKEN_MS)) return false;
  if (pool.isFull || pool.table.find(record.sessionId, 0) >= 0 || !admission.tryHold()) return false;
  const slot = pool.open(record.sessionId, 0);
  startLimits(pool.table, slot, record.softKbps, record.hardKbps, nowMs);
  for (const [role, peer] of record.peers.entries()) {
    if (!peer) continue;
    pool.join(slot, role, peer.address, 0, nowMs);
    storeIdentity(pool.table.words, slot, role, peer.identityHash);
    pool.table.floats[leaseFloatsAt(slot, role) + ISSUED_WALL] = peer.issuedAtMs ?? Number.NaN;
  }
  extendLife(pool.table.floats, slot, nowMs + leftMs);
  pool.journal(slot);
  return true;
}

function bytesOf(words: Int32Array, base: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 4) writeU32(bytes, at, words[base + at / 4]!);
  return bytes;
}
