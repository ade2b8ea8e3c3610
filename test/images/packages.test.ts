import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { licencePage } from '../../local/images/licences.ts';
import { productionPackages, readLock } from '../../local/images/packages.ts';
import { temporaryDirectory } from '../e2e/relay/traffic.ts';

const run = promisify(execFile);

test('a workspace needs what it names, what that names, and nothing for other systems', () => {
  const packages = {
    '': { dependencies: { tool: '1' } },
    relay: { dependencies: { a: '1', native: '1' } },
    'node_modules/tool': {},
    'node_modules/a': { dependencies: { b: '1' } },
    'node_modules/a/node_modules/b': { dependencies: { c: '1', a: '1' } },
    'node_modules/b': {},
    'node_modules/c': {},
    'node_modules/native': { optionalDependencies: { 'native-linux': '1', 'native-win32': '1', gone: '1' } },
    'node_modules/native-linux': { os: ['linux'], cpu: ['arm64'] },
    'node_modules/native-win32': { os: ['win32'], cpu: ['x64'] },
  };
  assert.deepEqual(
    productionPackages(packages, 'relay'),
    ['a', 'a/node_modules/b', 'c', 'native', 'native-linux'].map((path) => `node_modules/${path}`),
  );
});

test('a licence that nobody has accepted is refused by name', () => {
  const packages = {
    relay: { dependencies: { a: '1' } },
    operator: {},
    'node_modules/a': { version: '1.2.3', license: 'AGPL-3.0' },
  };
  assert.throws(() => licencePage(packages), /^Error: a 1\.2\.3 has the licence "AGPL-3\.0"/);
});

test('npm run sbom lists the packages of each image', async (context) => {
  const directory = temporaryDirectory(context);
  await run(process.execPath, ['local/images/sbom.ts', '--directory', directory]);
  const { packages } = readLock();
  for (const workspace of ['relay', 'operator']) {
    const text = readFileSync(join(directory, `wavry-${workspace}.cdx.json`), 'utf8');
    const { bomFormat, components } = JSON.parse(text) as {
      bomFormat: string;
      components: { name: string; version: string; licenses: object[]; hashes: object[] }[];
    };
    assert.equal(bomFormat, 'CycloneDX');
    assert.deepEqual(
      new Set(components.map(({ name, version }) => `${name}@${version}`)),
      new Set(
        productionPackages(packages, workspace).map(
          (path) => `${path.replace(/^.*node_modules\//, '')}@${packages[path]!.version}`,
        ),
      ),
    );
    assert.ok(components.every(({ licenses, hashes }) => licenses.length > 0 && hashes.length > 0));
  }
});

test('without the programs for it, npm run images says in one line what to install', async () => {
  const failure = (await run(process.execPath, ['local/images/main.ts'], {
    env: { PATH: '/nonexistent' },
  }).catch((error: unknown) => error)) as { code: number; stdout: string; stderr: string };
  assert.equal(failure.code, 1);
  assert.match(failure.stderr, /^npm run images: .*buildah, podman, runc, mmdebstrap missing: install .*\n$/);
  assert.equal(failure.stdout, '');
});
