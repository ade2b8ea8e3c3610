/**
 * What a peer has to know of the relay's protocol, written from the wire reference on purpose a second time: a misreading
 * shared with `relay/protocol` could not be seen by any test. All integers are big-endian.
 */

const HEADER_SIZE = 20;
/** Relay header and RIFT transport header: where a packet's own bytes begin. */
export const TRANSPORT_OVERHEAD = 38;
/** The same for RIFT's handshake header. */
export const HANDSHAKE_OVERHEAD = 50;
export const MAX_DATAGRAM = 1500;

export const TYPE = { present: 0x01, ack: 0x02, reject: 0x03, renew: 0x04, forward: 0x10 } as const;
export const ROLE_BYTE = { client: 0, server: 1 } as const;
export const REJECT_REASONS: readonly string[] = [
  'none',
  'expired',
  'invalid signature',
  'wrong relay',
  'session full',
  'banned',
  'rate limited',
];

/** What a relay or, through it, the other peer sent. Fields that a kind does not have are 0. */
export interface Received {
  kind: 'ack' | 'reject' | 'handshake' | 'transport' | 'corrupt' | 'other';
  /** RIFT packet id. */
  sequence: number;
  /** Transport header only. */
  alias: number;
  /** Of a LEASE_REJECT. */
  reason: number;
  /** Of a LEASE_ACK: Unix ms, then kbps. */
  expiresMs: number;
  softKbps: number;
  hardKbps: number;
}

export function emptyReceived(): Received {
  return { kind: 'other', sequence: 0, alias: 0, reason: 0, expiresMs: 0, softKbps: 0, hardKbps: 0 };
}

/** The 16 bytes of a UUID. */
export function sessionIdBytes(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== 16) throw new Error(`${uuid} is not a UUID`);
  return bytes;
}

export function leasePresent(sessionId: Uint8Array, roleByte: number, token: Uint8Array): Buffer {
  const datagram = Buffer.alloc(HEADER_SIZE + 3 + token.length);
  writeHeader(datagram, TYPE.present, sessionId);
  datagram[20] = roleByte;
  datagram.writeUInt16BE(token.length, 21);
  datagram.set(token, 23);
  return datagram;
}

export function leaseRenew(sessionId: Uint8Array): Buffer {
  const datagram = Buffer.alloc(HEADER_SIZE);
  writeHeader(datagram, TYPE.renew, sessionId);
  return datagram;
}

/** Fills the first 20 bytes. */
export function writeHeader(datagram: Buffer, type: number, sessionId: Uint8Array): void {
  datagram[0] = 0x57;
  datagram[1] = 0x01;
  datagram[2] = type;
  datagram[3] = 0;
  datagram.set(sessionId, 4);
}

/** Fills the 18 bytes of a RIFT transport header at 20. `sequence` is a packet id below 2^53, `alias` is not 0. */
export function writeTransportHeader(datagram: Buffer, alias: number, sequence: number): void {
  datagram[20] = 0x52;
  datagram[21] = 0x49;
  datagram[22] = 0;
  datagram[23] = 1;
  writeU32(datagram, 24, alias);
  writeU32(datagram, 28, Math.floor(sequence / 0x1_0000_0000));
  writeU32(datagram, 32, sequence);
  const crc = crc16Kermit(datagram, 20, 36);
  datagram[36] = crc >>> 8;
  datagram[37] = crc;
}

/**
 * Fills the 30 bytes of a RIFT handshake header at 20, with packet id 0. Its session id is 128 bits wide, but bytes 4 to 8
 * have to be 0 where an alias would stand, so it is the lower 96 bits of the relay's session id.
 */
export function writeHandshakeHeader(datagram: Buffer, sessionId: Uint8Array): void {
  datagram.fill(0, 20, 50);
  datagram.write('RI', 20, 'latin1');
  datagram[23] = 1;
  datagram.set(sessionId.subarray(4), 28);
  datagram.writeUInt16BE(crc16Kermit(datagram, 20, 48), 48);
}

/**
 * Reads a datagram of the session into `out`. `corrupt`: header, RIFT header or CRC are not what the protocol allows, or
 * the session is another one.
 */
export function readDatagram(datagram: Buffer, sessionId: Uint8Array, out: Received): void {
  out.kind = 'corrupt';
  if (datagram.length < HEADER_SIZE || datagram.length > MAX_DATAGRAM) return;
  if (datagram[0] !== 0x57 || datagram[1] !== 1) return;
  for (let i = 0; i < 16; i++) if (datagram[4 + i] !== sessionId[i]) return;
  switch (datagram[2]) {
    case TYPE.forward:
      readRift(datagram, sessionId, out);
      break;
    case TYPE.ack:
      if (datagram.length !== 36) return;
      out.kind = 'ack';
      out.expiresMs = datagram.readUInt32BE(20) * 0x1_0000_0000 + datagram.readUInt32BE(24);
      out.softKbps = datagram.readUInt32BE(28);
      out.hardKbps = datagram.readUInt32BE(32);
      break;
    case TYPE.reject:
      if (datagram.length !== 22) return;
      out.kind = 'reject';
      out.reason = datagram.readUInt16BE(20);
      break;
    default:
      out.kind = 'other';
  }
}

/** CRC-16/KERMIT (poly 0x1021 reflected, init 0): 0x2189 for "123456789". */
export function crc16Kermit(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0;
  for (let i = from; i < to; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[i]!) & 0xff]!;
  return crc;
}

const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x8408 : crc >>> 1;
  return crc;
});

function readRift(datagram: Buffer, sessionId: Uint8Array, out: Received): void {
  if (datagram.length < TRANSPORT_OVERHEAD) return;
  if (datagram[20] !== 0x52 || datagram[21] !== 0x49 || datagram[22] !== 0 || datagram[23] !== 1) return;
  const alias = readU32(datagram, 24);
  if (alias === 0 && datagram.length >= HANDSHAKE_OVERHEAD) {
    if (crc16Kermit(datagram, 20, 48) !== datagram.readUInt16BE(48)) return;
    for (let i = 4; i < 16; i++) if (datagram[24 + i] !== sessionId[i]) return;
    out.kind = 'handshake';
    out.sequence = readU32(datagram, 40) * 0x1_0000_0000 + readU32(datagram, 44);
    return;
  }
  if (crc16Kermit(datagram, 20, 36) !== ((datagram[36]! << 8) | datagram[37]!)) return;
  out.kind = 'transport';
  out.alias = alias;
  out.sequence = readU32(datagram, 28) * 0x1_0000_0000 + readU32(datagram, 32);
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readU32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
}
