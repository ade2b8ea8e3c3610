/** Median and the quartiles around it. */
export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
  readonly count: number;
}

/** Quartiles with linear interpolation between the nearest ranks; undefined when there is no value. */
export function quartiles(values: readonly number[]): Quartiles | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  return {
    low: quantile(sorted, 0.25),
    median: quantile(sorted, 0.5),
    high: quantile(sorted, 0.75),
    count: sorted.length,
  };
}

/** `values` needs at least one element. */
export function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

/**
 * Quartiles of a/b over the rounds in which both were measured: what the machine did to one of a pair, it did to the other.
 */
export function pairedRatios(
  a: ReadonlyMap<number, number>,
  b: ReadonlyMap<number, number>,
): Quartiles | undefined {
  const ratios = [...a].flatMap(([round, value]) => {
    const other = b.get(round);
    return other !== undefined && other > 0 ? [value / other] : [];
  });
  return quartiles(ratios);
}

function quantile(sorted: readonly number[], share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position - Math.floor(position));
}
