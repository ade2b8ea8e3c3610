import assert from 'node:assert/strict';
import { renameSync, rmSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import fc from 'fast-check';

import { generateKey } from '../../../local/master/keys.ts';
import { systemClock } from '../../../relay/control/clock.ts';
import type { MasterKeysOptions } from '../../../relay/control/master-keys.ts';
import { MasterKeys } from '../../../relay/control/master-keys.ts';
import { KeyRing } from '../../../relay/lease/key-ring.ts';
import type { KeyRingState } from '../../../relay/lease/key-ring.ts';
import { LogLines } from './log-lines.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { VirtualClock } from './virtual-clock.ts';
import { waitUntil } from './wait-until.ts';

const lines = new LogLines();
const [a, b, c] = [generateKey(), generateKey(), generateKey()];

function hex(key: { publicKey: Uint8Array }): string {
  return Buffer.from(key.publicKey).toString('hex');
}

function options(changes: Partial<MasterKeysOptions> = {}): MasterKeysOptions {
  return {
    flags: [],
    file: undefined,
    unprotected: false,
    insecure: false,
    clock: new VirtualClock(),
    log: lines.log,
    ...changes,
  };
}

/** The ids of the keys that would verify a lease with this kid claim. */
function verifying(state: KeyRingState, kid: string, nowMs = 0): string[] {
  const keys = new KeyRing(state).keysFor(kid, nowMs);
  return keys.filter((key) => key.kid === undefined || key.kid === kid).map(({ id }) => id);
}

async function watched(t: TestContext, keys: MasterKeys): Promise<KeyRingState[]> {
  const states: KeyRingState[] = [];
  keys.start((state) => states.push(state));
  t.after(() => keys.stop());
  return states;
}

test("fault 13: a registration's new key and key id are learned, the one before verifies for an hour", () => {
  const clock = new VirtualClock();
  const keys = new MasterKeys(options({ clock }));
  assert.equal(keys.hasKey, false);
  keys.learn(a.publicKey, a.keyId);
  keys.learn(b.publicKey, b.keyId);
  assert.equal(keys.hasKey, true);
  const nowMs = clock.wallMs();
  assert.deepEqual(verifying(keys.state, b.keyId, nowMs), [b.keyId]);
  assert.deepEqual(verifying(keys.state, a.keyId, nowMs + 3_599_000), [a.keyId]);
  assert.deepEqual(verifying(keys.state, a.keyId, nowMs + 3_601_000), []);
  assert.equal(keys.problem, undefined);
});

test('a key that is not pinned is refused, with both ids, until it is pinned', () => {
  const lines = new LogLines();
  const keys = new MasterKeys(options({ flags: [`old=${hex(a)}`], log: lines.log }));
  keys.learn(a.publicKey, 'old');
  assert.equal(keys.problem, undefined);
  keys.learn(b.publicKey, 'new');
  assert.match(keys.problem!, /key new, which is not pinned \(pinned: old\)/);
  assert.equal(lines.matching(/^error: .*new.*old/).length, 1);
  assert.deepEqual(verifying(keys.state, 'new'), []);
  assert.deepEqual(verifying(keys.state, 'old'), ['old']);
  keys.learn(b.publicKey, 'new');
  assert.equal(lines.matching(/^error: /).length, 1, 'said once');
});

test('without pinning, a key over plain HTTP from elsewhere is warned of, once', () => {
  const lines = new LogLines();
  const keys = new MasterKeys(options({ unprotected: true, log: lines.log }));
  keys.learn(a.publicKey, a.keyId);
  keys.learn(b.publicKey, b.keyId);
  assert.equal(lines.matching(/^warn: .*plain HTTP.*--master-public-key/).length, 1);
  const pinned = new MasterKeys(options({ unprotected: true, flags: [hex(a)], log: lines.log }));
  pinned.learn(a.publicKey, a.keyId);
  assert.equal(lines.matching(/^warn: /).length, 1);
});

test('in insecure development mode no key matters', () => {
  const keys = new MasterKeys(options({ insecure: true }));
  assert.equal(keys.hasKey, true);
  keys.learn(a.publicKey, a.keyId);
  assert.equal(keys.problem, undefined);
});

test('an answer with a key that nobody can sign with changes nothing', () => {
  const keys = new MasterKeys(options());
  keys.learn(a.publicKey, a.keyId);
  const before = keys.state;
  const weak = new Uint8Array(32);
  weak[0] = 1;
  const noPoint = new Uint8Array(32);
  noPoint[0] = 2;
  for (const bytes of [weak, noPoint, new Uint8Array(31)]) {
    assert.throws(() => keys.learn(bytes, 'x'), /master_public_key: /);
  }
  assert.throws(() => keys.learn(b.publicKey, 'k\n'), /master_key_id/);
  assert.equal(keys.state, before);
});

test('keys of flags and file are pinned together; comments and blank lines do not count', async (t) => {
  const file = join(temporaryFolder(t), 'keys');
  writeFileSync(file, `# Master of the east\n\n  kb=${hex(b)}  \r\n${hex(c).toUpperCase()}\n`);
  const keys = new MasterKeys(options({ flags: [`ka=${hex(a)}`], file }));
  await keys.load();
  assert.deepEqual(
    keys.state.pinned.map(({ hex, kid }) => [hex, kid]),
    [
      [hex(a), 'ka'],
      [hex(b), 'kb'],
      [hex(c), undefined],
    ],
  );
});

test('at the start a keys file that is missing, empty or bad is an error that names it and the line', async (t) => {
  const file = join(temporaryFolder(t), 'keys');
  await assert.rejects(new MasterKeys(options({ file })).load(), /keys does not exist/);
  for (const [text, why] of [
    ['', /holds no key/],
    ['# none\n', /holds no key/],
    [`${hex(a)}\nabc`, /keys, line 2: .*64 hexadecimal digits/],
    [`${'00'.repeat(31)}80`, /line 1: .*no usable Ed25519/],
    [`${hex(a)}\n`.repeat(65), /65 keys, at most 64/],
    ['#'.repeat(70_000), /longer than 65536 bytes/],
    [Buffer.from([0xff, 0xfe, 0x41]), /not UTF-8 text/],
  ] as const) {
    writeFileSync(file, text);
    await assert.rejects(new MasterKeys(options({ file })).load(), why);
  }
  assert.throws(() => new MasterKeys(options({ flags: ['abc'] })), /64 hexadecimal digits/);
});

test('fault 13: the keys file is read again when it changes; a bad one is named and changes nothing', async (t) => {
  const lines = new LogLines();
  const file = join(temporaryFolder(t), 'keys');
  writeFileSync(file, `ka=${hex(a)}`);
  const keys = new MasterKeys(options({ file, clock: systemClock, log: lines.log }));
  await keys.load();
  const states = await watched(t, keys);
  keys.learn(b.publicKey, 'kb');
  assert.ok(keys.problem);

  writeFileSync(file, 'rubbish');
  await waitUntil(
    'the bad file is named',
    () => lines.matching(/^error: .*line 1: .*keys it held before/).length > 0,
  );
  assert.deepEqual(verifying(keys.state, 'ka'), ['ka']);
  writeFileSync(file, `ka=${hex(a)}\nkb=${hex(b)}\n`);
  await waitUntil('the new keys are there', () => keys.problem === undefined);
  assert.deepEqual(verifying(states.at(-1)!, 'kb'), ['kb']);
  rmSync(file);
  await waitUntil('the missing file is named', () => lines.matching(/does not exist/).length > 0);
  assert.deepEqual(verifying(keys.state, 'kb'), ['kb']);
});

test('the keys file is followed through the symlink swap of a Kubernetes volume', async (t) => {
  const folder = temporaryFolder(t);
  const version = (name: string, text: string): void => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'keys'), text);
    symlinkSync(name, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  version('..1', `ka=${hex(a)}`);
  symlinkSync('..data/keys', join(folder, 'keys'));
  const keys = new MasterKeys(options({ file: join(folder, 'keys'), clock: systemClock }));
  await keys.load();
  await watched(t, keys);
  // Same length, so that only another inode or the text itself tells.
  version('..2', `kb=${hex(b)}`);
  rmSync(join(folder, '..1'), { recursive: true });
  await waitUntil('the new key is there', () => keys.state.pinned[0]!.kid === 'kb');
});

test('whatever a keys file holds, it is an error that names the file, or keys', async (t) => {
  const file = join(temporaryFolder(t), 'keys');
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.string().map((text) => Buffer.from(text)),
      ),
      async (bytes) => {
        writeFileSync(file, bytes);
        await assert.rejects(new MasterKeys(options({ file })).load(), (error: Error) =>
          error.message.startsWith(file),
        );
      },
    ),
    { numRuns: 50 },
  );
});
