import type { MessagePort } from 'node:worker_threads';
import { HELD_BYTES } from '../pipeline/held-forwards.ts';
import { HandOver } from './hand-over.ts';
import { loadLibc } from './libc.ts';
import { MmsgLoop } from './mmsg-loop.ts';
import { NativeBlock } from './native-block.ts';
import { Nudge } from './nudge.ts';
import { ReceiveBatch } from './receive.ts';
import { Trains } from './trains.ts';
import { assembleWorker } from './worker-assembly.ts';
import type { MmsgSocket, Report, WorkerSetup } from './worker-setup.ts';

/** Runs until the main thread says stop; the thread's event loop stands still meanwhile. */
export function runMmsgWorker(setup: WorkerSetup, socket: MmsgSocket, port: MessagePort): void {
  const libc = loadLibc();
  const { fd, bound } = socket;
  const held = new NativeBlock(HELD_BYTES);
  const { pipeline, counters, state, duties } = assembleWorker(setup, port, () => trains, held.bytes);
  const trains: Trains = new Trains(
    libc,
    fd,
    bound.family,
    setup.maxSessions * 2,
    socket.segmenting,
    pipeline,
  );
  const loop = new MmsgLoop({
    libc,
    index: setup.index,
    pipeline,
    counters,
    state,
    duties,
    batch: new ReceiveBatch(libc, fd, bound.family, socket.coalescing),
    trains,
    held,
    others: socket.others && {
      handOver: new HandOver(libc, socket.others.rings, setup.index, setup.workers),
      nudge: new Nudge(libc, fd, bound, socket.others.cookie),
    },
  });
  const ready: Report = { kind: 'ready' };
  port.postMessage(ready);
  loop.run();
}
