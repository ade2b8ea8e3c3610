import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/** Preloaded into a relay: its workers stand still in the middle of a turn, where they ask for their CPU time, and say so. */
if (!isMainThread) {
  process.threadCpuUsage = () => {
    new BroadcastChannel('stall').postMessage('now');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    throw new Error('nobody wakes this');
  };
}
