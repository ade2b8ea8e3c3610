import type { Random } from './random.ts';

/** The largest payload of a UDP datagram over IPv4. */
export const MAX_UDP_BYTES = 65_507;

/** Values at which comparisons and length fields go wrong. */
const ODD_BYTES = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff] as const;
const ODD_U32 = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff, 0x1_0000] as const;
/** Around every size that the wire formats know. */
const ODD_LENGTHS = [
  0, 1, 2, 3, 8, 18, 19, 20, 21, 22, 23, 27, 28, 36, 38, 49, 50, 1499, 1500, 1501, 2047, 2048, 8192, 8215,
  9000, 65_506, 65_507,
] as const;

/** Mostly small, often an edge, sometimes anything up to the largest datagram. */
export function anyLength(random: Random): number {
  const kind = random.below(64);
  if (kind < 40) return random.below(120);
  if (kind < 52) return random.pick(ODD_LENGTHS.slice(0, 20));
  if (kind < 63) return random.below(1502);
  return random.oneIn(4) ? random.pick(ODD_LENGTHS) : random.below(MAX_UDP_BYTES + 1);
}

/** A changed copy: one to four flips, odd values, cuts, insertions and repetitions. */
export function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (let left = random.between(1, 4); left > 0; left--) result = changed(random, result);
  return result.length > MAX_UDP_BYTES ? result.subarray(0, MAX_UDP_BYTES) : result;
}

function changed(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.between(1, 16));
  switch (random.below(8)) {
    case 0:
      if (at < bytes.length) bytes[at] = bytes[at]! ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(ODD_BYTES);
      return bytes;
    case 2:
      if (at + 4 <= bytes.length) {
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, random.pick(ODD_U32));
      }
      return bytes;
    case 3:
      return bytes.slice(0, at);
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(end));
    case 5:
      return joined(bytes.subarray(0, at), random.noise(random.below(24)), bytes.subarray(at));
    case 6:
      return joined(bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end));
    default:
      return joined(bytes, random.noise(random.below(64)));
  }
}

export function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
