import {
  ADDRESS_PORT,
  ADDRESS_SCOPE,
  ADDRESS_WORDS,
  isBroadcast,
  isMulticast,
  isUnspecified,
} from './address.ts';
import { readI32, readU16, writeU16, writeU32 } from './big-endian.ts';

/**
 * STUN binding (RFC 8489): how a relay behind NAT learns the address that others see.
 *
 * Only what that takes: no authentication, no retransmission timers. The transaction id is the caller's: 8 random bytes,
 * then 4 whose value has the asking worker's residue, so that bytes 16 to 19 of the answer steer it back to the worker
 * that asked (design-relay 5).
 */

/** A binding request without attributes, which is a bare STUN header. */
export const STUN_REQUEST_BYTES = 20;
export const STUN_TRANSACTION_ID_BYTES = 12;
const STUN_TRANSACTION_ID_OFFSET = 8;
/** RFC 8489 section 5: bytes 4 to 7 of every message. */
export const STUN_MAGIC_COOKIE = 0x2112a442;

const HEADER = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const MAPPED_ADDRESS = 0x0001;
const XOR_MAPPED_ADDRESS = 0x0020;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;

/** Why a datagram is not the answer waited for, or not one to use. */
export const StunProblem = {
  None: 0,
  NotStun: 1,
  /** An error response, a request or an indication. */
  NotSuccess: 2,
  OtherTransaction: 3,
  /** An attribute's length goes beyond the message, or an address attribute has another size than its family's. */
  Malformed: 4,
  NoAddress: 5,
  /** Port 0, or an unspecified, multicast or broadcast address. */
  UnusableAddress: 6,
} as const;
export type StunProblem = (typeof StunProblem)[keyof typeof StunProblem];

/**
 * Whether the datagram looks like STUN: two zero bits, the magic cookie, and a length field that says just what is there.
 * No relay packet does (its first byte is 0x57).
 */
export function isStun(bytes: Uint8Array, offset: number, length: number): boolean {
  return (
    length >= HEADER &&
    bytes[offset]! < 0x40 &&
    readI32(bytes, offset + 4) === STUN_MAGIC_COOKIE &&
    readU16(bytes, offset + 2) === length - HEADER &&
    (length & 3) === 0
  );
}

/** Writes a 20-byte binding request at `offset`. */
export function writeBindingRequest(bytes: Uint8Array, offset: number, transactionId: Uint8Array): void {
  writeU16(bytes, offset, BINDING_REQUEST);
  writeU16(bytes, offset + 2, 0);
  writeU32(bytes, offset + 4, STUN_MAGIC_COOKIE);
  for (let i = 0; i < STUN_TRANSACTION_ID_BYTES; i++) {
    bytes[offset + STUN_TRANSACTION_ID_OFFSET + i] = transactionId[i]!;
  }
}

/**
 * Parses a binding success response to the request with `transactionId` and puts the mapped address (address.ts, scope 0)
 * into `out` at `base`, which is left alone when a problem is returned.
 *
 * XOR-MAPPED-ADDRESS counts before MAPPED-ADDRESS wherever it stands, the first of several. All other attributes are
 * skipped, even those of the comprehension-required range: servers of RFC 3489's time send SOURCE-ADDRESS (0x0004) and
 * CHANGED-ADDRESS (0x0005), which RFC 8489 section 6.3.3 would have us refuse.
 */
export function parseBindingResponse(
  bytes: Uint8Array,
  offset: number,
  length: number,
  transactionId: Uint8Array,
  out: Int32Array,
  base: number,
): StunProblem {
  if (!isStun(bytes, offset, length)) return StunProblem.NotStun;
  for (let i = 0; i < STUN_TRANSACTION_ID_BYTES; i++) {
    if (bytes[offset + STUN_TRANSACTION_ID_OFFSET + i] !== transactionId[i])
      return StunProblem.OtherTransaction;
  }
  if (readU16(bytes, offset) !== BINDING_SUCCESS) return StunProblem.NotSuccess;

  const end = offset + length;
  let xored = -1;
  let plain = -1;
  // The message's length is a multiple of four, so at least four bytes are left whenever any are.
  for (let at = offset + HEADER; at < end;) {
    const type = readU16(bytes, at);
    const size = readU16(bytes, at + 2);
    const value = at + 4;
    if (size > end - value) return StunProblem.Malformed;
    if (type === XOR_MAPPED_ADDRESS || type === MAPPED_ADDRESS) {
      if (!isAddressValue(bytes, value, size)) return StunProblem.Malformed;
      if (type === XOR_MAPPED_ADDRESS && xored < 0) xored = value;
      if (type === MAPPED_ADDRESS && plain < 0) plain = value;
    }
    at = value + ((size + 3) & ~3);
  }
  if (xored < 0 && plain < 0) return StunProblem.NoAddress;

  const found = new Int32Array(ADDRESS_WORDS);
  readMapped(bytes, offset, xored < 0 ? plain : xored, xored >= 0, found);
  if (
    found[ADDRESS_PORT] === 0 ||
    isUnspecified(found, 0) ||
    isMulticast(found, 0) ||
    isBroadcast(found, 0)
  ) {
    return StunProblem.UnusableAddress;
  }
  out.set(found, base);
  return StunProblem.None;
}

function isAddressValue(bytes: Uint8Array, value: number, size: number): boolean {
  return (
    (size === 8 && bytes[value + 1] === FAMILY_IPV4) || (size === 20 && bytes[value + 1] === FAMILY_IPV6)
  );
}

/** RFC 8489 section 14.2: the port is XORed with the cookie's upper half, the address with cookie and transaction id. */
function readMapped(bytes: Uint8Array, offset: number, value: number, xored: boolean, out: Int32Array): void {
  const v4 = bytes[value + 1] === FAMILY_IPV4;
  const mask = (word: number): number => (xored ? readI32(bytes, offset + 4 + 4 * word) : 0);
  if (v4) {
    out[2] = 0xffff;
    out[3] = readI32(bytes, value + 4) ^ mask(0);
  } else {
    for (let i = 0; i < 4; i++) out[i] = readI32(bytes, value + 4 + 4 * i) ^ mask(i);
  }
  out[ADDRESS_PORT] = readU16(bytes, value + 2) ^ (mask(0) >>> 16);
  out[ADDRESS_SCOPE] = 0;
}
