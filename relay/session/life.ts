import {
  EXPIRES,
  floatsAt,
  FORWARDED,
  HAS_CLIENT,
  HAS_SERVER,
  HEARD,
  peerFloatsAt,
  STATE,
  wordsAt,
} from './layout.ts';

/**
 * How long a session lives (design-relay 3, "Life"): until the latest of its last accepted present, renew or traffic renewal
 * plus the lease duration, and of the exp_rfc3339 of every token accepted for it. Deployed clients present once and never
 * renew, so a token's whole life counts, and traffic of both peers goes on renewing the session.
 */

/** Never shortens. */
export function extendLife(floats: Float64Array, slot: number, untilMs: number): void {
  const at = floatsAt(slot) + EXPIRES;
  if (untilMs > floats[at]!) floats[at] = untilMs;
}

/**
 * A packet of the peer was forwarded. It renews the session when the other peer had one forwarded within the last lease
 * duration, so one peer alone (or somebody who plays one) keeps no session alive.
 */
export function forwardedFrom(
  floats: Float64Array,
  slot: number,
  role: number,
  leaseDurationMs: number,
  renewOnTraffic: boolean,
  nowMs: number,
): void {
  floats[peerFloatsAt(slot, role) + FORWARDED] = nowMs;
  if (renewOnTraffic && nowMs - floats[peerFloatsAt(slot, 1 - role) + FORWARDED]! <= leaseDurationMs) {
    extendLife(floats, slot, nowMs + leaseDurationMs);
  }
}

/** The latest moment at which any peer's address was heard. */
export function lastHeardMs(words: Int32Array, floats: Float64Array, slot: number): number {
  const state = words[wordsAt(slot) + STATE]!;
  const client = (state & HAS_CLIENT) !== 0 ? floats[peerFloatsAt(slot, 0) + HEARD]! : -Infinity;
  const server = (state & HAS_SERVER) !== 0 ? floats[peerFloatsAt(slot, 1) + HEARD]! : -Infinity;
  return Math.max(client, server);
}
