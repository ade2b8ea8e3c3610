import type { CounterSample } from './world.ts';

/** Long enough that an autoscaler which looks every 15 s sees each burst, short enough that it is over soon after. */
export const RATE_WINDOW_MS = 30_000;

/** A last sample older than this says nothing of the present. Counters are asked for every 10 s. */
const SAMPLE_STALE_MS = 25_000;

/**
 * The samples with a further one, without those that no rate needs any more: of those that have left the window only the
 * newest is kept, as the rate's beginning. A clock that was set back begins anew.
 */
export function withSample(samples: readonly CounterSample[], sample: CounterSample): CounterSample[] {
  const last = samples.at(-1);
  if (last && last.atMs >= sample.atMs) return [sample];
  const all = [...samples, sample];
  const first = all.findLastIndex((entry) => entry.atMs <= sample.atMs - RATE_WINDOW_MS);
  return all.slice(Math.max(0, first));
}

/**
 * Per second over the samples, and the time of the newest; undefined without two samples of which the last is recent.
 * A counter that fell began at 0 again, as after a restart (https://prometheus.io/docs/prometheus/latest/querying/functions/#rate,
 * but without extrapolation).
 */
export function increaseOf(
  samples: readonly CounterSample[],
  nowMs: number,
): { readonly perSecond: number; readonly atMs: number } | undefined {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.atMs <= first.atMs || nowMs - last.atMs > SAMPLE_STALE_MS) return undefined;
  let increase = 0;
  for (const [index, sample] of samples.entries()) {
    const before = samples[index - 1];
    if (before) increase += sample.value < before.value ? sample.value : sample.value - before.value;
  }
  return { perSecond: (increase * 1000) / (last.atMs - first.atMs), atMs: last.atMs };
}
