import { once } from 'node:events';
import { BroadcastChannel } from 'node:worker_threads';
import { startRig } from './datapath-rig.ts';

/** To be run with stall-hook.ts preloaded. Prints what the main thread finds, and ends by itself. */
const channel = new BroadcastChannel('stall');
const stalled = once(channel, 'message');
const rig = await startRig({ datapath: 'mmsg' });
await stalled;
channel.close();
let ticksBefore = 0;
while (rig.datapath.stalledWorkers().length === 0) ticksBefore++;
const workers = rig.datapath.stalledWorkers();
await rig.datapath.stop();
console.log(JSON.stringify({ ticksBefore, workers }));
