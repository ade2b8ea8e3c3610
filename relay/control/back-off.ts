export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after the n-th failure in a row (1, 2, …): doubling up to `maxMs`, of which between half and all is
 * taken, so that a fleet whose Master comes back does not ask in step.
 */
export function backOffMs(failures: number, options: BackOffOptions, random: () => number): number {
  const whole = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(failures - 1, 30));
  return whole * (0.5 + random() / 2);
}
