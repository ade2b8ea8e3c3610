import { ADDRESS_WORDS } from '../protocol/address.ts';

/**
 * Where each fact of a session lies: 512 bytes a slot, seen as 32-bit words and as 64-bit floats of the same memory.
 *
 * What a FORWARD touches comes first, packed into whole cache lines (64 bytes: 16 words, 8 floats): the session, the two
 * addresses, then a line for each peer; a batch over 10,000 sessions would otherwise wait for memory at every field.
 * Times are monotonic milliseconds unless a name says wall.
 */
export const SESSION_BYTES = 512;
export const SESSION_WORDS: number = SESSION_BYTES / 4;
const SESSION_FLOATS: number = SESSION_BYTES / 8;

/** First line, words: session id (4), state bits, limits in kbps. */
export const ID = 0;
export const STATE = 4;
export const SOFT_KBPS = 5;
export const HARD_KBPS = 6;
/** First line, floats. */
export const EXPIRES = 4;
/** token-bucket.ts: hard tokens, soft tokens, time of refill. */
export const BUCKET = 5;

/** Second line: the client's and the server's address (address.ts). */
export const ADDRESS = 16;
/** The expiry that the journal was last told of. */
export const JOURNALED_EXPIRES = 14;

/** Third and fourth line: what a FORWARD needs to know of its sender and of its receiver. Words: */
const PEER = 32;
const PEER_WORDS = 16;
export const REPLAY = 0;
/** The alias of the peer's last accepted packet, when ALIAS_KNOWN is 1. */
export const ALIAS = 6;
export const ALIAS_KNOWN = 7;
/** Floats. The last datagram from the peer's address, accepted or not, that named this session: */
export const HEARD = 4;
/** The last packet of the peer that was forwarded. */
export const FORWARDED = 5;
/** silence.ts: bytes forwarded to the peer since an accepted datagram came from its address. */
export const UNANSWERED = 6;
/** handshakes.ts */
export const HANDSHAKES = 7;

/** The rest is touched by leases only; 32 words a peer. Words: */
const LEASE = 64;
const LEASE_WORDS = 32;
/** SHA-256 of the peer's identity. */
export const IDENTITY = 0;
/** SHA-256 of the peer's current token, when the state says that it is known (a restored session's is not). */
export const TOKEN = 8;
/** Floats, Unix milliseconds by wall clock, of the current token: iat_rfc3339 (NaN: it had none), exp_rfc3339. */
export const ISSUED_WALL = 9;
export const TOKEN_EXPIRES_WALL = 10;
/** The token's claims hold from here (when it was judged) to there, without being looked at again. */
export const JUDGED_WALL = 11;
export const VALID_UNTIL_WALL = 12;
/** The last move by FORWARD (rebind.ts). */
export const REBOUND = 13;
/** The peer's last glimpse (rebind.ts): float when, words port and packet id. */
export const GLIMPSED = 14;
export const GLIMPSED_PORT = 16;
export const GLIMPSED_HIGH = 30;
export const GLIMPSED_LOW = 31;

export const IDENTITY_WORDS = 8;

/** State bits, the client's of each pair; the server's is the next higher one. A session has at least one peer, both make it active. */
export const HAS_CLIENT = 1;
export const HAS_SERVER = 2;
export const HAS_BOTH = 3;
const PENDING = 4;
const TOKEN_KNOWN = 16;

/** Index of a session's first word; half of that is its first float. */
export function wordsAt(slot: number): number {
  return slot * SESSION_WORDS;
}

export function floatsAt(slot: number): number {
  return slot * SESSION_FLOATS;
}

export function addressAt(slot: number, role: number): number {
  return slot * SESSION_WORDS + ADDRESS + role * ADDRESS_WORDS;
}

export function peerWordsAt(slot: number, role: number): number {
  return slot * SESSION_WORDS + PEER + role * PEER_WORDS;
}

export function peerFloatsAt(slot: number, role: number): number {
  return (slot * SESSION_WORDS + PEER + role * PEER_WORDS) >> 1;
}

export function leaseWordsAt(slot: number, role: number): number {
  return slot * SESSION_WORDS + LEASE + role * LEASE_WORDS;
}

export function leaseFloatsAt(slot: number, role: number): number {
  return (slot * SESSION_WORDS + LEASE + role * LEASE_WORDS) >> 1;
}

export function hasPeer(role: number): number {
  return HAS_CLIENT << role;
}

export function pendingBit(role: number): number {
  return PENDING << role;
}

export function tokenBit(role: number): number {
  return TOKEN_KNOWN << role;
}
