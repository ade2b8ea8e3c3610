import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeAtomically, type VolumeFile } from '../../../../local/cluster/node-agent/atomic-directory.ts';

const base = mkdtempSync(join(tmpdir(), 'atomic-'));
after(() => rmSync(base, { recursive: true }));

const files = (entries: Record<string, string>): Map<string, VolumeFile> =>
  new Map(Object.entries(entries).map(([path, text]) => [path, { content: Buffer.from(text), mode: 0o640 }]));
const visible = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => !name.startsWith('..'))
    .sort();

test('files are there through ..data, with their mode, and change together', async () => {
  const directory = join(base, 'one');
  await writeAtomically(directory, files({ a: '1', 'deep/er/b': '2' }));
  assert.deepEqual(visible(directory), ['a', 'deep']);
  assert.equal(readFileSync(join(directory, 'deep/er/b'), 'utf8'), '2');
  assert.equal(statSync(join(directory, 'a')).mode & 0o777, 0o640);

  await writeAtomically(directory, files({ a: '3', c: '4' }));
  assert.deepEqual(visible(directory), ['a', 'c']);
  assert.equal(readFileSync(join(directory, 'a'), 'utf8'), '3');
  assert.equal(
    readdirSync(directory).filter((name) => name.startsWith('..')).length,
    2,
    'only ..data and its folder stay',
  );
});

test('a reader never sees a mixture of old and new', async () => {
  const directory = join(base, 'two');
  await writeAtomically(directory, files({ a: '0', b: '0' }));
  let going = true;
  const reading = (async (): Promise<void> => {
    while (going) {
      // Through one look at ..data, as programs do that must have both.
      const folder = join(directory, readlinkSync(join(directory, '..data')));
      let pair: string[];
      try {
        pair = [readFileSync(join(folder, 'a'), 'utf8'), readFileSync(join(folder, 'b'), 'utf8')];
      } catch {
        // It was replaced in between: the next look finds the new one.
        pair = [];
      }
      assert.equal(pair[0], pair[1]);
      assert.doesNotThrow(() => readFileSync(join(directory, 'a')), 'there is always a file');
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (let round = 1; round < 50; round++)
    await writeAtomically(directory, files({ a: String(round), b: String(round) }));
  going = false;
  await reading;
});
