import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerSetup } from './worker-setup.ts';

/** Entry point of a worker. Each kind of socket loads only what it needs: koffi may be missing where node:dgram runs. */
const setup = workerData as WorkerSetup;
if (!parentPort) throw new Error('worker-thread.ts runs in a worker thread only');
if (setup.socket.kind === 'mmsg') {
  const { runMmsgWorker } = await import('./mmsg-worker.ts');
  runMmsgWorker(setup, setup.socket, parentPort);
} else {
  const { runDgramWorker } = await import('./dgram-worker.ts');
  await runDgramWorker(setup, setup.socket, parentPort);
}
