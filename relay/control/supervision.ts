import type { Datapath } from '../datapath/datapath.ts';
import type { Clock } from './clock.ts';
import { every } from './clock.ts';

/**
 * Watches the workers (design-relay 1): one that died, or whose heartbeat stood still over ten ticks of this timer, is
 * the end of the process, as its sessions are stuck until a new one restores them. Ticks, not clock time: a process that
 * was stopped as a whole has missed none.
 */
export class Supervision {
  readonly #cancel: () => void;
  #problem: string | undefined;

  constructor(
    datapath: Pick<Datapath, 'stalledWorkers' | 'onFatal'>,
    clock: Clock,
    onProblem: (problem: string) => void,
  ) {
    const report = (problem: string): void => {
      if (this.#problem !== undefined) return;
      this.#problem = problem;
      onProblem(problem);
    };
    datapath.onFatal((reason) => report(reason));
    this.#cancel = every(clock, 1000, () => {
      const stalled = datapath.stalledWorkers();
      if (stalled.length > 0) report(`packet worker ${stalled.join(', ')} has stopped turning`);
    });
  }

  /** Why the packet path is dead; undefined: it lives. */
  get problem(): string | undefined {
    return this.#problem;
  }

  stop(): void {
    this.#cancel();
  }
}
