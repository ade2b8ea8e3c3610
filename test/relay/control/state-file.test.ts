import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';

import { systemClock } from '../../../relay/control/clock.ts';
import type { StateFileOptions, TakeDirty } from '../../../relay/control/state-file.ts';
import { StateFile } from '../../../relay/control/state-file.ts';
import { lockFile } from '../../../relay/control/state-lock.ts';
import { StateSlots } from '../../../relay/control/state-slots.ts';
import { RECORD_BYTES } from '../../../relay/session/record.ts';
import { SEED } from '../../seed.ts';
import { LogLines } from './log-lines.ts';
import { RELAY_ID, partsOf, recordOf } from './state-records.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { VirtualClock } from './virtual-clock.ts';
import { waitUntil } from './wait-until.ts';

function openState(path: string, changes: Partial<StateFileOptions> = {}): Promise<StateFile> {
  return StateFile.open({ path, relayId: RELAY_ID, clock: systemClock, log: () => {}, ...changes });
}

/** What a restart finds, by session. */
async function reread(path: string): Promise<{ versions: Map<number, number>; corrupt: number }> {
  const file = await openState(path, { clock: new VirtualClock() });
  const versions = new Map(file.restored.map((record) => Object.values(partsOf(record)) as [number, number]));
  assert.equal(versions.size, file.restored.length, 'no session twice');
  await file.stop();
  return { versions, corrupt: file.corruptRecords };
}

/** Changes that the next `takeDirty` brings. */
class Dirty {
  #changes: { worker: number; slot: number; record: Uint8Array | undefined }[] = [];
  readonly take: TakeDirty = (visit) => {
    const changes = this.#changes;
    this.#changes = [];
    for (const { worker, slot, record } of changes) visit(worker, slot, record);
    return changes.length;
  };
  set(worker: number, slot: number, record: Uint8Array | undefined): void {
    this.#changes.push({ worker, slot, record });
  }
  get waiting(): number {
    return this.#changes.length;
  }
}

test('sessions are written, changed, removed and found again', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  const file = await openState(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const dirty = new Dirty();
  file.start(dirty.take);
  dirty.set(0, 7, recordOf(1, 1));
  dirty.set(1, 7, recordOf(2, 1));
  dirty.set(1, 8, recordOf(3, 1));
  await waitUntil('three records are written', () => statSync(path).size === 3 * RECORD_BYTES);
  dirty.set(1, 7, recordOf(2, 5));
  dirty.set(0, 7, undefined);
  dirty.set(0, 99, undefined);
  await file.stop();
  assert.deepEqual(
    (await reread(path)).versions,
    new Map([
      [2, 5],
      [3, 1],
    ]),
  );
});

test('a place that is free is used again', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  const file = await openState(path);
  const dirty = new Dirty();
  file.start(dirty.take);
  for (let i = 1; i <= 50; i++) {
    dirty.set(0, i, recordOf(i, i));
    await waitUntil('it is taken', () => dirty.waiting === 0);
    dirty.set(0, i, undefined);
    await waitUntil('it is removed', () => dirty.waiting === 0);
  }
  await file.stop();
  assert.equal(statSync(path).size, RECORD_BYTES);
});

test('restored sessions keep their place when a worker shows them; those that none shows are cleared', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  writeFileSync(path, Buffer.concat([1, 2, 3, 4].map((session) => recordOf(session, 1))));
  const clock = new VirtualClock();
  const file = await openState(path, { clock });
  assert.equal(file.restored.length, 4);
  const dirty = new Dirty();
  file.start(dirty.take);
  // Two workers now, and other slots.
  dirty.set(1, 0, recordOf(3, 1));
  dirty.set(0, 0, recordOf(1, 1));
  dirty.set(0, 1, recordOf(9, 1));
  await clock.advance(20);
  await waitUntil('all are written', () => statSync(path).size === 5 * RECORD_BYTES);
  assert.equal(file.restoredSessions, 2);
  await clock.advance(30_000);
  await file.stop();
  assert.equal(file.restoredSessions, 2);
  assert.deepEqual(
    (await reread(path)).versions,
    new Map([
      [1, 1],
      [3, 1],
      [9, 1],
    ]),
  );
  assert.deepEqual(partsOf(readFileSync(path).subarray(2 * RECORD_BYTES, 3 * RECORD_BYTES)).session, 3);
});

test('records of another relay id are dropped, not restored', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  writeFileSync(path, Buffer.concat([recordOf(1, 1, 'another relay'), recordOf(2, 1)]));
  const file = await openState(path);
  assert.equal(file.foreignRecords, 1);
  assert.equal(file.corruptRecords, 0);
  assert.deepEqual(
    file.restored.map((record) => partsOf(record).session),
    [2],
  );
  await file.stop();
  assert.deepEqual([...readFileSync(path).subarray(0, RECORD_BYTES)], Array(RECORD_BYTES).fill(0));
});

test('one session in two records is restored once', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  writeFileSync(path, Buffer.concat([recordOf(1, 1), recordOf(1, 2)]));
  const { versions, corrupt } = await reread(path);
  assert.equal(versions.size, 1);
  assert.equal(corrupt, 1);
});

test('any byte changed: that record is skipped and counted, the others are restored as they were', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  const records = [1, 2, 3].map((session) => recordOf(session, session));
  await fc.assert(
    fc.asyncProperty(fc.nat(3 * RECORD_BYTES - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const bytes = Buffer.concat(records);
      bytes[at] = bytes[at]! ^ flip;
      writeFileSync(path, bytes);
      const { versions, corrupt } = await reread(path);
      const hit = 1 + Math.floor(at / RECORD_BYTES);
      assert.deepEqual(
        [...versions.keys()],
        [1, 2, 3].filter((session) => session !== hit),
      );
      assert.equal(corrupt, 1);
      assert.equal((await reread(path)).corrupt, 0, 'it is gone after the start that counted it');
    }),
  );
});

test('a file cut at any length gives the records that are whole', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  const bytes = Buffer.concat([1, 2, 3].map((session) => recordOf(session, session)));
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length), async (length) => {
      writeFileSync(path, bytes.subarray(0, length));
      const { versions, corrupt } = await reread(path);
      assert.equal(versions.size, Math.floor(length / RECORD_BYTES));
      assert.equal(corrupt, length % RECORD_BYTES === 0 ? 0 : 1);
    }),
  );
});

test('whatever the file holds, nothing is restored that is not a record', async (t) => {
  const path = join(temporaryFolder(t), 'sessions');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      writeFileSync(path, bytes);
      assert.equal((await reread(path)).versions.size, 0);
    }),
  );
});

test('a sparse file of a terabyte, a pipe, a directory and a link are no state files', async (t) => {
  const folder = temporaryFolder(t);
  const sparse = join(folder, 'sparse');
  writeFileSync(sparse, '');
  truncateSync(sparse, 2 ** 40);
  assert.equal((await reread(sparse)).versions.size, 0);
  assert.equal(statSync(sparse).size, 0);
  mkdirSync(join(folder, 'directory'));
  await assert.rejects(openState(join(folder, 'directory')), /EISDIR/);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await assert.rejects(openState(join(folder, 'pipe')), /not a regular file/);
  symlinkSync(sparse, join(folder, 'link'));
  await assert.rejects(openState(join(folder, 'link')), /ELOOP/);
});

test('a disk that hangs stalls nothing: it is said and counted, and stopping gives up', async (t) => {
  const clock = new VirtualClock();
  const lines = new LogLines();
  let hangs = 0;
  const file = await openState(join(temporaryFolder(t), 'sessions'), {
    clock,
    log: lines.log,
    openFile: async (...parameters) => {
      const handle = await open(...parameters);
      t.after(() => handle.close());
      handle.write = (() => {
        hangs++;
        return new Promise(() => {});
      }) as unknown as typeof handle.write;
      return handle;
    },
  });
  const dirty = new Dirty();
  file.start(dirty.take);
  dirty.set(0, 0, recordOf(1, 1));
  await clock.advance(100);
  assert.equal(hangs, 1);
  clock.freeze(60_000);
  await clock.advance(4000);
  assert.equal(file.writeErrorsTotal, 0, 'a process that stood still knows nothing of the disk');
  await clock.advance(2000);
  dirty.set(0, 0, recordOf(1, 2));
  await clock.advance(6000);
  assert.equal(hangs, 1, 'one write at a time');
  assert.equal(dirty.waiting, 1, 'what changes meanwhile stays with the workers');
  assert.equal(file.writeErrorsTotal, 1);
  assert.equal(lines.matching(/^warn: .*the disk hangs.*sessions go on/).length, 1);
  const stopped = file.stop();
  await clock.advance(3000);
  await stopped;
  assert.equal(lines.matching(/^error: .*last changes are lost/).length, 1);
});

test('places: no two sessions share one, and none is lost', () => {
  const step = fc.record({ worker: fc.nat(2), slot: fc.nat(4), remove: fc.boolean(), session: fc.nat(9) });
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(9), { maxLength: 6 }), fc.array(step), (restored, steps) => {
      const slots = new StateSlots(
        new Map(restored.map((session, slot) => [`${session}`, slot])),
        restored.length + 2,
      );
      const model = new Map<string, number>();
      const claimed = new Set<number>();
      for (const { worker, slot, remove, session } of steps) {
        const key = `${worker} ${slot}`;
        if (remove) {
          assert.equal(slots.release(worker, slot), model.get(key));
          model.delete(key);
        } else {
          const place = slots.take(worker, slot, () => `${session}`);
          assert.equal(place, model.get(key) ?? place);
          if (!model.has(key) && restored.includes(session) && !claimed.has(session)) {
            assert.equal(place, restored.indexOf(session), 'a restored session keeps its place');
            claimed.add(session);
          }
          model.set(key, place);
        }
        assert.equal(new Set(model.values()).size, model.size);
        assert.ok(Math.max(-1, ...model.values()) < restored.length + 2 + 15);
      }
      assert.equal(slots.unclaimed, restored.length - claimed.size);
      const freed = slots.releaseUnclaimed();
      assert.deepEqual(
        freed.filter((place) => [...model.values()].includes(place)),
        [],
      );
    }),
  );
});

interface Writer {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly kill: () => Promise<void>;
}

function writer(t: TestContext, directory: string, seed: number, sessions: number, shell?: string): Writer {
  const script = fileURLToPath(new URL('./state-writer.ts', import.meta.url));
  const command = [process.execPath, script, directory, `${seed}`, `${sessions}`];
  const child = shell
    ? spawn('bash', ['-c', `${shell}; exec "$@"`, 'bash', ...command], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
    : spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  const exited = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  return { child, lines, kill };
}

test('kill -9 at any moment leaves a file that restores, and a directory that is free', async (t) => {
  const directory = temporaryFolder(t);
  let restored = 0;
  for (let i = 0; i < 6; i++) {
    const { lines, kill } = writer(t, directory, SEED + i, 500);
    await waitUntil('it writes', () => lines.some((line) => line.startsWith('ready')));
    assert.equal(lines[0], `ready ${restored} 0`);
    await setTimeout(20 + ((SEED >>> i) % 150));
    await kill();
    const { versions, corrupt } = await reread(join(directory, 'sessions'));
    assert.equal(corrupt, 0);
    restored = versions.size;
  }
  assert.ok(restored > 0);
});

test('a second process is refused the directory, until the first one is gone', async (t) => {
  const directory = temporaryFolder(t);
  const first = writer(t, directory, 1, 10);
  await waitUntil('the first writes', () => first.lines.some((line) => line.startsWith('ready')));
  const second = writer(t, directory, 2, 10);
  await waitUntil('the second gives up', () => second.child.exitCode !== null && second.lines.length > 0);
  assert.deepEqual(second.lines, ['held']);
  assert.equal(second.child.exitCode, 1);
  assert.equal(await lockFile(join(directory, 'lock')), undefined);
  const third = writer(t, directory, 3, 10);
  await waitUntil('a third gives up, too', () => third.child.exitCode !== null && third.lines.length > 0);
  assert.deepEqual(third.lines, ['held'], 'looking at the lock has not broken it');
  await first.kill();
  const lock = await lockFile(join(directory, 'lock'));
  assert.ok(lock);
  lock.release();
});

test('a lock file with anything in it locks, and no other file is emptied in its place', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'lock'), 'no database');
  const lock = await lockFile(join(folder, 'lock'));
  assert.ok(lock);
  assert.equal(await lockFile(join(folder, 'lock')), undefined, 'nor may the same process have it twice');
  const other = writer(t, folder, 1, 1);
  await waitUntil('another process gives up', () => other.child.exitCode !== null && other.lines.length > 0);
  assert.deepEqual(other.lines, ['held'], 'asking twice has not broken it');
  lock.release();
  (await lockFile(join(folder, 'lock')))!.release();
  writeFileSync(join(folder, 'precious'), 'precious');
  symlinkSync('precious', join(folder, 'link'));
  await assert.rejects(lockFile(join(folder, 'link')), /ELOOP/);
  assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
});

test('a full disk is a warning and a count; what changed is written once there is room', async (t) => {
  const directory = temporaryFolder(t);
  const { child, lines } = writer(t, directory, 3, 200, 'ulimit -S -f 4');
  await waitUntil('it fails', () => lines.some((line) => /^warn .*EFBIG.*sessions go on/.test(line)));
  execFileSync('prlimit', ['--pid', `${child.pid}`, '--fsize=unlimited:unlimited']);
  await waitUntil('it is written again', () =>
    lines.some((line) => /^info .*being written again/.test(line)),
  );
  assert.equal(lines.filter((line) => line.startsWith('warn')).length, 1, 'said once');
});
