import type { Traffic } from './traffic.ts';

export interface Clairvoyant {
  /** Relay-hours of the packing found: what is compared with. */
  readonly relayHours: number;
  /** Relay-hours that no packing can stay below: sessions at each moment over what a relay holds, rounded up. */
  readonly floorRelayHours: number;
}

/**
 * Who knows every arrival and every end in advance, fills relays to the same target, can't move a session either, and has a
 * relay the very moment it is needed and rid of it the moment its last session ends. Finding the least relay-hours is
 * NP-hard; this packs each arrival where it keeps a relay the least time longer: into the fullest-fitting relay that stays as
 * long anyway (the one that ends soonest after it), else into the one that it prolongs least, else into a new one.
 */
export function clairvoyantOf(traffic: Traffic, target: number, durationMs: number): Clairvoyant {
  const { arrivalMs, lengthMs } = traffic;
  const count = arrivalMs.length;
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  // Sessions under way at the start are packed as if they came in the order of their ends.
  const initial = order.filter((index) => arrivalMs[index]! <= 0);
  const later = order.filter((index) => arrivalMs[index]! > 0);
  initial.sort((a, b) => endOf(a) - endOf(b));

  const held: number[] = [];
  const closes: number[] = [];
  const ends = new EndQueue();
  let relayMs = 0;
  let floorMs = 0;
  let active = 0;
  let nowMs = 0;

  const advance = (toMs: number): void => {
    const untilMs = Math.min(toMs, durationMs);
    for (let next = ends.first(); next && next.atMs <= untilMs; next = ends.first()) {
      pass(next.atMs);
      ends.pop();
      held[next.bin]! -= 1;
      active -= 1;
    }
    pass(untilMs);
  };
  const pass = (toMs: number): void => {
    if (toMs <= nowMs) return;
    floorMs += Math.ceil(active / target) * (toMs - nowMs);
    nowMs = toMs;
  };
  const pack = (startMs: number, end: number): void => {
    let covers = -1;
    let prolonged = -1;
    let empty = -1;
    for (let bin = 0; bin < held.length; bin += 1) {
      const inside = held[bin]!;
      if (inside === 0) empty = bin;
      else if (inside < target) {
        if (closes[bin]! >= end) {
          if (covers < 0 || closes[bin]! < closes[covers]!) covers = bin;
        } else if (prolonged < 0 || closes[bin]! > closes[prolonged]!) prolonged = bin;
      }
    }
    let bin = covers >= 0 ? covers : prolonged;
    if (bin < 0) {
      bin = empty >= 0 ? empty : held.length;
      held[bin] = 0;
      closes[bin] = startMs;
    }
    const until = Math.min(end, durationMs);
    const from = Math.min(closes[bin]!, durationMs);
    if (until > from) relayMs += until - from;
    closes[bin] = Math.max(closes[bin]!, end);
    held[bin]! += 1;
    active += 1;
    ends.push(end, bin);
  };

  for (const index of initial) pack(0, endOf(index));
  for (const index of later) {
    advance(arrivalMs[index]!);
    pack(arrivalMs[index]!, endOf(index));
  }
  advance(durationMs);
  return { relayHours: relayMs / 3_600_000, floorRelayHours: floorMs / 3_600_000 };

  function endOf(index: number): number {
    return arrivalMs[index]! + lengthMs[index]!;
  }
}

/** A binary heap of ends, soonest first. */
class EndQueue {
  readonly #heap: { readonly atMs: number; readonly bin: number }[] = [];

  first(): { readonly atMs: number; readonly bin: number } | undefined {
    return this.#heap[0];
  }

  push(atMs: number, bin: number): void {
    const heap = this.#heap;
    let index = heap.length;
    const entry = { atMs, bin };
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.atMs <= atMs) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
