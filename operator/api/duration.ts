const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Seconds of a Go duration such as `1h30m`, as admission lets it through; throws RangeError on anything else. */
export function durationSeconds(text: string): number {
  if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/.test(text)) {
    throw new RangeError(`"${text}" is not a duration such as 90s, 5m or 1h30m`);
  }
  return [...text.matchAll(/([0-9.]+)(ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * UNITS[unit!]!,
    0,
  );
}
