import type { SharedState } from './shared-state.ts';

/**
 * Finds workers whose heartbeat stands still (design-relay 1). Counted in ticks of the main thread's own one-second timer,
 * not in clock time: when the whole process was stopped (SIGSTOP, a paused VM), no tick passed either.
 */
export class StallWatch {
  readonly #state: Pick<SharedState, 'workers' | 'heartbeat'>;
  readonly #last: number[] = [];
  readonly #unchanged: number[] = [];

  constructor(state: Pick<SharedState, 'workers' | 'heartbeat'>) {
    this.#state = state;
  }

  /** The workers whose heartbeat was the same over the last STALL_TICKS calls. */
  tick(): number[] {
    const stalled: number[] = [];
    for (let worker = 0; worker < this.#state.workers; worker++) {
      const beat = this.#state.heartbeat(worker);
      const same = beat === this.#last[worker];
      this.#unchanged[worker] = same ? this.#unchanged[worker]! + 1 : 0;
      this.#last[worker] = beat;
      if (this.#unchanged[worker]! >= STALL_TICKS) stalled.push(worker);
    }
    return stalled;
  }
}

export const STALL_TICKS = 10;
