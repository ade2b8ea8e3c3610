import { readU16, writeU16 } from './big-endian.ts';
import { HEADER_BYTES } from './header.ts';

/** reason u16 (wire reference 1). */
const LEASE_REJECT_PAYLOAD_BYTES = 2;
export const LEASE_REJECT_BYTES: number = HEADER_BYTES + LEASE_REJECT_PAYLOAD_BYTES;

/** SessionFull stands for shedding and draining as well. */
export const RejectReason = {
  Expired: 1,
  InvalidSignature: 2,
  WrongRelay: 3,
  SessionFull: 4,
  Banned: 5,
  RateLimited: 6,
} as const;
export type RejectReason = (typeof RejectReason)[keyof typeof RejectReason];

/** Writes the 2 payload bytes at `offset` (behind the header). */
export function writeLeaseReject(bytes: Uint8Array, offset: number, reason: RejectReason): void {
  writeU16(bytes, offset, reason);
}

/** The reason, which may be one that this version does not know, or undefined when the payload is too short. */
export function readLeaseReject(bytes: Uint8Array, offset: number, length: number): number | undefined {
  if (length < LEASE_REJECT_PAYLOAD_BYTES) return undefined;
  return readU16(bytes, offset);
}
