/**
 * Which sessions a measurement has: the formulas of bench/c/sessions.h, which presets them in the reference relays.
 */

const SESSION_ID_BYTES = 16;

/** The session's 16 bytes, network order. */
export function sessionIdOf(index: number): Uint8Array {
  const id = new Uint8Array(SESSION_ID_BYTES);
  const view = new DataView(id.buffer);
  view.setBigUint64(0, splitmix64(BigInt(index) * 2n + 1n));
  view.setBigUint64(8, splitmix64(BigInt(index) * 2n + 2n));
  return id;
}

const U64 = (1n << 64n) - 1n;

function splitmix64(seed: bigint): bigint {
  let x = (seed + 0x9e3779b97f4a7c15n) & U64;
  x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & U64;
  x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & U64;
  return x ^ (x >> 31n);
}
