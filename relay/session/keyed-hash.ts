/**
 * HalfSipHash-1-3 (Aumasson and Bernstein's SipHash on 32-bit words) of a whole number of words, 64 bits of it.
 *
 * For counters that strangers choose the keys of: with a plain multiplicative hash somebody could pick addresses that share
 * another's counters whatever the seed is.
 */
export class KeyedHash {
  /** After {@link hash}: two independent 32-bit words. */
  first = 0;
  second = 0;

  readonly #key: Int32Array;

  /** Two random words of key, from `seed` at `at`. */
  constructor(seed: Uint32Array, at: number) {
    this.#key = Int32Array.of(seed[at]!, seed[at + 1]!);
  }

  /** Hashes `words[base..base + count)`. */
  hash(words: Int32Array, base: number, count: number): void {
    let v0 = this.#key[0]!;
    let v1 = this.#key[1]! ^ 0xee;
    let v2 = this.#key[0]! ^ 0x6c796765;
    let v3 = this.#key[1]! ^ 0x74656462;
    for (let i = 0; i <= count + 7; i++) {
      // The words, then their number of bytes, then three final rounds for each half of the result.
      const word = i < count ? words[base + i]! : i === count ? count << 26 : 0;
      if (i === count + 1) v2 ^= 0xee;
      if (i === count + 4) {
        this.first = v1 ^ v3;
        v1 ^= 0xdd;
      }
      if (i === count + 7) break;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    this.second = v1 ^ v3;
  }
}
