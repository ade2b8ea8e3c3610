import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { emptyFolder, fakeGo, isRunning, start } from './fixtures/start.ts';

test('a build that is interrupted leaves nothing running', async (t) => {
  const folder = emptyFolder(t);
  const pidFile = join(folder, 'pid');
  const bin = fakeGo(folder, `echo $$ > ${pidFile}; exec sleep 1000`);
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const env = {
    PATH: `${bin}:/usr/bin:/bin`,
    XDG_CACHE_HOME: join(folder, 'cache'),
    KUBEBUILDER_ASSETS: '',
  };
  const running = start(temporary, [], env, (line) => {
    if (line.includes('building etcd')) running.interrupt();
  });
  const { code, lines } = await running.ended;
  assert.equal(code, 0, lines.join('\n'));
  const builder = Number(readFileSync(pidFile, 'utf8'));
  while (isRunning(builder)) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(readdirSync(temporary), []);
});

test('without Go the relay runs alone, and one line says what would bring the cluster', async (t) => {
  const folder = emptyFolder(t);
  const env = { PATH: '/nonexistent', XDG_CACHE_HOME: folder, KUBEBUILDER_ASSETS: '' };
  const running = start(folder, [], env, (line) => {
    if (/ sessions 1 .* drops none$/.test(line)) running.interrupt();
  });
  const { code, lines } = await running.ended;
  assert.equal(code, 0, lines.join('\n'));
  assert.equal(lines.filter((line) => line.startsWith('The relay without a cluster: ')).length, 1);
  assert.deepEqual(readdirSync(folder), []);
});

test('a flag that it does not know is one line and exit 64', async (t) => {
  const { code, lines } = await start(emptyFolder(t), ['--sekonds', '1'], {}, () => {}).ended;
  assert.equal(code, 64);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^demo: .*--sekonds/);
});
