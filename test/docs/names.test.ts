import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { parse } from 'yaml';

import { operatorMetrics } from '../../operator/controller/metrics.ts';
import { OPTION_ROWS } from '../../relay/config/options.ts';
import { METRICS } from '../../relay/control/metrics.ts';
import { pages } from './markdown.ts';

/** Names that the documentation uses are those of the code. Alerts and runbooks are compared in test/monitoring. */

const ROOT = join(import.meta.dirname, '../..');
// The changelog tells of what was; the others are generated.
const all = [...pages()].filter(([page]) => !/CHANGELOG|reference\.md|helm\//.test(page));

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

const crd = parse(readFileSync(join(ROOT, 'crds/wavryrelays.wavry.dev.yaml'), 'utf8')) as {
  spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
};
const schema = crd.spec.versions[0]!.schema.openAPIV3Schema;

/** Whether a path such as `spec.drain.timeout` leads somewhere; what is below a field without a schema may be anything. */
function isField(path: string): boolean {
  let at: Schema = schema;
  for (const name of path.split('.')) {
    const { properties } = at.items ?? at;
    if (!properties) return true;
    if (!(name in properties)) return false;
    at = properties[name]!;
  }
  return true;
}

/** What matches, with where it stands. */
function named(pattern: RegExp, of = all): { readonly name: string; readonly page: string }[] {
  const found = of.flatMap(([page, text]) =>
    [...text.matchAll(pattern)].map((match) => ({ name: match[1]!, page })),
  );
  assert.ok(found.length > 3, `${String(pattern)} finds next to nothing`);
  return found;
}

test('fields of a WavryRelay', () => {
  assert.ok(isField('spec.drain.timeout') && !isField('spec.drain.time'));
  for (const { name, page } of named(/`((?:spec|status)\.[A-Za-z][A-Za-z0-9.]*)/g))
    assert.ok(isField(name), `${page}: ${name}`);
  const migration = all.filter(([page]) => page === 'docs/migration.md');
  for (const { name, page } of named(/^\| .*`--.*\| `([a-zA-Z.]+)`/gm, migration))
    assert.ok(isField(`spec.${name}`), `${page}: ${name}`);
});

test('flags of the relay', () => {
  const flags = new Set(OPTION_ROWS.flatMap(([, { flag, otherFlags }]) => [flag, ...(otherFlags ?? [])]));
  const variables = new Set(
    OPTION_ROWS.flatMap(([, { variable, otherVariables }]) => [variable, ...(otherVariables ?? [])]),
  );
  // Of docker, npm, systemctl and curl.
  const others = new Set('name restart stop-timeout omit ignore-scripts now fail-with-body'.split(' '));
  const migration = all.filter(([page]) => page === 'docs/migration.md');
  for (const { name } of named(/(?<![\w-])--([a-z][a-z-]+)/g, migration))
    assert.ok(flags.has(name) || others.has(name), `--${name}`);
  for (const { name, page } of named(/\b((?:WAVRY_RELAY|WAVRY_MASTER)_[A-Z_]+)/g))
    assert.ok(variables.has(name), `${page}: ${name}`);
});

test('metrics of the relay', () => {
  const metrics = new Set(METRICS.map(({ name }) => name));
  for (const { name, page } of named(/\bwavry_relay_([a-z_]+)/g))
    assert.ok(metrics.has(name), `${page}: wavry_relay_${name}`);
  for (const { name, page } of named(
    /`(?:wavry_relay_)?([a-z]+(?:_[a-z]+)*_(?:packets|rejects|rx|bytes|ratio|forwarded|errors))`/g,
  ))
    assert.ok(metrics.has(name), `${page}: ${name}`);
});

test('metrics of the operator', async () => {
  const { registry } = operatorMetrics({
    controller: 'wavryrelay',
    workers: 1,
    lease: 'wavry-relay-operator',
    leading: () => true,
    queue: () => ({ depth: 0, runningMs: [] }),
    statuses: new Map(),
    fleets: () => [],
  });
  const text = await registry.metrics();
  for (const { name, page } of named(
    /`((?:wavry_operator|workqueue|rest_client|controller_runtime|leader_election)_[a-z_]+)/g,
  ))
    assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'), page);
});

test('annotations of a load balancer on AWS: the example has those that the page recommends', () => {
  const page = readFileSync(join(ROOT, 'docs/exposure.md'), 'utf8');
  const recommended = page.match(/service\.beta\.kubernetes\.io\/aws-.*/g) ?? [];
  assert.ok(recommended.length > 3);
  const example = readFileSync(join(ROOT, 'crds/examples/cloud.yaml'), 'utf8');
  for (const annotation of recommended) assert.ok(example.includes(annotation), annotation);
});
