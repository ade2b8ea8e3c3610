import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import fc from 'fast-check';

import { systemClock } from '../../../relay/control/clock.ts';
import { ControlDirectory } from '../../../relay/control/control-directory.ts';
import { parseEndpoints } from '../../../relay/control/endpoints.ts';
import { LogLines } from './log-lines.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { waitUntil } from './wait-until.ts';

interface Watched {
  readonly directory: ControlDirectory;
  readonly lines: LogLines;
  readonly changes: () => number;
  readonly write: (name: string, content: string | Uint8Array) => void;
}

async function watch(t: TestContext, path: string = temporaryFolder(t)): Promise<Watched> {
  const lines = new LogLines();
  let changes = 0;
  const directory = new ControlDirectory({
    path,
    checkEndpoints: (endpoints) => {
      const { problem } = parseEndpoints(endpoints, { host: '0.0.0.0', port: 4000, family: 4 });
      if (problem !== undefined) throw new Error(problem);
    },
    clock: systemClock,
    log: lines.log,
    onChange: () => changes++,
  });
  await directory.start();
  t.after(() => directory.stop());
  return {
    directory,
    lines,
    changes: () => changes,
    // Swapped as a whole: a half-written file is what the next test is about.
    write: (name, content) => {
      writeFileSync(join(path, `.${name}`), content);
      renameSync(join(path, `.${name}`), join(path, name));
    },
  };
}

test('an empty directory, or one that is not there, wishes nothing', async (t) => {
  for (const path of [temporaryFolder(t), join(temporaryFolder(t), 'missing')]) {
    const { directory, lines } = await watch(t, path);
    assert.equal(directory.draining, false);
    assert.deepEqual(directory.endpoints, []);
    assert.ok(lines.lines.length <= 1);
  }
});

test('a directory that is not there is named once, and again when it has come', async (t) => {
  const path = join(temporaryFolder(t), 'later');
  const { directory, lines, write } = await watch(t, path);
  assert.equal(lines.matching(/^warn: --control-dir \S+later: no such directory/).length, 1);
  mkdirSync(path);
  write('draining', 'true');
  await waitUntil('it drains', () => directory.draining);
  assert.equal(lines.matching(/^info: --control-dir \S+later is there now$/).length, 1);
  assert.equal(lines.lines.length, 2);
});

test('wishes are seen and can be taken back, by another word or by removing the file', async (t) => {
  const folder = temporaryFolder(t);
  const { directory, write, changes } = await watch(t, folder);
  write('draining', 'true\n');
  await waitUntil('it drains', () => directory.draining);
  write('draining', 'false');
  await waitUntil('it does not', () => !directory.draining);
  write('draining', ' TRUE ');
  await waitUntil('it drains again', () => directory.draining);
  rmSync(join(folder, 'draining'));
  await waitUntil('the file is gone', () => !directory.draining);
  write('endpoints', '203.0.113.7:4000\r\n\n[2001:db8::1]:4000\n');
  await waitUntil('endpoints are there', () => directory.endpoints.length === 2);
  assert.deepEqual(directory.endpoints, ['203.0.113.7:4000', '[2001:db8::1]:4000']);
  assert.equal(changes(), 5);
});

test('a wish of before the start is there after the start', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'draining'), 'true');
  const { directory } = await watch(t, folder);
  assert.equal(directory.draining, true);
});

test('the atomic swap of a Kubernetes volume is followed, again and again', async (t) => {
  const folder = temporaryFolder(t);
  const swap = (version: number, draining: string, endpoints: string): void => {
    const name = `..version_${version}`;
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'draining'), draining);
    writeFileSync(join(folder, name, 'endpoints'), endpoints);
    symlinkSync(name, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    if (version > 1) rmSync(join(folder, `..version_${version - 1}`), { recursive: true });
  };
  swap(1, 'false', '');
  symlinkSync('..data/draining', join(folder, 'draining'));
  symlinkSync('..data/endpoints', join(folder, 'endpoints'));
  const { directory, lines } = await watch(t, folder);
  for (let version = 2; version < 6; version++) {
    const draining = version % 2 === 0;
    swap(version, `${draining}`, `203.0.113.${version}:4000`);
    await waitUntil(
      `version ${version} is seen`,
      () => directory.endpoints[0] === `203.0.113.${version}:4000`,
    );
    await waitUntil('its wish is, too', () => directory.draining === draining);
  }
  assert.deepEqual(lines.matching(/^error/), []);
});

test('what is bad is named once, and leaves what was said before', async (t) => {
  const folder = temporaryFolder(t);
  const { directory, lines, write } = await watch(t, folder);
  write('draining', 'true');
  write('endpoints', '203.0.113.7:4000');
  await waitUntil('both are read', () => directory.draining && directory.endpoints.length === 1);
  const bad: [string, string | Uint8Array, RegExp][] = [
    ['draining', 'maybe', /draining: has to hold true or false/],
    ['draining', 'true'.repeat(5000), /draining: longer than 4096 bytes/],
    ['draining', Uint8Array.of(0xff, 0xfe), /draining: not UTF-8 text/],
    ['endpoints', 'relay.example.com:4000', /endpoints: "relay\.example\.com:4000" is not a numeric ip:port/],
    ['endpoints', '0.0.0.0:4000', /endpoints: 0\.0\.0\.0:4000 is no address/],
    ['endpoints', '127.0.0.1:4000', /loopback/],
    ['endpoints', '203.0.113.7:4000\n\u{1b}[31m', /not a numeric/],
    ['endpoints', Array.from({ length: 9 }, (_, i) => `203.0.113.7:${i + 1}`).join('\n'), /too many/],
  ];
  for (const [name, content, why] of bad) {
    const before = lines.matching(why).length;
    write(name, content);
    await waitUntil(`${name} is named for ${why}`, () => lines.matching(why).length > before);
    assert.equal(directory.draining, true);
    assert.deepEqual(directory.endpoints, ['203.0.113.7:4000']);
  }
  // Never without the file, which would be another answer.
  const next = join(folder, '.draining');
  symlinkSync('/dev/zero', next);
  renameSync(next, join(folder, 'draining'));
  await waitUntil('a device is named', () => lines.matching(/draining: not a regular file/).length > 0);
  execFileSync('mkfifo', [next]);
  renameSync(next, join(folder, 'draining'));
  write('endpoints', '203.0.113.8:4000');
  await waitUntil('a pipe holds nothing up', () => directory.endpoints[0] === '203.0.113.8:4000');
  assert.equal(directory.draining, true);
  for (const line of lines.lines) assert.ok(line.message.length < 400 && !line.message.includes('\u{1b}'));
});

test('whatever the files hold, the wish is a boolean and the endpoints can be registered', async (t) => {
  const folder = temporaryFolder(t);
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.string().map((text) => Buffer.from(text)),
  );
  await fc.assert(
    fc.asyncProperty(content, content, async (draining, endpoints) => {
      writeFileSync(join(folder, 'draining'), draining);
      writeFileSync(join(folder, 'endpoints'), endpoints);
      const directory = new ControlDirectory({
        path: folder,
        checkEndpoints: (texts) => {
          const { problem } = parseEndpoints(texts, { host: '0.0.0.0', port: 4000, family: 4 });
          if (problem !== undefined) throw new Error(problem);
        },
        clock: systemClock,
        log: () => {},
        onChange: () => {},
      });
      await directory.start();
      await directory.stop();
      assert.equal(typeof directory.draining, 'boolean');
      assert.equal(
        parseEndpoints(directory.endpoints, { host: '0.0.0.0', port: 1, family: 4 }).problem,
        undefined,
      );
    }),
    { numRuns: 50 },
  );
});
