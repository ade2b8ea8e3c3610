/**
 * The relay header, the first 20 bytes of every packet (wire reference 1):
 * magic u8, version u8, type u8, flags u8 (reserved: written as 0, ignored, forwarded unchanged), session id 16 bytes.
 */

export const HEADER_BYTES = 20;
/** Datagrams outside of these sizes (bytes, header included) are invalid, even when the kernel delivers them whole. */
export const MIN_DATAGRAM = 20;
export const MAX_DATAGRAM = 1500;

export const MAGIC = 0x57;
export const VERSION = 1;

export const TYPE_OFFSET = 2;
export const SESSION_ID_OFFSET = 4;
export const SESSION_ID_BYTES = 16;

/** Peers send LeasePresent, LeaseRenew and Forward; the relay sends LeaseAck and LeaseReject and passes Forward on. */
export const MessageType = {
  LeasePresent: 0x01,
  LeaseAck: 0x02,
  LeaseReject: 0x03,
  LeaseRenew: 0x04,
  Forward: 0x10,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Why a datagram is not a relay packet. All of them are `invalid_packets` and get no answer. */
export const HeaderProblem = {
  None: 0,
  TooShort: 1,
  TooLong: 2,
  BadMagic: 3,
  BadVersion: 4,
  UnknownType: 5,
  NilSession: 6,
} as const;
export type HeaderProblem = (typeof HeaderProblem)[keyof typeof HeaderProblem];

/**
 * Judges the datagram of `length` bytes at `offset`: 0 when its header is sound, else a {@link HeaderProblem}.
 *
 * Says nothing about direction: LeaseAck and LeaseReject pass here, though a relay that receives one must drop it.
 */
export function headerProblem(bytes: Uint8Array, offset: number, length: number): HeaderProblem {
  if (length < MIN_DATAGRAM) return HeaderProblem.TooShort;
  if (length > MAX_DATAGRAM) return HeaderProblem.TooLong;
  if (bytes[offset] !== MAGIC) return HeaderProblem.BadMagic;
  if (bytes[offset + 1] !== VERSION) return HeaderProblem.BadVersion;
  const type = bytes[offset + TYPE_OFFSET]!;
  if (type !== MessageType.Forward && (type < MessageType.LeasePresent || type > MessageType.LeaseRenew)) {
    return HeaderProblem.UnknownType;
  }
  const end = offset + HEADER_BYTES;
  for (let at = offset + SESSION_ID_OFFSET; at < end; at++) {
    if (bytes[at] !== 0) return HeaderProblem.None;
  }
  return HeaderProblem.NilSession;
}

/** Writes 20 bytes at `offset`, with the session id copied from `sessionId` at `sessionIdOffset`. */
export function writeHeader(
  bytes: Uint8Array,
  offset: number,
  type: MessageType,
  sessionId: Uint8Array,
  sessionIdOffset: number,
): void {
  bytes[offset] = MAGIC;
  bytes[offset + 1] = VERSION;
  bytes[offset + TYPE_OFFSET] = type;
  bytes[offset + 3] = 0;
  for (let i = 0; i < SESSION_ID_BYTES; i++) {
    bytes[offset + SESSION_ID_OFFSET + i] = sessionId[sessionIdOffset + i]!;
  }
}
