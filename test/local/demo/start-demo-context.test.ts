import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Cluster } from '../../../local/cluster/cluster.ts';
import { startCluster } from '../../../local/cluster/cluster.ts';
import { assertFewLost, emptyFolder, ended, start } from './fixtures/start.ts';

test('an existing cluster is played on, and left as it was', async (t) => {
  const folder = emptyFolder(t);
  const relay = { command: [process.execPath, join(process.cwd(), 'relay/main.ts')] };
  const cluster = await startCluster({ images: { 'ghcr.io/wavry/wavry-relay': relay } });
  t.after(() => cluster.stop());
  // Where this demo reaches pods, and they reach it: in the cluster's network.
  const args = ['--context=wavry-local', '--master-url=http://198.18.0.1:8080', '--seconds=2'];
  const child = cluster.spawn(process.execPath, [join(process.cwd(), 'local/demo/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder },
  });
  let held: Promise<void> | undefined;
  const { code, lines } = await ended(child, (line) => {
    if (line.startsWith('Applied the CRD')) held = holdCrd(cluster, child);
  });
  assert.ok(held, lines.join('\n'));
  await held;
  assert.equal(code, 0, lines.join('\n'));
  assert.ok(lines.includes('  kubectl -n wavry-demo get wr'), lines.join('\n'));
  assertFewLost(lines);
  const left = await cluster.kubectl(['get', 'crd,namespaces', '-o', 'name']);
  assert.doesNotMatch(left, /wavry/);
  assert.deepEqual(readdirSync(folder), []);
});

/** An API server that takes its time with the removal: the demo has not ended before. */
async function holdCrd(cluster: Cluster, child: ChildProcess): Promise<void> {
  const crd = 'crd/wavryrelays.wavry.dev';
  const finalizers = (value: string[]): string => JSON.stringify({ metadata: { finalizers: value } });
  await cluster.kubectl(['patch', crd, '--type=merge', `--patch=${finalizers(['wavry.dev/test'])}`]);
  await cluster.kubectl(['wait', crd, '--for=jsonpath={.metadata.deletionTimestamp}', '--timeout=120s']);
  await sleep(1000);
  const isOver = child.exitCode !== null;
  await cluster.kubectl(['patch', crd, '--type=merge', `--patch=${finalizers([])}`]);
  assert.ok(!isOver, 'the demo ended while the CRD was still there');
}

test('a context that is not there is one line that names those that are', async (t) => {
  const folder = emptyFolder(t);
  const kubeconfig = join(folder, 'config');
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'u', user: {} }],
    }),
  );
  const run = (context: string) =>
    start(
      folder,
      [`--context=${context}`, '--master-url=http://127.0.0.1:8080'],
      { KUBECONFIG: kubeconfig },
      () => {},
    ).ended;
  const wrong = await run('there');
  assert.equal(wrong.code, 1);
  assert.deepEqual(wrong.lines, ['demo: --context: the kubeconfig has no context "there"; it has here']);
  const dead = await run('here');
  assert.equal(dead.code, 1);
  assert.match(dead.lines.join('\n'), /^demo: here: .*ECONNREFUSED 127\.0\.0\.1:1$/);
});
