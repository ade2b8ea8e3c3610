import { readU16, readU32, writeU16, writeU32 } from './big-endian.ts';
import { crc16Kermit } from './crc16.ts';

/**
 * The sequence number of a FORWARD payload (wire reference 1, "FORWARD payload"). The relay is blind to all else in it.
 *
 * RIFT, when the payload starts with "RI":
 *   transport  magic u16, version u16, alias u32 at 4, packet id u64 at 8, CRC u16 at 16 over bytes 0..16
 *   handshake  magic u16, version u16, session id u128 at 4, packet id u64 at 20, CRC u16 at 28 over bytes 0..28
 * Bytes 4..8 all zero and 30 bytes or more mean handshake, anything else transport. Otherwise: u64 in the first 8 bytes.
 */

const RIFT_VERSION = 1;
export const RIFT_TRANSPORT_BYTES = 18;
export const RIFT_HANDSHAKE_BYTES = 30;
const PLAIN_SEQUENCE_BYTES = 8;

export const ForwardKind = { Plain: 0, RiftTransport: 1, RiftHandshake: 2 } as const;
export type ForwardKind = (typeof ForwardKind)[keyof typeof ForwardKind];

/** Each of them makes the datagram an invalid packet, without an answer. */
export const ForwardProblem = { None: 0, TooShort: 1, BadVersion: 2, BadCrc: 3 } as const;
export type ForwardProblem = (typeof ForwardProblem)[keyof typeof ForwardProblem];

/** Where {@link forwardSequence} puts what it found; its `out` has at least FORWARD_WORDS elements. */
export const FORWARD_HIGH = 0;
export const FORWARD_LOW = 1;
export const FORWARD_ALIAS = 2;
export const FORWARD_KIND = 3;
export const FORWARD_WORDS = 4;

/**
 * Reads the payload of `length` bytes at `offset` (behind the relay header): high and low word of the sequence, alias
 * (0 unless RIFT transport) and {@link ForwardKind} go to `out`, which holds nothing of worth when a problem is returned.
 *
 * A payload that starts with "RI" is RIFT whatever its length, so one of 2 to 17 bytes is TooShort, even where its first
 * 8 bytes could pass for a plain sequence. With 18 to 29 bytes and bytes 4..8 zero it is a transport header of alias 0.
 *
 * Packet id 0 of a RIFT packet is the handshake's and is carried by every handshake message and its repetitions: it is
 * never a replay and never moves the window; a sender gets 20 of them a second through. That is the caller's to apply,
 * before it asks the replay window.
 */
export function forwardSequence(
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint32Array,
): ForwardProblem {
  if (length < PLAIN_SEQUENCE_BYTES) return ForwardProblem.TooShort;
  if (bytes[offset] !== 0x52 || bytes[offset + 1] !== 0x49) {
    out[FORWARD_HIGH] = readU32(bytes, offset);
    out[FORWARD_LOW] = readU32(bytes, offset + 4);
    out[FORWARD_ALIAS] = 0;
    out[FORWARD_KIND] = ForwardKind.Plain;
    return ForwardProblem.None;
  }
  if (length < RIFT_TRANSPORT_BYTES) return ForwardProblem.TooShort;
  if (bytes[offset + 2] !== 0 || bytes[offset + 3] !== RIFT_VERSION) return ForwardProblem.BadVersion;
  const alias = readU32(bytes, offset + 4);
  if (alias === 0 && length >= RIFT_HANDSHAKE_BYTES) {
    if (crc16Kermit(bytes, offset, offset + 28) !== readU16(bytes, offset + 28)) return ForwardProblem.BadCrc;
    out[FORWARD_HIGH] = readU32(bytes, offset + 20);
    out[FORWARD_LOW] = readU32(bytes, offset + 24);
    out[FORWARD_ALIAS] = 0;
    out[FORWARD_KIND] = ForwardKind.RiftHandshake;
    return ForwardProblem.None;
  }
  if (crc16Kermit(bytes, offset, offset + 16) !== readU16(bytes, offset + 16)) return ForwardProblem.BadCrc;
  out[FORWARD_HIGH] = readU32(bytes, offset + 8);
  out[FORWARD_LOW] = readU32(bytes, offset + 12);
  out[FORWARD_ALIAS] = alias;
  out[FORWARD_KIND] = ForwardKind.RiftTransport;
  return ForwardProblem.None;
}

/**
 * Writes an 18-byte transport header at `offset`. The packet id is given as two u32 words. With alias 0 the receiver
 * takes it for a handshake header as soon as the payload has 30 bytes or more.
 */
export function writeRiftTransport(
  bytes: Uint8Array,
  offset: number,
  alias: number,
  high: number,
  low: number,
): void {
  writeStart(bytes, offset);
  writeU32(bytes, offset + 4, alias);
  writeU32(bytes, offset + 8, high);
  writeU32(bytes, offset + 12, low);
  writeU16(bytes, offset + 16, crc16Kermit(bytes, offset, offset + 16));
}

/**
 * Writes a 30-byte handshake header at `offset`. The u128 session id is RIFT's own, not the relay's: the words given
 * here are its lower 96 bits, the upper 32 are zero on the wire (that is what tells a handshake from transport).
 */
export function writeRiftHandshake(
  bytes: Uint8Array,
  offset: number,
  sessionId: readonly [number, number, number],
  high: number,
  low: number,
): void {
  writeStart(bytes, offset);
  writeU32(bytes, offset + 4, 0);
  writeU32(bytes, offset + 8, sessionId[0]);
  writeU32(bytes, offset + 12, sessionId[1]);
  writeU32(bytes, offset + 16, sessionId[2]);
  writeU32(bytes, offset + 20, high);
  writeU32(bytes, offset + 24, low);
  writeU16(bytes, offset + 28, crc16Kermit(bytes, offset, offset + 28));
}

function writeStart(bytes: Uint8Array, offset: number): void {
  bytes[offset] = 0x52;
  bytes[offset + 1] = 0x49;
  writeU16(bytes, offset + 2, RIFT_VERSION);
}
