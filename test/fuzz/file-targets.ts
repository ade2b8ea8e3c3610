import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import * as fc from 'fast-check';

import { ControlDirectory } from '../../relay/control/control-directory.ts';
import { parseEndpoints } from '../../relay/control/endpoints.ts';
import { resolveIdentity } from '../../relay/control/identity.ts';
import { MasterKeys } from '../../relay/control/master-keys.ts';
import { StateFile } from '../../relay/control/state-file.ts';
import { checkRecord, RECORD_BYTES } from '../../relay/session/record.ts';
import { VirtualClock } from '../relay/control/virtual-clock.ts';
import { ALPHA, BETA } from '../relay/lease/leases.ts';
import { RELAY_ID, START_WALL_MS } from './cast.ts';
import { mutated } from './mutation.ts';
import { Random } from './random.ts';
import { anyRecord, withChecksum } from './records.ts';
import { checkProperty } from './target.ts';
import type { Target } from './target.ts';

/** No sooner than the control directory looks again. */
const CONTROL_POLL_MS = 1000;
const BOUND = { host: '0.0.0.0', port: 4000, family: 4 } as const;

/** Files that somebody else may have written: state directory, control directory, keys file. */
export const fileTargets: readonly Target[] = [
  fileTarget({
    name: 'state-file',
    about:
      'any bytes as the state file: what is sound is read once, the rest counted and cleared, and what is left is in order',
    runs: 40,
    property: (folder) => fc.asyncProperty(stateBytes(), (bytes) => checkStateFile(folder, bytes)),
  }),
  fileTarget({
    name: 'control-files',
    about: 'any bytes in the control directory: a wish that can be followed, or the one before',
    runs: 40,
    property: (folder) =>
      fc.asyncProperty(fc.array(controlFile(), { minLength: 1, maxLength: 4 }), (files) =>
        checkControlFiles(folder, files),
      ),
  }),
  fileTarget({
    name: 'keys-file',
    about: 'any bytes as the keys file: sound keys, or one line that names the file and shows no key',
    runs: 40,
    property: (folder) => fc.asyncProperty(keysBytes(), (bytes) => checkKeysFile(folder, bytes)),
  }),
  fileTarget({
    name: 'identity-file',
    about: 'any bytes as the kept relay id: an id that Master can take, or one line that names the file',
    runs: 40,
    property: (folder) => fc.asyncProperty(anyBytes(), (bytes) => checkIdentity(folder, bytes)),
  }),
];

function fileTarget({
  runs,
  property,
  ...about
}: Omit<Target, 'start'> & {
  readonly runs: number;
  readonly property: (folder: string) => fc.IRawProperty<unknown>;
}): Target {
  return {
    ...about,
    start: () => {
      const folder = mkdtempSync(join(tmpdir(), 'wavry-fuzz-'));
      return {
        batch: (seed) => checkProperty(property(folder), seed, runs),
        stop: async () => rmSync(folder, { recursive: true, force: true }),
      };
    },
  };
}

function anyBytes(): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 6000, size: 'max' }),
    fc.string({ unit: 'binary' }).map(bytesOf),
    fc.uuid().map(bytesOf),
  );
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'utf8'));
}

/** Whole records, tampered ones, the same one twice, holes, a piece at the end. */
function stateBytes(): fc.Arbitrary<Uint8Array> {
  const record = fc.tuple(fc.integer(), fc.nat({ max: 5 })).map(([seed, kind]): Uint8Array => {
    const random = new Random(seed);
    if (kind === 0) return new Uint8Array(RECORD_BYTES);
    if (kind === 1) return random.noise(RECORD_BYTES);
    const whole = anyRecord(random, START_WALL_MS);
    return kind === 2 ? withChecksum(mutated(random, whole)) : whole;
  });
  const records = fc.array(record, { maxLength: 12 });
  const tail = fc.uint8Array({ maxLength: RECORD_BYTES - 1 });
  const copies = fc.nat({ max: 2 });
  return fc.tuple(records, tail, copies).map(([list, end, copied]) => {
    const all = [...list, ...list.slice(0, copied)];
    return new Uint8Array(Buffer.concat([...all, end]));
  });
}

async function checkStateFile(folder: string, bytes: Uint8Array): Promise<void> {
  const path = join(folder, 'sessions');
  writeFileSync(path, bytes);
  const first = await openState(path);
  const sound = new Set<string>();
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    if (checkRecord(bytes, at, RELAY_ID) === 'sound') {
      sound.add(Buffer.from(bytes.subarray(at + 8, at + 24)).toString('hex'));
    }
  }
  assert.equal(first.file.restored.length, sound.size, 'each sound session once');
  // As workers do: they show what they took.
  let shown = false;
  first.file.start((visit) => {
    if (!shown) for (const [slot, record] of first.file.restored.entries()) visit(slot % 3, slot, record);
    shown = true;
    return 0;
  });
  await first.clock.advance(50);
  await first.file.stop();
  assert.equal(first.file.writeErrorsTotal, 0);

  const again = await openState(path);
  await again.file.stop();
  assert.deepEqual([again.file.corruptRecords, again.file.foreignRecords], [0, 0]);
  assert.deepEqual(sorted(again.file.restored), sorted(first.file.restored));
  assert.ok(statSync(path).size <= bytes.length + RECORD_BYTES);
}

async function openState(path: string): Promise<{ file: StateFile; clock: VirtualClock }> {
  const clock = new VirtualClock();
  return { file: await StateFile.open({ path, relayId: RELAY_ID, clock, log: () => {} }), clock };
}

function sorted(records: readonly Uint8Array[]): string[] {
  return records.map((record) => Buffer.from(record).toString('hex')).toSorted();
}

interface ControlFile {
  readonly name: 'draining' | 'endpoints';
  /** Undefined: there is none. A folder in its place, too, is something that can be there. */
  readonly content: Uint8Array | undefined | 'folder';
}

function controlFile(): fc.Arbitrary<ControlFile> {
  const endpoint = fc.constantFrom(
    '203.0.113.7:4000',
    '[2001:db8::7]:4000',
    '0.0.0.0:1',
    '127.0.0.1:4000',
    'host:4000',
    '203.0.113.7:0',
    '224.0.0.1:4000',
    '',
  );
  const text = fc.oneof(
    fc.constantFrom('true', 'false', 'TRUE\n', ' true ', 'truefalse', '', '\n\n'),
    fc.array(endpoint, { maxLength: 10 }).map((lines) => lines.join('\n')),
  );
  const content = fc.oneof(
    text.map(bytesOf),
    anyBytes(),
    fc.constant(undefined),
    fc.constant('folder' as const),
  );
  return fc.record({ name: fc.constantFrom('draining', 'endpoints'), content });
}

async function checkControlFiles(folder: string, files: readonly ControlFile[]): Promise<void> {
  const path = mkdtempSync(join(folder, 'control-'));
  const clock = new VirtualClock();
  const errors: string[] = [];
  const directory = new ControlDirectory({
    path,
    checkEndpoints: (endpoints) => {
      const { problem } = parseEndpoints(endpoints, BOUND);
      if (problem !== undefined) throw new Error(problem);
    },
    clock,
    log: (level, message) => {
      assert.doesNotMatch(message, /[\r\n]/, 'one line');
      if (level === 'error') errors.push(message);
    },
    onChange: () => {},
  });
  await directory.start();
  for (const { name, content } of files) {
    const before = { draining: directory.draining, endpoints: directory.endpoints };
    const wrong = errors.length;
    rmSync(join(path, name), { recursive: true, force: true });
    if (content === 'folder') mkdirSync(join(path, name));
    else if (content) writeFileSync(join(path, name), content);
    await clock.advance(CONTROL_POLL_MS);
    // The files are read by real I/O; the next look is arranged once that is over.
    while (clock.pending === 0) await setImmediate();
    assert.equal(typeof directory.draining, 'boolean');
    assert.equal(parseEndpoints(directory.endpoints, BOUND).problem, undefined);
    if (errors.length > wrong) assert.deepEqual(directory[name], before[name], 'the last good value stays');
  }
  await directory.stop();
  rmSync(path, { recursive: true, force: true });
}

function keysBytes(): fc.Arbitrary<Uint8Array> {
  const key = fc.oneof(
    fc.constantFrom(
      ALPHA.hex,
      `k1=${BETA.hex}`,
      '# a comment',
      '',
      'k1=',
      '0'.repeat(64),
      `${ALPHA.hex} `,
      `=${ALPHA.hex}`,
    ),
    fc.stringMatching(/^[0-9a-f]{60,66}$/),
  );
  const separator = fc.constantFrom('\n', '\r\n', '\n\n');
  return fc.oneof(
    fc.tuple(fc.array(key, { maxLength: 80 }), separator).map(([keys, end]) => bytesOf(keys.join(end))),
    anyBytes(),
  );
}

async function checkKeysFile(folder: string, bytes: Uint8Array): Promise<void> {
  const path = join(folder, 'keys');
  writeFileSync(path, bytes);
  const keys = new MasterKeys({
    flags: [],
    file: path,
    unprotected: false,
    insecure: false,
    clock: new VirtualClock(),
    log: () => {},
  });
  try {
    await keys.load();
  } catch (error) {
    assert.ok(error instanceof Error);
    assert.ok(error.message.startsWith(path), error.message);
    assert.doesNotMatch(error.message.slice(path.length), /[\r\n]|[0-9a-f]{20}/i);
    assert.equal(keys.hasKey, false);
    return;
  }
  assert.ok(keys.hasKey && keys.state.pinned.length <= 64);
  for (const { hex } of keys.state.pinned) assert.match(hex, /^[0-9a-f]{64}$/);
}

async function checkIdentity(folder: string, bytes: Uint8Array): Promise<void> {
  writeFileSync(join(folder, 'relay-id'), bytes);
  const lines: string[] = [];
  const relayId = await resolveIdentity({
    configured: undefined,
    stateDir: folder,
    randomId: () => 'a-new-one',
    log: (_level, message) => lines.push(message),
  });
  assert.match(relayId, /^[\x21-\x7e]{1,128}$/);
  assert.equal(lines.length, relayId === 'a-new-one' ? 1 : 0);
  for (const line of lines) {
    assert.ok(line.startsWith(join(folder, 'relay-id')));
    assert.doesNotMatch(line.slice(folder.length), /[^\x20-\x7e]/);
  }
}
