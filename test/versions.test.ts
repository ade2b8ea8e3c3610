import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parse } from 'yaml';

import { helpText } from '../operator/config/config.ts';

const read = (file: string): string => readFileSync(file, 'utf8');
const json = (file: string): Record<string, Record<string, string>> & { version: string } =>
  JSON.parse(read(file));
const { version, optionalDependencies } = json('package.json');

test('every part has the version of package.json', () => {
  const packages = (
    json('package-lock.json') as unknown as { packages: Record<string, { version?: string }> }
  ).packages;
  const versions: Record<string, unknown> = {
    'relay/package.json': json('relay/package.json').version,
    'operator/package.json': json('operator/package.json').version,
    ...Object.fromEntries(
      ['', 'relay', 'operator'].map((workspace) => [
        `package-lock.json: ${workspace}`,
        packages[workspace]?.version,
      ]),
    ),
    'the relay image that the operator starts': /wavry-relay:(\S+?)\]/.exec(helpText())?.[1],
  };
  for (const image of ['relay', 'operator'])
    versions[`Dockerfile.${image}`] = /^ARG VERSION=(.*)$/m.exec(read(`Dockerfile.${image}`))?.[1];
  for (const file of globSync('helm/*/Chart.yaml')) {
    const chart = parse(read(file)) as { version: string; appVersion: string };
    versions[`${file}: version`] = chart.version;
    versions[`${file}: appVersion`] = chart.appVersion;
  }
  const names = Object.keys(versions);
  assert.ok(names.length >= 10, names.join(', '));
  assert.deepEqual(versions, Object.fromEntries(names.map((name) => [name, version])));
});

test('the images have the node that everything else runs on', () => {
  const nodes = new Set(Object.values(optionalDependencies!));
  assert.equal(nodes.size, 1);
  for (const image of ['relay', 'operator'])
    assert.match(
      read(`Dockerfile.${image}`),
      new RegExp(`^ARG NODE_IMAGE=\\S+/node:${[...nodes][0]}-slim$`, 'm'),
    );
});
