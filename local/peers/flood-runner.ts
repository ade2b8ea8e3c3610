import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import type { FloodCount, FloodOptions } from './flood.ts';

export interface RunningFlood {
  count(): Promise<FloodCount>;
  stop(): Promise<FloodCount>;
}

/** Starts a flood in a thread of its own; rejects when its sockets can't be opened. */
export async function runFlood(options: FloodOptions): Promise<RunningFlood> {
  const thread = new Worker(new URL('./flood-thread.ts', import.meta.url), { workerData: options });
  await once(thread, 'message');
  const ask = async (what: 'count' | 'stop'): Promise<FloodCount> => {
    const answer = once(thread, 'message');
    thread.postMessage(what);
    return ((await answer) as [FloodCount])[0];
  };
  return {
    count: () => ask('count'),
    stop: async () => {
      const ended = once(thread, 'exit');
      const count = await ask('stop');
      await ended;
      return count;
    },
  };
}
