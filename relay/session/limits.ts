import { BUCKET, floatsAt, HARD_KBPS, SOFT_KBPS, wordsAt } from './layout.ts';
import type { SessionTable } from './table.ts';
import { fillBuckets, refillBuckets, resizeBuckets } from './token-bucket.ts';

/** The limits (kbps) of a session that is new: its buckets are full. */
export function startLimits(
  table: SessionTable,
  slot: number,
  softKbps: number,
  hardKbps: number,
  nowMs: number,
): void {
  table.words[wordsAt(slot) + SOFT_KBPS] = softKbps;
  table.words[wordsAt(slot) + HARD_KBPS] = hardKbps;
  fillBuckets(table.floats, floatsAt(slot) + BUCKET, hardKbps, softKbps, nowMs);
}

/** The limits of a session from now on; nobody gains a full bucket by presenting again. */
export function changeLimits(
  table: SessionTable,
  slot: number,
  softKbps: number,
  hardKbps: number,
  nowMs: number,
): void {
  const buckets = floatsAt(slot) + BUCKET;
  refillBuckets(table.floats, buckets, hardKbpsOf(table, slot), softKbpsOf(table, slot), nowMs);
  table.words[wordsAt(slot) + SOFT_KBPS] = softKbps;
  table.words[wordsAt(slot) + HARD_KBPS] = hardKbps;
  resizeBuckets(table.floats, buckets, hardKbps, softKbps);
}

export function softKbpsOf(table: SessionTable, slot: number): number {
  return table.words[wordsAt(slot) + SOFT_KBPS]! >>> 0;
}

export function hardKbpsOf(table: SessionTable, slot: number): number {
  return table.words[wordsAt(slot) + HARD_KBPS]! >>> 0;
}
