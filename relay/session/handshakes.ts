/**
 * Packet id 0 of a RIFT packet is the handshake's and never a replay, so something else has to bound it: a sender gets 20
 * of them a second through (wire reference 1, "Replay window").
 *
 * One float at `at`: the second times 32 plus how many passed in it. Zero is a sender of none.
 */
export const HANDSHAKES_PER_SECOND = 20;

const STRIDE = 32;

/** Counts one more, or says false when this second's are used up. */
export function takeHandshake(floats: Float64Array, at: number, nowMs: number): boolean {
  const second = Math.floor(nowMs / 1000) * STRIDE;
  const used = floats[at]! - second;
  if (used < 0 || used >= STRIDE) {
    floats[at] = second + 1;
    return true;
  }
  if (used >= HANDSHAKES_PER_SECOND) return false;
  floats[at] = second + used + 1;
  return true;
}
