/** sfc32 (Chris Doty-Humphrey, PractRand): fast, and the same seed gives the same run on every machine. */
export class Random {
  #a = 0;
  #b: number;
  #c = 0x9e3779b9;
  #counter = 1;

  /** `seed` is any 32-bit number; neighbouring seeds give unrelated runs. */
  constructor(seed: number) {
    this.#b = seed | 0;
    for (let i = 0; i < 15; i++) this.u32();
  }

  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `end - 1`. */
  below(end: number): number {
    return Math.floor((this.u32() / 2 ** 32) * end);
  }

  /** `first` to `last`, both included. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: ArrayLike<T>): T {
    return list[this.below(list.length)]!;
  }

  /** That many random bytes; a view of shared memory, only to be read. */
  noise(length: number): Uint8Array {
    const start = this.below(NOISE.length - length + 1);
    return NOISE.subarray(start, start + length);
  }
}

/** Random bytes made once: filling 64 KiB for each of a million datagrams would be most of the work. */
const NOISE: Uint8Array = noiseOf(262_144);

function noiseOf(length: number): Uint8Array {
  const words = new Uint32Array(length / 4);
  const random = { state: 0x2545f491 };
  for (let i = 0; i < words.length; i++) {
    // xorshift32 (Marsaglia 2003)
    random.state ^= random.state << 13;
    random.state ^= random.state >>> 17;
    random.state ^= random.state << 5;
    words[i] = random.state;
  }
  return new Uint8Array(words.buffer);
}
