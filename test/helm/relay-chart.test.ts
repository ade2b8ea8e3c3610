import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';

import { parse, parseAllDocuments } from 'yaml';

import { findBinaries } from '../../local/cluster/binaries.ts';
import { customResourceDefinition } from '../../operator/api/crd.ts';
import { fieldsOf, objectBelow, type Schema, schemaOf } from '../../crds/fields.ts';
import { ROOT, runHelm } from '../e2e/operator/operator-cluster.ts';

const CHART = join(ROOT, 'helm/wavry-relay');
const URL = '--set=spec.master.url=https://master.example.com';

interface Rendered {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

suite('the chart of one fleet', () => {
  let helm: string;
  before(async () => ({ helm } = await findBinaries(['helm'])));

  async function render(release: string, ...args: readonly string[]): Promise<Rendered> {
    // Without a cluster helm supposes the version that its own build names.
    const text = await runHelm(helm, ['template', release, CHART, '--kube-version=1.36.3', ...args]);
    const documents = parseAllDocuments(text).map((document) => document.toJS() as Rendered);
    assert.equal(documents.length, 1);
    return documents[0]!;
  }

  test('helm lint has nothing to say', async () => {
    const said = await runHelm(helm, ['lint', '--strict', CHART, URL]);
    assert.doesNotMatch(said, /\[(WARNING|ERROR)\]/);
  });

  test('it is one WavryRelay, with what is given and no default beside it', async () => {
    const { kind, metadata, spec } = await render(
      'eu',
      URL,
      '--namespace=games',
      '--set=spec.asn=4294967295',
    );
    assert.deepEqual([kind, metadata.name, metadata.namespace], ['WavryRelay', 'eu', 'games']);
    assert.deepEqual(spec, { master: { url: 'https://master.example.com' }, asn: 4294967295 });
    assert.equal(metadata.labels['app.kubernetes.io/instance'], 'eu');
    assert.equal(metadata.annotations, undefined);
  });

  test('name, labels and annotations are for the asking; its own labels stay', async () => {
    const { metadata } = await render(
      '9-eu',
      URL,
      '--set=fullnameOverride=eu',
      '--set=labels.team=net',
      '--set=labels.helm\\.sh/chart=x',
      '--set=annotations.note=y',
    );
    assert.equal(metadata.name, 'eu');
    assert.equal(metadata.labels['team'], 'net');
    assert.match(metadata.labels['helm.sh/chart']!, /^wavry-relay-/);
    assert.deepEqual(metadata.annotations, { note: 'y' });
  });

  test('replicas belong to the autoscaler once there is one', async () => {
    const { spec } = await render('eu', URL, '--set=spec.replicas=3', '--set=spec.autoscaling.maxReplicas=5');
    assert.deepEqual([spec['replicas'], spec['autoscaling']], [undefined, { maxReplicas: 5 }]);
  });

  for (const [args, wrong] of [
    [['--set=spec.replcas=3'], /additional properties 'replcas' not allowed/],
    [['--set=replicas=3'], /additional properties 'replicas' not allowed/],
    [['--set=spec.replicas=two'], /\/spec\/replicas': got string, want integer/],
    [['--set=spec.size=Huge'], /\/spec\/size': value must be one of 'Small', 'Medium', 'Large', 'XLarge'/],
    [['--set=spec.exposure.typ=PodIP'], /\/spec\/exposure': additional properties 'typ' not allowed/],
    [['--set=spec.master.publicKeys=x'], /\/spec\/master\/publicKeys': got string, want array/],
    [['--set=spec.limits.maxSessions=0'], /\/spec\/limits\/maxSessions': minimum: got 0, want 1/],
    [['--set=spec.autoscaling.minReplicas=2'], /\/spec\/autoscaling': missing property 'maxReplicas'/],
    [['--set=spec.drain.timeout=soon'], /\/spec\/drain\/timeout': 'soon' does not match pattern/],
    [['--set=spec.rollout.maxSurge=half'], /\/spec\/rollout\/maxSurge': /],
  ] as const) {
    test(`${args.join(' ')} is refused by name`, async () => {
      await assert.rejects(render('eu', URL, ...args), wrong);
    });
  }

  test('what is missing, and names that the CRD would refuse, are told with what to write', async () => {
    await assert.rejects(render('eu'), /spec\.master\.url is needed: .*--set spec\.master\.url=https:/);
    for (const name of ['9eu', 'a'.repeat(41)]) {
      await assert.rejects(render(name, URL), /can't be the name of a WavryRelay: .* set fullnameOverride/);
    }
  });

  test('every field of the spec may be given: the values’ schema has what the CRD has', () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as {
      properties: { spec: Schema };
    };
    assert.deepEqual(pathsOf(schema.properties.spec), pathsOf(schemaOf(customResourceDefinition(), 'spec')));
  });

  test('the commented values are what they say: taken out of their comments, they are a spec', async () => {
    const shown = readFileSync(join(CHART, 'values.yaml'), 'utf8');
    const text = shown.replace('spec: {}', 'spec:').replaceAll(/^ {2}# /gm, '  ');
    const { spec } = parse(text) as { spec: Record<string, unknown> };
    assert.deepEqual(
      Object.keys(spec),
      fieldsOf(schemaOf(customResourceDefinition(), 'spec')).map((field) => field.name),
    );
    assert.equal((spec['exposure'] as Record<string, unknown>)['portRange'], '4000-4015');
    assert.equal((spec['rollout'] as Record<string, unknown>)['paused'], false);
  });
});

function pathsOf(schema: Schema, prefix = ''): string[] {
  return fieldsOf(schema).flatMap((field) => {
    const below = objectBelow(field.schema);
    return [`${prefix}${field.name}`, ...(below ? pathsOf(below, `${prefix}${field.name}.`) : [])];
  });
}
