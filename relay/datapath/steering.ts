import { readI32 } from '../protocol/big-endian.ts';

/**
 * Which worker a datagram belongs to: the last four bytes of its session id, modulo the workers (design-relay 1), so that
 * both peers of a session meet on one worker. STUN answers and nudges carry the number at the same place.
 */

/** Of those four bytes in a datagram. */
export const STEERING_OFFSET = 16;

/** The worker of a datagram of 20 bytes or more at `offset`; a shorter one is nobody's and stays where it is. */
export function workerOf(bytes: Uint8Array, offset: number, workers: number): number {
  return (readI32(bytes, offset + STEERING_OFFSET) >>> 0) % workers;
}

/** The worker of a session by its 16-byte id: the same four bytes. */
export function workerOfSession(bytes: Uint8Array, idOffset: number, workers: number): number {
  return (readI32(bytes, idOffset + 12) >>> 0) % workers;
}
