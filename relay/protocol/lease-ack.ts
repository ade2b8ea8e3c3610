import { readU32, writeU32 } from './big-endian.ts';
import { HEADER_BYTES } from './header.ts';

/** expires u64 (Unix ms), soft limit u32 (kbps), hard limit u32 (kbps) (wire reference 1). */
const LEASE_ACK_PAYLOAD_BYTES = 16;
export const LEASE_ACK_BYTES: number = HEADER_BYTES + LEASE_ACK_PAYLOAD_BYTES;

export interface LeaseAck {
  /** Unix milliseconds. */
  readonly expiresMs: number;
  readonly softKbps: number;
  readonly hardKbps: number;
}

/** Writes the 16 payload bytes at `offset` (behind the header). A fraction of a millisecond is cut off. */
export function writeLeaseAck(
  bytes: Uint8Array,
  offset: number,
  expiresMs: number,
  softKbps: number,
  hardKbps: number,
): void {
  writeU32(bytes, offset, Math.floor(expiresMs / 2 ** 32));
  writeU32(bytes, offset + 4, Math.floor(expiresMs) % 2 ** 32);
  writeU32(bytes, offset + 8, softKbps);
  writeU32(bytes, offset + 12, hardKbps);
}

/** Reads the payload of `length` bytes at `offset`, or undefined when it is too short; bytes after it are ignored. */
export function readLeaseAck(bytes: Uint8Array, offset: number, length: number): LeaseAck | undefined {
  if (length < LEASE_ACK_PAYLOAD_BYTES) return undefined;
  return {
    expiresMs: readU32(bytes, offset) * 2 ** 32 + readU32(bytes, offset + 4),
    softKbps: readU32(bytes, offset + 8),
    hardKbps: readU32(bytes, offset + 12),
  };
}
