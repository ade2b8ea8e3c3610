import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';

import { CONTROL_PLANE_BINARIES, findBinaries } from '../../../local/cluster/binaries.ts';
import { startCluster } from '../../../local/cluster/cluster.ts';

const BINARIES = [...CONTROL_PLANE_BINARIES, 'helm'] as const;

suite('npm start', () => {
  test('scaled up, new relays get sessions; scaled down, a relay drains without losing a packet', async (t) => {
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
    assert.match(lines.at(-1)!, /^0 lost, 0 duplicated or corrupted$/);
    assert.deepEqual(readdirSync(folder), []);
  });

  test('while the control plane is being built the relay runs already, and then the cluster takes over', async (t) => {
    const folder = emptyFolder(t);
    const real = await findBinaries(BINARIES);
    // Stands in for minutes of compiling: hands out what has been built before.
    const bin = fakeGo(folder, `sleep 1; ln -s "$(cat ${join(folder, 'real')}/$name)" "$target"`);
    mkdirSync(join(folder, 'real'));
    for (const name of BINARIES) writeFileSync(join(folder, 'real', name), real[name]);
    const cache = join(folder, 'cache');
    const temporary = join(folder, 'tmp');
    mkdirSync(temporary);
    const path = `${bin}:${process.env['PATH']}`;
    const env = { PATH: path, XDG_CACHE_HOME: cache, KUBEBUILDER_ASSETS: '' };
    const running = start(temporary, [], env, (line) => {
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
    assert.match(lines.at(-1)!, /^0 lost, 0 duplicated or corrupted$/);
    assert.deepEqual(readdirSync(temporary), []);
  });

  test('a build that is interrupted leaves nothing running', async (t) => {
    const folder = emptyFolder(t);
    const pidFile = join(folder, 'pid');
    const bin = fakeGo(folder, `echo $$ > ${pidFile}; sleep 1000`);
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
    const { code, lines } = await start(folder, ['--seconds', '2'], env, () => {}).ended;
    assert.equal(code, 0, lines.join('\n'));
    assert.equal(lines.filter((line) => line.startsWith('The relay without a cluster: ')).length, 1);
    assert.ok(
      lines.some((line) => / sessions 1 .* drops none$/.test(line)),
      lines.join('\n'),
    );
    assert.deepEqual(readdirSync(folder), []);
  });

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
    const { code, lines } = await ended(child, () => {});
    assert.equal(code, 0, lines.join('\n'));
    assert.ok(lines.includes('  kubectl -n wavry-demo get wr'), lines.join('\n'));
    assert.match(lines.at(-1)!, /^0 lost, 0 duplicated or corrupted$/);
    const left = await cluster.kubectl(['get', 'crd,namespaces', '-o', 'name']);
    assert.doesNotMatch(left, /wavry/);
    assert.deepEqual(readdirSync(folder), []);
  });

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

  test('a flag that it does not know is one line and exit 64', async (t) => {
    const { code, lines } = await start(emptyFolder(t), ['--sekonds', '1'], {}, () => {}).ended;
    assert.equal(code, 64);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^demo: .*--sekonds/);
  });
});

function emptyFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'demo-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Not yet ended; one that nobody has reaped has. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A `go` that knows two commands; `build` runs the script with `$target` to make and its `$name`. */
function fakeGo(folder: string, build: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const script = `#!/bin/sh
if [ "$1" = version ]; then echo "go version go1.26 stand-in"; exit 0; fi
while [ "$1" != -o ]; do shift; done
target=$2
name=$(basename "$target" .building)
${build}
`;
  writeFileSync(join(bin, 'go'), script, { mode: 0o755 });
  return bin;
}

/** Runs it with `folder` for its temporary files. */
function start(
  folder: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  onLine: (line: string) => void,
): { ended: Promise<{ lines: string[]; code: number | null }>; interrupt: () => void } {
  const child = spawn(process.execPath, ['local/demo/main.ts', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder, ...env },
  });
  return { ended: ended(child, onLine), interrupt: () => void child.kill('SIGINT') };
}

async function ended(
  child: ChildProcess,
  onLine: (line: string) => void,
): Promise<{ lines: string[]; code: number | null }> {
  const lines: string[] = [];
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      onLine(line);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { lines, code };
}
