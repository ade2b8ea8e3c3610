import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { startCluster } from '../../../local/cluster/cluster.ts';
import { appPod, apply, IMAGES, serving } from './fixtures/pods.ts';
import { until } from './fixtures/until.ts';

test('stop leaves no process, no namespace, no mount and no file', async () => {
  const cluster = await startCluster({ nodes: 1, images: IMAGES });
  await apply(cluster, appPod('last', { env: [{ name: 'MARK', value: cluster.directory }] }));
  await serving(cluster, 'last');
  const child = cluster.spawn('sleep', ['4321'], { stdio: 'ignore' });
  const inside = processesOf(cluster.directory);
  assert.ok(inside.length >= 6, 'this test sees the cluster’s processes');
  const namespaces = networksOf(inside);
  const before = new Set(pids());

  await cluster.stop();
  assert.deepEqual(processesOf(cluster.directory), []);
  assert.equal(child.signalCode, 'SIGKILL');
  assertNothingLeft(cluster.directory, namespaces, before);
});

test('an owner that is killed leaves nothing either', async () => {
  const owner = fork(join(import.meta.dirname, 'fixtures', 'owner.ts'), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const directory = await new Promise<string>((resolve, reject) => {
    owner.once('message', (message) => resolve(message as string));
    owner.once('exit', (code) => reject(new Error(`the owner ended with ${code}`)));
  });
  const inside = processesOf(directory);
  assert.ok(inside.length >= 6, 'this test sees the cluster’s processes');
  const namespaces = networksOf(inside);
  const before = new Set(pids());
  const ended = new Promise((resolve) => owner.once('exit', resolve));
  owner.kill('SIGKILL');
  await ended;
  await until('all processes to end', async () => processesOf(directory).length === 0);
  await until('the folder to go', async () => !existsSync(directory));
  assertNothingLeft(directory, namespaces, before);
});

test('several clusters run side by side', async () => {
  const clusters = await Promise.all([startCluster({ nodes: 1 }), startCluster({ nodes: 1 })]);
  try {
    const [one, two] = clusters;
    await one.kubectl(['create', 'namespace', 'only-here']);
    await assert.rejects(two.kubectl(['get', 'namespace', 'only-here']), /not found/);
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()));
  }
});

/** Judges processes that were there `before`: the kernel may give a namespace's number to somebody else's next one. */
function assertNothingLeft(
  directory: string,
  namespaces: ReadonlySet<string>,
  before: ReadonlySet<string>,
): void {
  assert.equal(existsSync(directory), false);
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(directory));
  const own = networkOf('self');
  const held = networksOf(pids().filter((pid) => before.has(pid)));
  for (const namespace of namespaces)
    if (namespace !== own) assert.ok(!held.has(namespace), `${namespace} is still somebody's`);
}

function networksOf(processes: readonly string[]): ReadonlySet<string> {
  return new Set(processes.map((pid) => networkOf(pid)).filter((network) => network !== undefined));
}

/** Processes whose command line or environment names the folder. */
function processesOf(directory: string): string[] {
  return pids().filter((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      return pid !== String(process.pid) && (command.includes(directory) || environment.includes(directory));
    } catch {
      // It has ended meanwhile, or is another user's.
      return false;
    }
  });
}

function pids(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

function networkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
