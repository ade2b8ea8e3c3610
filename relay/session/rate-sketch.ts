import { isIpv4, isLinkLocal, ADDRESS_SCOPE } from '../protocol/address.ts';
import { IDENTITY_WORDS } from './layout.ts';
import { KeyedHash } from './keyed-hash.ts';

const ROW = 32_768;
const STRIDE = 2 ** 22;
const KEY_WORDS = 8;

/**
 * How often each of any number of keys came within this second (design-relay 4): a count sketch of 2 rows of 32,768
 * one-second counters, the smaller of a key's two. Nothing is stored by key, so there is nothing to grow or evict; a key is
 * counted too high only when other keys fell on both of its counters within the second, and never too low.
 *
 * A counter is one float: the second times 2^22 plus the count, exact for 68 years of monotonic time.
 */
export class RateSketch {
  readonly #counters: Float64Array = new Float64Array(2 * ROW);
  readonly #hash: KeyedHash;
  readonly #key: Int32Array = new Int32Array(KEY_WORDS);

  /** The hash is keyed by two words of `seed` at `at`. */
  constructor(seed: Uint32Array, at: number) {
    this.#hash = new KeyedHash(seed, at);
  }

  /** Counts the address, IPv6 by its /64 (an end site can use all of one), and returns how often it came this second. */
  addAddress(address: Int32Array, base: number, nowMs: number): number {
    const key = this.#key;
    if (isIpv4(address, base)) {
      key[0] = address[base + 3]!;
      key[1] = 0;
      key[2] = 4;
    } else {
      key[0] = address[base]!;
      key[1] = address[base + 1]!;
      key[2] = isLinkLocal(address, base) ? address[base + ADDRESS_SCOPE]! ^ 0x6c6c : 6;
    }
    this.#hash.hash(key, 0, 3);
    return this.#add(nowMs);
  }

  /** Counts an identity by its SHA-256, eight words at `base`. */
  addDigest(words: Int32Array, base: number, nowMs: number): number {
    this.#hash.hash(words, base, IDENTITY_WORDS);
    return this.#add(nowMs);
  }

  #add(nowMs: number): number {
    const counters = this.#counters;
    const second = Math.floor(nowMs / 1000) * STRIDE;
    const first = this.#hash.first & (ROW - 1);
    const other = ROW + (this.#hash.second & (ROW - 1));
    const firstCount = countIn(counters[first]!, second);
    const otherCount = countIn(counters[other]!, second);
    // Raising only what is below keeps strangers' collisions from adding up (conservative update, Estan and Varghese).
    const count = Math.min(firstCount, otherCount, STRIDE - 2) + 1;
    if (firstCount < count) counters[first] = second + count;
    if (otherCount < count) counters[other] = second + count;
    return count;
  }
}

function countIn(counter: number, second: number): number {
  const count = counter - second;
  return count >= 0 && count < STRIDE ? count : 0;
}
