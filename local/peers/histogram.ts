export interface Percentiles {
  readonly count: number;
  /** Milliseconds; all 0 when nothing was recorded. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly max: number;
}

/**
 * Latencies in buckets that widen with the value (as HdrHistogram's do): exact below 64 µs, then never off by more than
 * 1/32. Recording allocates nothing. The highest bucket takes everything from 67 s up; `max` is exact.
 */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #maxUs = 0;

  recordMs(ms: number): void {
    const us = ms > 0 ? ms * 1000 : 0;
    this.#counts[bucketOf(us)]!++;
    this.#count++;
    if (us > this.#maxUs) this.#maxUs = us;
  }

  /** Adds another's records to this one. */
  add(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! += other.#counts[i]!;
    this.#count += other.#count;
    this.#maxUs = Math.max(this.#maxUs, other.#maxUs);
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#maxUs = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** The smallest value that at least this share (0 to 1) of the records do not exceed, in ms. */
  quantileMs(share: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.max(1, Math.ceil(share * this.#count));
    let below = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      below += this.#counts[bucket]!;
      if (below >= rank) return Math.min(topOf(bucket), this.#maxUs) / 1000;
    }
    return this.#maxUs / 1000;
  }

  percentiles(): Percentiles {
    return {
      count: this.#count,
      p50: this.quantileMs(0.5),
      p90: this.quantileMs(0.9),
      p99: this.quantileMs(0.99),
      p99_9: this.quantileMs(0.999),
      max: this.#maxUs / 1000,
    };
  }
}

/** Each doubling of the value is cut into 32 buckets; the first two of them are one microsecond wide. */
const STEPS = 32;
const LARGEST_US = 2 ** 26 - 1;
const BUCKETS = bucketOf(LARGEST_US) + 1;

function bucketOf(us: number): number {
  const whole = Math.min(us, LARGEST_US) | 0;
  const shift = Math.max(0, 26 - Math.clz32(whole));
  return shift * STEPS + (whole >>> shift);
}

/** The largest whole microsecond of a bucket, plus the fraction that bucketOf cuts off. */
function topOf(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / STEPS) - 1);
  return (bucket - shift * STEPS + 1) * 2 ** shift;
}
