export interface OverloadLimits {
  /** Undefined: throughput is not judged. */
  readonly maxThroughputMbps: number | undefined;
  /** Of the maximum throughput, from which on new sessions are refused. */
  readonly shedThresholdPct: number;
}

export interface OverloadSample {
  /** Monotonic milliseconds. */
  readonly nowMs: number;
  /** Share of the time since the sample before in which each worker was busy, 0 to 1. */
  readonly busyRatios: ArrayLike<number>;
  /** Bytes forwarded since the start. */
  readonly bytesForwarded: number;
}

const OVERLOAD_WINDOW_MS = 10_000;
const BUSY_FROM = 0.9;
const BUSY_UNTIL = 0.8;

/**
 * Whether the relay is too busy for new sessions (design-relay 4), from one sample a second: means over the last 10 s of
 * the busiest worker's time and of the throughput. Held sessions against their maximum are judged at admission, where the
 * count is exact.
 */
export class Overload {
  readonly #limits: OverloadLimits;
  #samples: Interval[] = [];
  #last: { nowMs: number; bytesForwarded: number } | undefined;
  #busy = false;
  #throughput = false;

  constructor(limits: OverloadLimits) {
    this.#limits = limits;
  }

  get shedding(): boolean {
    return this.#busy || this.#throughput;
  }

  /** For the log: what is too high; undefined while nothing is. */
  get reason(): string | undefined {
    if (this.#throughput) {
      return `throughput is ${this.throughputMbps.toFixed(0)} Mbit/s of ${this.#limits.maxThroughputMbps}`;
    }
    return this.#busy
      ? `the busiest worker is busy ${(100 * this.busyRatio).toFixed(0)} % of the time`
      : undefined;
  }

  /** Of the busiest worker, 0 to 1, mean of the window. */
  get busyRatio(): number {
    const spanMs = this.#spanMs();
    const workers = Math.max(0, ...this.#samples.map(({ busyMs }) => busyMs.length));
    let most = 0;
    for (let worker = 0; worker < workers; worker++) {
      const busyMs = this.#samples.reduce((sum, sample) => sum + (sample.busyMs[worker] ?? 0), 0);
      most = Math.max(most, busyMs / spanMs);
    }
    return most;
  }

  /** Mean of the window. */
  get throughputMbps(): number {
    const spanMs = this.#spanMs();
    const bytes = this.#samples.reduce((sum, sample) => sum + sample.bytes, 0);
    return spanMs === 0 ? 0 : (bytes * 8) / 1000 / spanMs;
  }

  /** Takes a sample and judges; the first one only starts the count. */
  sample({ nowMs, busyRatios, bytesForwarded }: OverloadSample): boolean {
    const last = this.#last;
    this.#last = { nowMs, bytesForwarded };
    if (!last || nowMs <= last.nowMs) return this.shedding;
    const ms = nowMs - last.nowMs;
    this.#samples.push({
      ms,
      busyMs: Array.from(busyRatios, (ratio) => ratio * ms),
      bytes: Math.max(0, bytesForwarded - last.bytesForwarded),
    });
    while (this.#spanMs() - this.#samples[0]!.ms >= OVERLOAD_WINDOW_MS) this.#samples.shift();
    this.#judge();
    return this.shedding;
  }

  #judge(): void {
    // A mean of less than the window would take the work of starting for overload; half a second is a timer's lateness.
    if (this.#spanMs() < OVERLOAD_WINDOW_MS - 500) return;
    this.#busy = this.busyRatio >= (this.#busy ? BUSY_UNTIL : BUSY_FROM);
    const { maxThroughputMbps, shedThresholdPct } = this.#limits;
    this.#throughput =
      maxThroughputMbps !== undefined && this.throughputMbps >= (maxThroughputMbps * shedThresholdPct) / 100;
  }

  #spanMs(): number {
    return this.#samples.reduce((sum, { ms }) => sum + ms, 0);
  }
}

interface Interval {
  readonly ms: number;
  readonly busyMs: readonly number[];
  readonly bytes: number;
}
