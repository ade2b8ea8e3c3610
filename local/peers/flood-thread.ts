import { parentPort, workerData } from 'node:worker_threads';

import type { FloodOptions } from './flood.ts';
import { Flood } from './flood.ts';

/** A flood in a thread of its own, so that its sending does not show in the latency that the peers measure. */
const flood = await Flood.start(workerData as FloodOptions);
parentPort!.on('message', (wanted: 'count' | 'stop') => {
  parentPort!.postMessage(wanted === 'stop' ? flood.stop() : flood.count());
  if (wanted === 'stop') parentPort!.close();
});
parentPort!.postMessage('started');
