import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  ADDRESS_PORT,
  ADDRESS_SCOPE,
  ADDRESS_WORDS,
  isBroadcast,
  isMulticast,
  isUnspecified,
  sameAddress,
} from '../protocol/address.ts';
import { SESSION_ID_BYTES } from '../protocol/header.ts';
import { isNilSessionId } from '../protocol/session-id.ts';

/**
 * A session as the state file keeps it (design-relay 6, "State directory"): 256 bytes, big-endian.
 *
 *   0  magic "WSES"            24  first 16 bytes of SHA-256 of the relay id   56  client, 64 bytes
 *   4  format version u16      40  expiry f64, Unix ms                        120  server, 64 bytes
 *   6  peers u8 (1, 2, 3)      48  soft limit u32, kbps                       184  zeros
 *   8  session id              52  hard limit u32, kbps                       252  CRC-32 of bytes 0..252
 *
 * A peer: SHA-256 of its identity (32), address words (4 times 4), port u16, two zeros, scope u32, the token's iat f64 (Unix
 * ms, NaN for none). An absent peer is zeros. All zeros is a free place, not a record.
 */
export const RECORD_BYTES = 256;
export const RECORD_SESSION_ID_OFFSET = 8;

export interface SessionRecord {
  /** 16 bytes. */
  readonly sessionId: Uint8Array;
  /** When the session's life ends, Unix milliseconds. */
  readonly expiresWallMs: number;
  readonly softKbps: number;
  readonly hardKbps: number;
  /** By role; at least one is there. */
  readonly peers: readonly [PeerRecord | undefined, PeerRecord | undefined];
}

export interface PeerRecord {
  /** SHA-256, 32 bytes. */
  readonly identityHash: Uint8Array;
  /** Six words (address.ts). */
  readonly address: Int32Array;
  /** `iat_rfc3339` of the peer's current token, Unix milliseconds. */
  readonly issuedAtMs: number | undefined;
}

/** `free`: all zeros. `corrupt`: wrong magic, format version or checksum. Says nothing about whether it has expired. */
export type RecordState = 'sound' | 'free' | 'corrupt' | 'other-relay';

const MAGIC = 0x57534553;
const FORMAT_VERSION = 1;
const VERSION_OFFSET = 4;
const PEERS_OFFSET = 6;
const RELAY_KEY_OFFSET = 24;
const RELAY_KEY_BYTES = 16;
const EXPIRES_OFFSET = 40;
const SOFT_OFFSET = 48;
const HARD_OFFSET = 52;
const PEER_OFFSET = 56;
const PEER_BYTES = 64;
const IDENTITY_BYTES = 32;
const ADDRESS_OFFSET = 32;
const PORT_OFFSET = 48;
const SCOPE_OFFSET = 52;
const ISSUED_OFFSET = 56;
const CHECKSUM_OFFSET = 252;

/** What records have in place of the relay's id, 16 bytes. */
export function relayKey(relayId: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(relayId).digest().subarray(0, RELAY_KEY_BYTES));
}

export function checkRecord(bytes: Uint8Array, offset: number, relayId: string): RecordState {
  const record = bytes.subarray(offset, offset + RECORD_BYTES);
  if (record.length < RECORD_BYTES) return 'corrupt';
  if (record.every((byte) => byte === 0)) return 'free';
  const view = viewOf(record);
  if (
    view.getUint32(0) !== MAGIC ||
    view.getUint16(VERSION_OFFSET) !== FORMAT_VERSION ||
    view.getUint32(CHECKSUM_OFFSET) !== crc32(record.subarray(0, CHECKSUM_OFFSET))
  ) {
    return 'corrupt';
  }
  const key = relayKey(relayId);
  return key.every((byte, i) => record[RELAY_KEY_OFFSET + i] === byte) ? 'sound' : 'other-relay';
}

export function writeRecord(record: SessionRecord, key: Uint8Array, out: Uint8Array, offset: number): void {
  const bytes = out.subarray(offset, offset + RECORD_BYTES);
  const view = viewOf(bytes);
  bytes.fill(0);
  view.setUint32(0, MAGIC);
  view.setUint16(VERSION_OFFSET, FORMAT_VERSION);
  bytes.set(record.sessionId, RECORD_SESSION_ID_OFFSET);
  bytes.set(key, RELAY_KEY_OFFSET);
  view.setFloat64(EXPIRES_OFFSET, record.expiresWallMs);
  view.setUint32(SOFT_OFFSET, record.softKbps);
  view.setUint32(HARD_OFFSET, record.hardKbps);
  for (const [role, peer] of record.peers.entries()) {
    if (!peer) continue;
    bytes[PEERS_OFFSET] = bytes[PEERS_OFFSET]! | (1 << role);
    const at = PEER_OFFSET + role * PEER_BYTES;
    bytes.set(peer.identityHash, at);
    for (let i = 0; i < 4; i++) view.setInt32(at + ADDRESS_OFFSET + 4 * i, peer.address[i]!);
    view.setUint16(at + PORT_OFFSET, peer.address[ADDRESS_PORT]!);
    view.setUint32(at + SCOPE_OFFSET, peer.address[ADDRESS_SCOPE]!);
    view.setFloat64(at + ISSUED_OFFSET, peer.issuedAtMs ?? Number.NaN);
  }
  view.setUint32(CHECKSUM_OFFSET, crc32(bytes.subarray(0, CHECKSUM_OFFSET)));
}

/**
 * The session of a record of this relay, or undefined when {@link checkRecord} does not find it sound, or when no relay would
 * have written it (anybody allowed to write the directory can make a checksum): such as port 0, or one address for both.
 */
export function readRecord(bytes: Uint8Array, offset: number, relayId: string): SessionRecord | undefined {
  if (checkRecord(bytes, offset, relayId) !== 'sound') return undefined;
  const record = bytes.slice(offset, offset + RECORD_BYTES);
  const view = viewOf(record);
  const present = record[PEERS_OFFSET]!;
  const expiresWallMs = view.getFloat64(EXPIRES_OFFSET);
  const softKbps = view.getUint32(SOFT_OFFSET);
  const hardKbps = view.getUint32(HARD_OFFSET);
  if (isNilSessionId(record, RECORD_SESSION_ID_OFFSET) || present < 1 || present > 3) return undefined;
  if (!Number.isFinite(expiresWallMs) || softKbps === 0 || hardKbps < softKbps) return undefined;
  const client = (present & 1) !== 0 ? readPeer(record, view, PEER_OFFSET) : undefined;
  const server = (present & 2) !== 0 ? readPeer(record, view, PEER_OFFSET + PEER_BYTES) : undefined;
  if (![client, server].every((peer) => peer === undefined || isPossible(peer))) return undefined;
  if (client && server && sameAddress(client.address, 0, server.address, 0)) return undefined;
  return {
    sessionId: record.subarray(RECORD_SESSION_ID_OFFSET, RECORD_SESSION_ID_OFFSET + SESSION_ID_BYTES),
    expiresWallMs,
    softKbps,
    hardKbps,
    peers: [client, server],
  };
}

function readPeer(record: Uint8Array, view: DataView, at: number): PeerRecord {
  const address = new Int32Array(ADDRESS_WORDS);
  for (let i = 0; i < 4; i++) address[i] = view.getInt32(at + ADDRESS_OFFSET + 4 * i);
  address[ADDRESS_PORT] = view.getUint16(at + PORT_OFFSET);
  address[ADDRESS_SCOPE] = view.getUint32(at + SCOPE_OFFSET);
  const issuedAtMs = view.getFloat64(at + ISSUED_OFFSET);
  return {
    identityHash: record.subarray(at, at + IDENTITY_BYTES),
    address,
    issuedAtMs: Number.isFinite(issuedAtMs) ? issuedAtMs : undefined,
  };
}

function isPossible({ address }: PeerRecord): boolean {
  return (
    address[ADDRESS_PORT] !== 0 &&
    !isUnspecified(address, 0) &&
    !isMulticast(address, 0) &&
    !isBroadcast(address, 0)
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
