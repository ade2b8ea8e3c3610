import { startRig } from './datapath-rig.ts';

/** Ends the process while workers sit in their system calls. */
await startRig({ datapath: process.argv[2] === 'dgram' ? 'dgram' : 'mmsg', workers: 2 });
process.exit(3);
