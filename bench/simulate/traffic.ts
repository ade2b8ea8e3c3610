import type { Random } from './random.ts';
import type { Scenario } from './scenario.ts';

/** Sessions that people ask for, in the order of their arrival. Those that arrived before 0 are under way at the start. */
export interface Traffic {
  readonly arrivalMs: Float64Array;
  readonly lengthMs: Float64Array;
}

/**
 * Poisson arrivals whose rate is the wanted concurrency over the mean length, by thinning. They begin one longest session
 * before the run, so that the sessions at its start have the ages that a fleet under way would show.
 */
export function trafficOf(scenario: Scenario, random: Random): Traffic {
  const { sessions, demand, durationMs } = scenario;
  const arrivals = random.fork();
  const lengths = random.fork();
  const draw = (): number =>
    Math.min(sessions.longestMs, lengths.lognormal(sessions.medianMs, sessions.sigma));
  const meanMs = meanLengthMs(scenario);
  const most = Math.max(...demand.map(([, wanted]) => wanted));
  const found: [number, number][] = [];
  if (most > 0) {
    const meanGapMs = meanMs / most;
    let atMs = -sessions.longestMs + arrivals.exponential(meanGapMs);
    while (atMs < durationMs) {
      const lengthMs = draw();
      const taken = arrivals.chance(demandAt(demand, atMs) / most);
      if (taken && atMs + lengthMs > 0) found.push([atMs, lengthMs]);
      atMs += arrivals.exponential(meanGapMs);
    }
  }
  for (const incident of scenario.incidents) {
    if (!('burst' in incident)) continue;
    for (let index = 0; index < incident.burst; index += 1) {
      found.push([incident.at + arrivals.next() * incident.within, draw()]);
    }
  }
  found.sort((a, b) => a[0] - b[0]);
  return {
    arrivalMs: Float64Array.from(found, ([atMs]) => atMs),
    lengthMs: Float64Array.from(found, ([, lengthMs]) => lengthMs),
  };
}

/** Before the first point and after the last it stays as it is there. */
export function demandAt(points: readonly (readonly [number, number])[], atMs: number): number {
  const after = points.findIndex(([pointMs]) => pointMs > atMs);
  if (after === 0) return points[0]![1];
  if (after === -1) return points.at(-1)![1];
  const [fromMs, from] = points[after - 1]!;
  const [toMs, to] = points[after]!;
  return from + ((to - from) * (atMs - fromMs)) / (toMs - fromMs);
}

/** Mean of the cut lognormal, by the middles of many equal shares of probability. */
function meanLengthMs({ sessions }: Scenario): number {
  const shares = 4000;
  let sum = 0;
  for (let index = 0; index < shares; index += 1) {
    const z = normalQuantile((index + 0.5) / shares);
    sum += Math.min(sessions.longestMs, sessions.medianMs * Math.exp(sessions.sigma * z));
  }
  return sum / shares;
}

/** Acklam's rational approximation, good to 1e-9 relative. */
function normalQuantile(p: number): number {
  const a = [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
    2.506628277459239,
  ];
  const b = [
    -54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572,
  ];
  const c = [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783,
  ];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const polynomial = (factors: readonly number[], x: number): number =>
    factors.reduce((sum, factor) => sum * x + factor, 0);
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return polynomial(c, q) / (polynomial(d, q) * q + 1);
  }
  const q = p - 0.5;
  const r = q * q;
  return (polynomial(a, r) * q) / (polynomial(b, r) * r + 1);
}
