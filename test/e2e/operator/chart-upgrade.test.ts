import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { parse } from 'yaml';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { CHART, fleetOf, OPERATOR_NAMESPACE, OperatorCluster, ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

/** The chart of that version as "helm package" made it. Its images are the programs of this checkout all the same. */
const BEFORE = join(ROOT, 'test/e2e/operator/fixtures/wavry-relay-operator-0.1.0.tgz');
const TEST_POD = 'wavry-wavry-relay-operator-test';
const IN_NAMESPACE = `--namespace=${OPERATOR_NAMESPACE}`;
const WAIT = ['--wait', '--timeout=200s'];
/** Fields that the CRD of the release before is made to lack. */
const NEW_FIELDS = ['runAsUser', 'drainingReplicas'];

interface CrdObject extends KubeObject {
  readonly spec: { readonly versions: readonly { readonly schema: unknown }[] };
}

/** One story, in order, in a namespace that takes restricted pods only, while peers talk through the relays. */
suite('the operator’s chart, upgraded from the version before and back', () => {
  let operator: OperatorCluster;
  let relays: readonly string[];
  let peers: ReturnType<OperatorCluster['startPeers']>;
  const folder = mkdtempSync(join(tmpdir(), 'wavry-charts-'));
  const old = join(folder, 'wavry-relay-operator');
  let next: string;

  before(async () => {
    execFileSync('tar', ['xzf', BEFORE, '-C', folder]);
    const crd = join(old, 'templates/crd.yaml');
    writeFileSync(crd, withoutFields(readFileSync(crd, 'utf8'), NEW_FIELDS));

    operator = await OperatorCluster.start();
    await operator.startMaster();
    // As the release after this one would be: labels and image tags change with it.
    await operator.helm(
      'package',
      CHART,
      '--version=99.0.0',
      '--app-version=99.0.0',
      `--destination=${folder}`,
    );
    next = join(folder, 'wavry-relay-operator-99.0.0.tgz');
    await operator.cluster.kubectl(['create', 'namespace', OPERATOR_NAMESPACE]);
    await operator.cluster.kubectl([
      'label',
      'namespace',
      OPERATOR_NAMESPACE,
      'pod-security.kubernetes.io/enforce=restricted',
    ]);
    await operator.helm('install', 'wavry', old, IN_NAMESPACE, ...WAIT, '--set=logFormat=text');
    await operator.apply(fleetOf('games', { replicas: 2 }));
    await operator.whenServing('games');
    relays = await pods();
    peers = operator.startPeers('--sessions=6', '--rate=20', '--duration=0', '--bidirectional');
    await until('sessions', async () => ((await operator.fleet('games')).status?.totalSessions ?? 0) >= 6);
  });
  after(async () => {
    await operator.stop();
    rmSync(folder, { recursive: true });
  });

  async function pods(): Promise<readonly string[]> {
    const list = await operator.list(Resources.pods, 'default', 'wavry.dev/fleet=games');
    return list.map(({ metadata }) => metadata.uid).toSorted();
  }
  const crdSchema = async (): Promise<string> => {
    const { spec } = JSON.parse(
      await operator.cluster.kubectl(['get', 'crd', 'wavryrelays.wavry.dev', '--output=json']),
    ) as CrdObject;
    return JSON.stringify(spec.versions[0]!.schema);
  };
  /** With a field that only the newer CRD has. */
  const askFor = (field: object): Promise<string> =>
    operator.cluster.kubectl([
      'patch',
      'wr/games',
      '--type=merge',
      '--dry-run=server',
      '--output=json',
      `--patch=${JSON.stringify({ spec: { pod: field } })}`,
    ]);
  async function nothingMoved(): Promise<void> {
    await operator.cluster.kubectl([
      'rollout',
      'status',
      'deployment/wavry-wavry-relay-operator',
      IN_NAMESPACE,
      '--timeout=200s',
    ]);
    await operator.whenServing('games');
    assert.deepEqual(await pods(), relays);
  }
  /** What "helm test" runs, by hand. */
  async function check(): Promise<{ readonly stdout: string; readonly code: number | null }> {
    const child = operator.spawn('operator/main.ts', [
      'check',
      IN_NAMESPACE,
      '--custom-metrics',
      '--timeout=0',
      `--kubeconfig=${operator.cluster.kubeconfigInside}`,
    ]);
    let stdout = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.resume();
    const [code] = (await once(child, 'close')) as [number | null];
    return { stdout, code };
  }

  test('the fixture is the chart of a version that isn’t newer than this one', () => {
    const chart = (text: string): { name: string; version: string } => parse(text) as never;
    const before = chart(readFileSync(join(old, 'Chart.yaml'), 'utf8'));
    const present = chart(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'));
    assert.equal(before.name, present.name);
    assert.ok(before.version.localeCompare(present.version, 'en', { numeric: true }) <= 0);
  });

  test('the operator says in one line what the older CRD lacks', async () => {
    assert.doesNotMatch(await crdSchema(), /"runAsUser"/);
    assert.doesNotMatch(await askFor({ runAsUser: 1000 }), /runAsUser":1000/);
    const line = await until('the line', async () =>
      (await operator.operatorLog()).split('\n').find((text) => text.includes('is older than this operator')),
    );
    assert.match(
      line,
      /CustomResourceDefinition wavryrelays\.wavry\.dev of this cluster .* doesn't know spec\.monitoring\.from, spec\.pod\.runAsUser, status\.drainingReplicas: .*upgrade the operator's chart with crd\.install=true/,
    );
  });

  test('helm upgrade brings the CRD and what is new, keeps what was set, and moves no relay', async () => {
    await operator.helm('upgrade', 'wavry', next, IN_NAMESPACE, '--reset-then-reuse-values', ...WAIT);
    await nothingMoved();
    assert.match(await crdSchema(), /"runAsUser"/);
    await until('the new field to be known', async () =>
      /runAsUser": ?1000/.test(await askFor({ runAsUser: 1000 })),
    );
    for (const [resource, namespace] of [
      [Resources.networkPolicies, OPERATOR_NAMESPACE],
      [Resources.podDisruptionBudgets, OPERATOR_NAMESPACE],
    ] as const)
      assert.ok(await operator.find(resource, namespace, 'wavry-wavry-relay-operator'), resource.kind);
    assert.match(await operator.helm('get', 'values', 'wavry', IN_NAMESPACE), /logFormat: text/);
    await until(
      'the status to have what the CRD before would have refused',
      async () => (await operator.fleet('games')).status?.drainingReplicas === 0,
    );
  });

  test('helm test finds all well, twice, with no more rights than it needs', async () => {
    for (const _ of ['once', 'again']) {
      const said = await operator.helm('test', 'wavry', IN_NAMESPACE, '--timeout=200s');
      assert.match(said, /Phase: +Succeeded/);
      // Helm prints it to standard error.
      const log = await operator.cluster.kubectl(['logs', TEST_POD, IN_NAMESPACE]);
      assert.deepEqual(log.trim().split('\n'), [
        'ok: the API server knows WavryRelays as this release does',
        'ok: every operator is ready',
        'ok: an operator leads',
        'ok: custom.metrics.k8s.io answers for fleets',
      ]);
    }
    const may = async (...what: readonly string[]): Promise<string> =>
      operator.cluster
        .kubectl([
          'auth',
          'can-i',
          ...what,
          IN_NAMESPACE,
          `--as=system:serviceaccount:${OPERATOR_NAMESPACE}:${TEST_POD}`,
        ])
        .then(
          (text) => text.trim(),
          () => 'no',
        );
    assert.equal(await may('list', 'pods'), 'yes');
    for (const what of [
      ['get', 'secrets'],
      ['delete', 'pods'],
      ['list', 'wavryrelays'],
      ['update', 'leases/wavry-relay-operator'],
    ])
      assert.equal(await may(...what), 'no', what.join(' '));
  });

  test('helm rollback goes back to all of it but the relays, and a check of the newer one says so', async () => {
    await operator.helm('rollback', 'wavry', '1', IN_NAMESPACE, ...WAIT);
    await nothingMoved();
    assert.doesNotMatch(await crdSchema(), /"runAsUser"/);
    assert.equal(
      await operator.find(Resources.networkPolicies, OPERATOR_NAMESPACE, 'wavry-wavry-relay-operator'),
      undefined,
    );
    // Until another one leads: the leader went with the release that was rolled back.
    const { stdout, code } = await until('all but the CRD to be well', async () => {
      const checked = await check();
      assert.equal(checked.stdout.match(/^ok: /gm)?.length, 3, checked.stdout);
      return checked;
    });
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^FAILED: the API server knows WavryRelays as this release does: .*doesn't know [^:]*spec\.pod\.runAsUser/m,
    );
  });

  test('--reuse-values keeps what is new off, and fails at nothing', async () => {
    await operator.helm('upgrade', 'wavry', next, IN_NAMESPACE, '--reuse-values', ...WAIT);
    await nothingMoved();
    assert.match(await crdSchema(), /"runAsUser"/);
    assert.equal(
      await operator.find(Resources.networkPolicies, OPERATOR_NAMESPACE, 'wavry-wavry-relay-operator'),
      undefined,
    );
  });

  test('the peers noticed none of it', async () => {
    const report = await peers.stop();
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.ok(report.packets.received > 0);
  });
});

/** A chart's template without fields of these names: their lines, and what is indented below them. */
function withoutFields(text: string, names: readonly string[]): string {
  let deeper: number | undefined;
  const kept = text.split('\n').filter((line) => {
    const indent = line.search(/\S/);
    if (deeper !== undefined && indent > deeper) return false;
    deeper = names.some((name) => line.trim() === `${name}:`) ? indent : undefined;
    return deeper === undefined;
  });
  assert.ok(kept.length < text.split('\n').length);
  return kept.join('\n');
}
