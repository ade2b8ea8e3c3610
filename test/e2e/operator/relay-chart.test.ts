import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';

import { parseAllDocuments, stringify } from 'yaml';

import { findBinaries } from '../../../local/cluster/binaries.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import {
  fleetOf,
  MASTER_URL,
  OPERATOR_NAMESPACE,
  OperatorCluster,
  ROOT,
  runHelm,
} from './operator-cluster.ts';
import { until } from './until.ts';

const CHART = join(ROOT, 'helm/wavry-relay');
const SMALL = [
  `--set=spec.master.url=${MASTER_URL}`,
  '--set=spec.size=Small',
  '--set=spec.exposure.type=PodIP',
  '--set=spec.pod.resources.requests.cpu=50m',
];

suite('an operator without helm, and one fleet a release with it', () => {
  let operator: OperatorCluster;
  const folder = mkdtempSync(join(tmpdir(), 'wavry-manifests-'));
  before(async () => {
    operator = await OperatorCluster.start();
    await operator.startMaster();
  });
  after(async () => {
    await operator.stop();
    rmSync(folder, { recursive: true });
  });

  test('"npm run manifests" with "kubectl apply -f" gives a running operator', async () => {
    const base = join(folder, 'base');
    const args = [join(ROOT, 'helm/manifests.ts'), `--output=${base}`, '--', '--set=replicas=1'];
    await promisify(execFile)(process.execPath, args);
    await operator.cluster.kubectl(['apply', '-f', join(base, 'operator.yaml')]);
    await until('the operator to be available', async () => {
      const deployment = await operator.find<KubeObject & { status?: { availableReplicas?: number } }>(
        Resources.deployments,
        OPERATOR_NAMESPACE,
        'wavry-relay-operator',
      );
      return deployment?.status?.availableReplicas === 1;
    });
    await operator.apply(fleetOf('plain', { autoscaling: { maxReplicas: 2 } }));
    await operator.whenServing('plain');
    await operator.whenCondition('plain', 'Autoscaling', {
      status: 'False',
      message: /"npm run manifests -- --api-services"/,
    });
    await operator.deleteFleet('plain');
  });

  test('the same is a base of kustomize, to be changed by overlays', async () => {
    const applied = await operator.cluster.kubectl(['apply', '-k', join(folder, 'base')]);
    for (const line of applied.trimEnd().split('\n')) assert.match(line, / unchanged$/);
    const overlay = join(folder, 'overlay');
    mkdirSync(overlay);
    writeFileSync(
      join(overlay, 'kustomization.yaml'),
      stringify({
        resources: ['../base'],
        namespace: 'relays',
        images: [{ name: 'ghcr.io/wavry/wavry-relay-operator', newName: 'mirror.example.com/operator' }],
        replicas: [{ name: 'wavry-relay-operator', count: 3 }],
      }),
    );
    await operator.cluster.kubectl(['create', 'namespace', 'relays']);
    const said = await operator.cluster.kubectl(['apply', '--dry-run=server', '-k', overlay]);
    assert.match(said, /^deployment\.apps\/wavry-relay-operator created \(server dry run\)$/m);
    const objects = parseAllDocuments(await operator.cluster.kubectl(['kustomize', overlay])).map(
      (document) => document.toJS() as KubeObject,
    );
    const deployment = objects.find((object) => object.kind === 'Deployment');
    assert.match(JSON.stringify(deployment), /"replicas":3.*mirror\.example\.com\/operator:/);
    assert.deepEqual(
      [...new Set(objects.flatMap((object) => object.metadata.namespace ?? []))],
      ['relays'],
      'nothing is left in the namespace of the base',
    );
    assert.doesNotMatch(JSON.stringify(objects), /helm\.sh|"Helm"/);
  });

  test('what it renders is what the API server takes, to the letter', async () => {
    const { helm } = await findBinaries(['helm']);
    for (const more of [
      [],
      ['--set=spec.autoscaling.maxReplicas=5', '--set=spec.replicas=3', '--set=spec.rollout.maxSurge=25%'],
      ['--set=spec.asn=4294967295', '--set=annotations.a=b', '--set=spec.exposure.type=HostPort'],
      [
        '--set-json=spec.pod.tolerations=[{"key":"a","operator":"Exists"}]',
        '--set=spec.limits.maxSessions=7',
      ],
    ]) {
      const rendered = await runHelm(helm, [
        'template',
        'checked',
        CHART,
        '--kube-version=1.36.3',
        ...SMALL,
        ...more,
      ]);
      const said = await operator.cluster.kubectl(
        ['apply', '--dry-run=server', '--validate=strict', '-f', '-'],
        rendered,
      );
      assert.match(said, /^wavryrelay\.wavry\.dev\/checked created \(server dry run\)$/m);
    }
  });

  test('install, upgrade, rollback and uninstall', async () => {
    const installed = await operator.helm('install', 'eu', CHART, ...SMALL);
    assert.match(installed, new RegExp(`The fleet eu is asked for; .* registered at ${MASTER_URL}`));
    const first = await operator.whenServing('eu');
    assert.equal(first.length, 1);

    await operator.helm('upgrade', 'eu', CHART, '--reuse-values', '--set=spec.replicas=2');
    const second = await operator.whenServing('eu');
    assert.equal(second.length, 2);
    assert.ok(
      second.some((relay) => relay.relayId === first[0]!.relayId),
      'the relay that was there went on',
    );

    await operator.helm('rollback', 'eu', '1');
    assert.equal((await operator.fleet('eu')).spec.replicas, 1);
    assert.equal((await operator.whenServing('eu')).length, 1);

    await operator.helm('uninstall', 'eu');
    await operator.whenGone('eu');
  });

  test('an upgrade leaves the number that an autoscaler has chosen', async () => {
    const values = [...SMALL, '--set=spec.autoscaling.maxReplicas=3', '--set=spec.autoscaling.minReplicas=1'];
    await operator.helm('install', 'auto', CHART, ...values);
    await operator.cluster.kubectl(['scale', 'wavryrelay', 'auto', '--replicas=2']);
    await operator.helm('upgrade', 'auto', CHART, ...values, '--set=spec.region=eu-west-1');
    const { spec } = await operator.fleet('auto');
    assert.deepEqual([spec.replicas, spec['region']], [2, 'eu-west-1']);
    await operator.helm('uninstall', 'auto');
  });

  test('what only the API server can judge, helm passes on in its words', async () => {
    await assert.rejects(
      operator.helm(
        'install',
        'bad',
        CHART,
        ...SMALL,
        '--set=spec.master.allowInsecureDev=true',
        '--set=spec.exposure.type=HostPort',
      ),
      /master\.allowInsecureDev lets anybody use the relays, so it goes with exposure\.type PodIP only/,
    );
    await assert.rejects(
      operator.helm('install', 'worse', CHART, ...SMALL, '--set=spec.drain.timeout=1000h'),
      /must be a duration from 0s to 168h/,
    );
  });
});
