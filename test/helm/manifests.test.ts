import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { parseAllDocuments } from 'yaml';

import { METRICS_API_SERVICES } from '../../operator/plan/metrics-api.ts';
import { ROOT } from '../e2e/operator/operator-cluster.ts';
import { temporaryDirectory } from '../e2e/relay/traffic.ts';

async function manifests(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [join(ROOT, 'helm/manifests.ts'), ...args], {
    maxBuffer: 2 ** 26,
  });
}

/** `kind/name` of each, in order. */
function objects(text: string): string[] {
  return parseAllDocuments(text).map((document) => {
    const { kind, metadata } = document.toJS() as { kind: string; metadata: { name: string } };
    return `${kind}/${metadata.name}`;
  });
}

const APIS = METRICS_API_SERVICES.map((name) => `APIService/${name}`);

test('"npm run manifests" leaves out what may be somebody else’s, and says so', async (context) => {
  const { stdout, stderr } = await manifests();
  const found = objects(stdout);
  assert.deepEqual(
    found.filter((object) => object.startsWith('APIService/')),
    [],
  );
  assert.ok(found.includes('Service/wavry-relay-operator-metrics'), 'the rest of custom metrics is there');
  assert.match(stderr, /^left out: APIServices v1beta1\.custom\S+ and v1beta2.*add --api-services\n$/);

  const folder = temporaryDirectory(context);
  const base = await manifests(`--output=${folder}`);
  assert.equal(readFileSync(join(folder, 'operator.yaml'), 'utf8'), stdout);
  assert.match(base.stderr, /^written: .*\nleft out: /);
});

test('they come when they are asked for, and nothing is said where custom metrics are off', async () => {
  const asked = await manifests('--api-services');
  assert.deepEqual(
    objects(asked.stdout).filter((object) => object.startsWith('APIService/')),
    APIS,
  );
  assert.equal(asked.stderr, '');
  const off = await manifests('--', '--set=customMetrics.enabled=false');
  assert.equal(off.stderr, '');
});
