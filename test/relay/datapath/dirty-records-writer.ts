import { workerData } from 'node:worker_threads';
import { DirtyRecords } from '../../../relay/datapath/dirty-records.ts';
import { RECORD_BYTES } from '../../../relay/session/record.ts';

/** Writes records whose words are all the same, over and over: the last ones hold `rounds`. */
const { buffer, capacity, rounds } = workerData as {
  buffer: SharedArrayBuffer;
  capacity: number;
  rounds: number;
};
let round = 0;
const records = new DirtyRecords(buffer, 0, capacity, (_slot, out, offset) => {
  new Uint32Array(out.buffer, offset, RECORD_BYTES / 4).fill(round);
  return true;
});
for (round = 1; round <= rounds; round++) {
  for (let slot = 0; slot < capacity; slot++) records.dirty(slot);
  records.publish(0);
}
round = rounds;
while (records.waiting > 0) records.publish(0);
