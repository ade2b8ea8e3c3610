import { join } from 'node:path';
import process from 'node:process';

import { systemClock } from '../../../relay/control/clock.ts';
import { StateFile } from '../../../relay/control/state-file.ts';
import { lockFile } from '../../../relay/control/state-lock.ts';
import { RELAY_ID, partsOf, recordOf } from './state-records.ts';

/**
 * A relay's state file under constant change, as a process that tests can kill: `node state-writer.ts DIRECTORY SEED
 * SESSIONS`. Says `held` when the directory is locked by another, `ready` once it writes, and each failure of the disk.
 */
const [directory, seed, sessions] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const lock = await lockFile(join(directory!, 'lock'));
if (!lock) {
  say('held');
  process.exit(1);
}
const file = await StateFile.open({
  path: join(directory!, 'sessions'),
  relayId: RELAY_ID,
  clock: systemClock,
  log: (level, message) => say(`${level} ${message}`),
});
const versions = new Map(file.restored.map((record) => Object.values(partsOf(record)) as [number, number]));

let state = Number(seed);
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

let first = true;
file.start((visit) => {
  if (first) for (const [session, version] of versions) visit(0, session, recordOf(session, version));
  first = false;
  for (let i = 0; i < 20; i++) {
    const session = 1 + random(Number(sessions));
    if (versions.has(session) && random(4) === 0) {
      versions.delete(session);
      visit(0, session, undefined);
    } else {
      const version = 1 + random(60_000);
      versions.set(session, version);
      visit(0, session, recordOf(session, version));
    }
  }
  return 20;
});
say(`ready ${file.restored.length} ${file.corruptRecords}`);
