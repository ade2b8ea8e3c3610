/**
 * Milliseconds since a time of the wall clock. Infinity when the clock was set back meanwhile: what happened at a time to
 * come may be of any age, and counts as old, so that what is asked for now and then isn't put off by as much.
 */
export function ageMs(thenMs: number, nowMs: number): number {
  return thenMs > nowMs ? Infinity : nowMs - thenMs;
}
