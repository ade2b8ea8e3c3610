import { setImmediate } from 'node:timers/promises';

import type { Clock } from '../../../relay/control/clock.ts';

/** A clock that only `advance` moves. Both times can be stepped apart. */
export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  #wallOffsetMs = 1_700_000_000_000;
  #timers: { atMs: number; call: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Timers that are waiting. */
  get pending(): number {
    return this.#timers.length;
  }

  /** The process stands still: time passes, and no timer comes to its turn. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }

  /** Passes time, timer by timer, and lets what they start come to rest each time. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settle();
      const due = this.#timers.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.call();
    }
    this.#nowMs = untilMs;
    await settle();
  }
}

/** Until every promise that needs no I/O has had its turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await setImmediate();
}
