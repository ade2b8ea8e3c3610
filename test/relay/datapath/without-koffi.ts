import { startRig } from './datapath-rig.ts';

/** To be run with no-koffi.ts preloaded. Prints what becomes of --datapath auto and mmsg. */
const rig = await startRig({ datapath: 'auto', workers: 2 });
const { kind, workers } = rig.datapath;
await rig.stop();
const refusal = await startRig({ datapath: 'mmsg' }).then(
  () => 'none',
  (error: Error) => error.message,
);
console.log(JSON.stringify({ kind, workers, lines: rig.lines, refusal }));
