/**
 * A session's limits, both directions together (design-relay 4): the hard one is a token bucket of 250 ms of the limit but
 * at least 64 KiB, full at the start, so that a key frame passes and a flood doesn't; the soft one is a bucket of the same
 * make that only counts. Bytes are those of whole datagrams.
 *
 * Three floats at `base`: bytes left under the hard limit, under the soft limit, time of the last refill.
 */
const HARD = 0;
const SOFT = 1;
const REFILLED = 2;
const DEPTH_MS = 250;
const MIN_DEPTH_BYTES = 65_536;

export function fillBuckets(
  floats: Float64Array,
  base: number,
  hardKbps: number,
  softKbps: number,
  nowMs: number,
): void {
  floats[base + HARD] = bucketDepth(hardKbps);
  floats[base + SOFT] = bucketDepth(softKbps);
  floats[base + REFILLED] = nowMs;
}

/** The session got other limits: what was saved up stays, up to the new depth. Refill by the old limits first. */
export function resizeBuckets(floats: Float64Array, base: number, hardKbps: number, softKbps: number): void {
  floats[base + HARD] = Math.min(floats[base + HARD]!, bucketDepth(hardKbps));
  floats[base + SOFT] = Math.min(floats[base + SOFT]!, bucketDepth(softKbps));
}

export function refillBuckets(
  floats: Float64Array,
  base: number,
  hardKbps: number,
  softKbps: number,
  nowMs: number,
): void {
  const elapsed = nowMs - floats[base + REFILLED]!;
  if (elapsed <= 0) return;
  floats[base + HARD] = Math.min(floats[base + HARD]! + elapsed * (hardKbps / 8), bucketDepth(hardKbps));
  floats[base + SOFT] = Math.min(floats[base + SOFT]! + elapsed * (softKbps / 8), bucketDepth(softKbps));
  floats[base + REFILLED] = nowMs;
}

/** Takes `bytes` from the hard bucket, or nothing and says false when it holds less. */
export function takeHard(floats: Float64Array, base: number, bytes: number): boolean {
  const left = floats[base + HARD]! - bytes;
  if (left < 0) return false;
  floats[base + HARD] = left;
  return true;
}

/** As {@link takeHard}, from the soft bucket. */
export function takeSoft(floats: Float64Array, base: number, bytes: number): boolean {
  const left = floats[base + SOFT]! - bytes;
  if (left < 0) return false;
  floats[base + SOFT] = left;
  return true;
}

/** Bytes; 1 kbps is 1000 bits a second, which is 1/8 byte a millisecond. */
export function bucketDepth(kbps: number): number {
  return Math.max(MIN_DEPTH_BYTES, (kbps / 8) * DEPTH_MS);
}
