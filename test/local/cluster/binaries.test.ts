import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, suite, test } from 'node:test';
import { findBinaries, type BinaryProgress } from '../../../local/cluster/binaries.ts';
import { until } from './fixtures/until.ts';

const base = mkdtempSync(join(tmpdir(), 'binaries-'));
after(() => rmSync(base, { recursive: true }));

/** A folder with programs, each a shell script. */
function folder(name: string, programs: Record<string, string>): string {
  const path = join(base, name);
  mkdirSync(path, { recursive: true });
  for (const [program, script] of Object.entries(programs)) {
    writeFileSync(join(path, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(path, program), 0o755);
  }
  return path;
}

const SYSTEM = '/usr/bin:/bin';
const kubernetes = (version: string): string => `echo "Kubernetes ${version}"`;
/** Stands for a Go that takes a while: writes to the file after -o, and counts. */
const go = (seconds: number): string => `
[ "$1" = version ] && exit 0
echo once >> ${base}/builds
while [ $# -gt 1 ]; do [ "$1" = -o ] && target=$2; shift; done
printf '#!/bin/sh\\n' > "$target"; chmod 755 "$target"; sleep ${seconds}; echo 'echo whole' >> "$target"`;

suite('where the binaries come from', () => {
  let cache: string;
  let env: NodeJS.ProcessEnv;
  beforeEach(() => {
    cache = mkdtempSync(join(base, 'cache-'));
    rmSync(join(base, 'builds'), { force: true });
    env = { XDG_CACHE_HOME: cache, PATH: SYSTEM };
  });

  test('KUBEBUILDER_ASSETS before PATH, and neither when the version doesn’t suit', async () => {
    const right = folder('right', { 'kube-apiserver': kubernetes('v1.36.0') });
    const old = folder('old', { 'kube-apiserver': kubernetes('v1.29.1') });
    const find = async (assets: string, path: string): Promise<string> =>
      (
        await findBinaries(['kube-apiserver'], {
          env: { ...env, KUBEBUILDER_ASSETS: assets, PATH: `${path}:${SYSTEM}` },
        })
      )['kube-apiserver'];
    assert.equal(await find(right, old), join(right, 'kube-apiserver'));
    assert.equal(await find(old, right), join(right, 'kube-apiserver'));
  });

  test('without Go and without binaries one line says what would help', async () => {
    await assert.rejects(findBinaries(['etcd'], { env }), (error: Error) => {
      assert.equal(error.name, 'BinaryUnavailableError');
      assert.match(error.message, /install Go .* KUBEBUILDER_ASSETS/);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    await assert.rejects(
      findBinaries(['helm'], { env }),
      /^BinaryUnavailableError: no helm here .*: install Go .*, or put helm 3\.18 .* on the PATH$/,
    );
  });

  test('what is built is told, cached, and whole, and built once for all who ask at the same time', async () => {
    const withGo = { ...env, PATH: `${folder('go', { go: go(0.5) })}:${SYSTEM}` };
    const told: BinaryProgress[] = [];
    const asked = [1, 2, 3].map(() =>
      findBinaries(['etcd'], { env: withGo, onProgress: (step) => told.push(step) }),
    );
    const [first, ...others] = (await Promise.all(asked)).map((found) => found.etcd);
    for (const other of others) assert.equal(other, first);
    assert.match(readFileSync(first!, 'utf8'), /whole/);
    assert.equal(readFileSync(join(base, 'builds'), 'utf8'), 'once\n');
    assert.deepEqual(new Set(told.map(({ state }) => state)), new Set(['building', 'built']));

    told.length = 0;
    await findBinaries(['etcd'], { env: withGo, onProgress: (step) => told.push(step) });
    assert.deepEqual(told, [{ binary: 'etcd', state: 'found', seconds: 0 }]);
  });

  test('a build that fails or is given up leaves no binary', async () => {
    const failing = {
      ...env,
      PATH: `${folder('bad-go', { go: '[ "$1" = version ] || { echo "no network" >&2; exit 1; }' })}:${SYSTEM}`,
    };
    await assert.rejects(
      findBinaries(['etcd'], { env: failing }),
      /building etcd with Go failed: no network/,
    );

    const given = {
      ...env,
      PATH: `${folder('slow-go', { go: go(60) })}:${SYSTEM}`,
    };
    const abort = new AbortController();
    const building = findBinaries(['etcd'], { env: given, signal: abort.signal });
    building.catch(() => undefined);
    await until('the build to have begun', async () => existsSync(join(base, 'builds')));
    abort.abort();
    await assert.rejects(building, { name: 'AbortError' });
    const left = readdirSync(cache, { recursive: true }).map(String);
    assert.ok(!left.some((path) => path.endsWith('/etcd')), left.join(' '));
  });
});
