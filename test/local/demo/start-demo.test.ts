import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { CONTROL_PLANE_BINARIES, findBinaries } from '../../../local/cluster/binaries.ts';
import { assertFewLost, emptyFolder, fakeGo, start } from './fixtures/start.ts';

const BINARIES = [...CONTROL_PLANE_BINARIES, 'helm'] as const;

test('scaled up, new relays get sessions; scaled down, a relay drains', async (t) => {
  const { kubectl } = await findBinaries(BINARIES);
  const folder = emptyFolder(t);
  let kubeconfig = '';
  const scale = (replicas: number): void =>
    void promisify(execFile)(kubectl, [
      `--kubeconfig=${kubeconfig}`,
      'scale',
      'wr/demo',
      `--replicas=${replicas}`,
    ]);
  const steps: [RegExp, () => void][] = [
    [/^ {2}export KUBECONFIG=/, () => {}],
    [/ 2\/2 ready {2}sessions 4 /, () => scale(3)],
    [/ 3\/3 ready {2}sessions 6 /, () => scale(2)],
    [/ 2\/2 ready .* Draining [12]\b/, () => running.interrupt()],
  ];
  const running = start(folder, [], {}, (line) => {
    kubeconfig ||= /export KUBECONFIG=(.*)/.exec(line)?.[1] ?? '';
    if (steps[0]?.[0].test(line)) steps.shift()![1]();
  });
  const { code, lines } = await running.ended;
  assert.equal(code, 0, lines.join('\n'));
  assert.deepEqual(steps, [], lines.join('\n'));
  assertFewLost(lines);
  assert.deepEqual(readdirSync(folder), []);
});

test('while the control plane is being built the relay runs already, and then the cluster takes over', async (t) => {
  const folder = emptyFolder(t);
  const real = await findBinaries(BINARIES);
  // Stands in for minutes of compiling: hands out what has been built before.
  const seen = join(folder, 'seen');
  const wait = `while [ ! -e ${seen} ]; do sleep 0.1; done`;
  const bin = fakeGo(folder, `${wait}; ln -s "$(cat ${join(folder, 'real')}/$name)" "$target"`);
  mkdirSync(join(folder, 'real'));
  for (const name of BINARIES) writeFileSync(join(folder, 'real', name), real[name]);
  const cache = join(folder, 'cache');
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const path = `${bin}:${process.env['PATH']}`;
  const env = { PATH: path, XDG_CACHE_HOME: cache, KUBEBUILDER_ASSETS: '' };
  const running = start(temporary, [], env, (line) => {
    if (/sessions 1 .* building /.test(line)) writeFileSync(seen, '');
    if (/ 2\/2 ready {2}sessions 4 /.test(line)) running.interrupt();
  });
  const { code, lines } = await running.ended;
  assert.equal(code, 0, lines.join('\n'));
  const first = (pattern: RegExp): number => {
    const at = lines.findIndex((line) => pattern.test(line));
    assert.ok(at >= 0, `${pattern} is missing in\n${lines.join('\n')}`);
    return at;
  };
  assert.ok(first(/sessions 1 .* building \S+ \(\d of 6\) \d\d:\d\d/) < first(/it takes over/));
  assert.ok(first(/it takes over/) < first(/wr\/demo 2\/2 ready/));
  assertFewLost(lines);
  assert.deepEqual(readdirSync(temporary), []);
});

test('where no namespaces can be made the relay runs alone, and what to do is said', async (t) => {
  await findBinaries(BINARIES);
  const folder = emptyFolder(t);
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const refuses = '#!/bin/sh\necho "unshare: unshare failed: Operation not permitted" >&2\nexit 1\n';
  writeFileSync(join(folder, 'unshare'), refuses, { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env['PATH']}` };
  const running = start(temporary, [], env, (line) => {
    if (/ sessions 1 .* drops none$/.test(line)) running.interrupt();
  });
  const { code, lines } = await running.ended;
  const text = lines.join('\n');
  assert.equal(code, 0, text);
  assert.match(text, /^The relay without a cluster: .*namespaces/m);
  assert.deepEqual(readdirSync(temporary), []);
});
