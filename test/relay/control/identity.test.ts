import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { resolveIdentity } from '../../../relay/control/identity.ts';
import { LogLines } from './log-lines.ts';
import { temporaryFolder } from './temporary-folder.ts';

function identity(
  stateDir: string | undefined,
  configured?: string,
  lines: LogLines = new LogLines(),
): Promise<string> {
  return resolveIdentity({ configured, stateDir, randomId: () => 'random-id', log: lines.log });
}

test('WAVRY_RELAY_ID wins, then what the state directory has, then a random id', async (t) => {
  const folder = temporaryFolder(t);
  assert.equal(await identity(undefined), 'random-id');
  writeFileSync(join(folder, 'relay-id'), 'kept-id\n');
  assert.equal(await identity(folder), 'kept-id');
  assert.equal(await identity(folder, 'pod-uid'), 'pod-uid');
  assert.equal(readFileSync(join(folder, 'relay-id'), 'utf8'), 'kept-id\n');
});

test('fault 2: the id outlives a restart, in a file that only its owner reads', async (t) => {
  const folder = temporaryFolder(t);
  assert.equal(await identity(folder), 'random-id');
  const path = join(folder, 'relay-id');
  assert.equal(readFileSync(path, 'utf8'), 'random-id\n');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const again = resolveIdentity({
    configured: undefined,
    stateDir: folder,
    randomId: () => 'other',
    log: () => {},
  });
  assert.equal(await again, 'random-id');
});

test('a file that holds no id is named and replaced', async (t) => {
  for (const content of [
    '',
    ' \n',
    'two words',
    'x'.repeat(129),
    '\u{1b}[31m',
    'x'.repeat(5000),
    'ümlaut',
    Buffer.from([0xff]),
  ]) {
    const folder = temporaryFolder(t);
    const lines = new LogLines();
    writeFileSync(join(folder, 'relay-id'), content);
    assert.equal(await identity(folder, undefined, lines), 'random-id');
    assert.equal(lines.matching(/^warn: .*relay-id.*new/).length, 1);
    assert.equal(readFileSync(join(folder, 'relay-id'), 'utf8'), 'random-id\n');
  }
});

test('no other file is overwritten in the place of a new id', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'precious'), 'precious');
  symlinkSync('precious', join(folder, 'relay-id.new'));
  assert.equal(await identity(folder), 'random-id');
  assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
});

test('what can not be read is not waited for', async (t) => {
  const folder = temporaryFolder(t);
  symlinkSync('/dev/zero', join(folder, 'relay-id'));
  assert.equal(await identity(folder), 'random-id');
  const blocked = temporaryFolder(t);
  mkdirSync(join(blocked, 'relay-id'));
  await assert.rejects(identity(blocked), /relay-id/);
});
