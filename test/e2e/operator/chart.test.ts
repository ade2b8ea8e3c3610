import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, suite, test } from 'node:test';

import { parseAllDocuments } from 'yaml';

import { findBinaries } from '../../../local/cluster/binaries.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { CHART, fleetOf, OPERATOR_NAMESPACE, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

const ACCOUNT = 'wavry-wavry-relay-operator';
const USER = `system:serviceaccount:${OPERATOR_NAMESPACE}:${ACCOUNT}`;
const NAMESPACES = ['games', 'lab'] as const;
/** A namespace that the operator is not told to look after. */
const ELSEWHERE = 'elsewhere';

/** One story, in order: the chart with named namespaces, upgraded, uninstalled, installed again. */
suite('the operator’s chart, by the real helm, for named namespaces', () => {
  let operator: OperatorCluster;
  before(async () => {
    operator = await OperatorCluster.start({ auditLog: true });
    await operator.startMaster();
    for (const name of [...NAMESPACES, ELSEWHERE])
      await operator.cluster.kubectl(['create', 'namespace', name]);
    await operator.installOperator('--set=namespaces={games,lab}');
    await operator.apply(
      fleetOf('one', {}, 'games'),
      fleetOf('two', {}, 'lab'),
      fleetOf('three', {}, ELSEWHERE),
    );
  });
  after(() => operator.stop());

  const podOf = async (fleet: string, namespace: string): Promise<string> => {
    const pods = await operator.list(Resources.pods, namespace, `wavry.dev/fleet=${fleet}`);
    assert.equal(pods.length, 1, `pods of ${namespace}/${fleet}`);
    return pods[0]!.metadata.uid;
  };
  const readySince = async (fleet: string, namespace: string): Promise<string> => {
    const { status } = await operator.fleet(fleet, namespace);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    assert.equal(ready?.status, 'True');
    return ready.lastTransitionTime;
  };
  const rollOut = (): Promise<string> =>
    operator.cluster.kubectl([
      'rollout',
      'status',
      `deployment/${ACCOUNT}`,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--timeout=200s',
    ]);

  test('it works in them, and touches nothing elsewhere', async () => {
    await operator.whenServing('one', 'games');
    await operator.whenServing('two', 'lab');
    assert.deepEqual(await operator.leftovers('three', ELSEWHERE), []);
    assert.equal((await operator.fleet('three', ELSEWHERE)).status, undefined);
  });

  test('the API server refuses it every one of its rights elsewhere, and everything cluster-wide but a look at nodes', async () => {
    const { helm } = await findBinaries(['helm']);
    const rendered = parseAllDocuments(
      execFileSync(helm, ['template', 'wavry', CHART, '--set=namespaces={games}'], { encoding: 'utf8' }),
    ).map((document) => document.toJS() as Role | null);
    const role = rendered.find(
      (manifest) => manifest?.kind === 'Role' && manifest.metadata.namespace === 'games',
    );
    const rights = role!.rules.flatMap(({ apiGroups, resources, verbs }) =>
      resources.flatMap((resource) => verbs.map((verb) => ({ group: apiGroups[0]!, resource, verb }))),
    );
    assert.ok(rights.length > 40);
    for (const right of rights) {
      const what = JSON.stringify(right);
      for (const namespace of NAMESPACES) assert.ok(await may(right, namespace), `${what} in ${namespace}`);
      for (const place of [ELSEWHERE, 'default', 'kube-system', OPERATOR_NAMESPACE, undefined])
        assert.ok(!(await may(right, place)), `${what} in ${place ?? 'all namespaces'}`);
    }
    const nodes = { group: '', resource: 'nodes' };
    for (const verb of ['get', 'list', 'watch']) assert.ok(await may({ ...nodes, verb }, undefined));
    for (const verb of ['patch', 'update', 'delete']) assert.ok(!(await may({ ...nodes, verb }, undefined)));
    for (const verb of ['list', 'watch']) {
      assert.ok(!(await may({ group: '', resource: 'secrets', verb }, 'games')), `${verb} secrets`);
    }
  });

  test('its rights are enough: nothing that it asks is forbidden', () => {
    assert.deepEqual(forbidden(operator), []);
  });

  test('helm upgrade adds a namespace; the other fleets don’t notice, not even in their conditions', async () => {
    const before = [
      await podOf('one', 'games'),
      await podOf('two', 'lab'),
      await readySince('one', 'games'),
      await readySince('two', 'lab'),
    ];
    await operator.helm(
      'upgrade',
      'wavry',
      CHART,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--reuse-values',
      `--set=namespaces={games,lab,${ELSEWHERE}}`,
      '--wait',
      '--timeout=200s',
    );
    await rollOut();
    await operator.whenServing('three', ELSEWHERE);
    assert.deepEqual(
      [
        await podOf('one', 'games'),
        await podOf('two', 'lab'),
        await readySince('one', 'games'),
        await readySince('two', 'lab'),
      ],
      before,
    );
    assert.deepEqual(forbidden(operator), []);
  });

  test('an upgrade with a mistyped value changes nothing', async () => {
    await assert.rejects(
      operator.helm('upgrade', 'wavry', CHART, `--namespace=${OPERATOR_NAMESPACE}`, '--set=replica=3'),
      /'replica'/,
    );
    assert.match(await operator.helm('status', 'wavry', `--namespace=${OPERATOR_NAMESPACE}`), /REVISION: 2/);
  });

  test('helm rollback takes the namespace away again, and leaves its relays to serve', async () => {
    const pod = await podOf('three', ELSEWHERE);
    await operator.helm(
      'rollback',
      'wavry',
      '1',
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--wait',
      '--timeout=200s',
    );
    await rollOut();
    await until(
      'its right there to go',
      async () => !(await may({ group: 'apps', resource: 'deployments', verb: 'list' }, ELSEWHERE)),
    );
    await operator.whenServing('one', 'games');
    assert.equal(await podOf('three', ELSEWHERE), pod);
  });

  test('helm uninstall takes the operator and its rights, and keeps the CRD, every WavryRelay, and relays that serve', async () => {
    const before = [await podOf('one', 'games'), await podOf('two', 'lab'), await podOf('three', ELSEWHERE)];
    const peers = operator.peers('--sessions=6', '--rate=20', '--duration=10', '--bidirectional');
    await operator.helm(
      'uninstall',
      'wavry',
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--wait',
      '--timeout=200s',
    );
    await until('the operator’s pod to be gone', async () => {
      const pods = await operator.list(Resources.pods, OPERATOR_NAMESPACE);
      return pods.length === 0;
    });
    for (const namespace of NAMESPACES)
      await until(
        `its rights in ${namespace} to go`,
        async () => !(await may({ group: 'apps', resource: 'deployments', verb: 'create' }, namespace)),
      );
    const report = await peers;
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.ok(report.packets.received > 0);
    await operator.cluster.kubectl(['get', 'crd', 'wavryrelays.wavry.dev']);
    const fleets = await operator.list<KubeObject>(Resources.wavryRelays);
    assert.deepEqual(fleets.map(({ metadata }) => metadata.name).toSorted(), ['one', 'three', 'two']);
    assert.deepEqual(
      [await podOf('one', 'games'), await podOf('two', 'lab'), await podOf('three', ELSEWHERE)],
      before,
    );
    await until('nothing of the release to be left', async () => {
      const left = await operator.cluster.kubectl([
        'get',
        'all,roles,rolebindings,serviceaccounts',
        `--namespace=${OPERATOR_NAMESPACE}`,
        '--selector=app.kubernetes.io/instance=wavry',
        '--output=name',
      ]);
      assert.equal(left, '');
      return true;
    });
  });

  test('installed again it takes over what is there: no relay restarts, and it is in charge of them', async () => {
    const before = [await podOf('one', 'games'), await podOf('two', 'lab')];
    await operator.installOperator('--set=namespaces={games,lab}');
    await operator.cluster.kubectl(['scale', 'wr/one', '--replicas=2', '--namespace=games']);
    await operator.whenServing('one', 'games');
    await operator.whenServing('two', 'lab');
    const pods = await operator.list(Resources.pods, 'games', 'wavry.dev/fleet=one');
    assert.ok(pods.some(({ metadata }) => metadata.uid === before[0]));
    assert.equal(await podOf('two', 'lab'), before[1]);
  });

  interface Right {
    readonly group: string;
    readonly resource: string;
    readonly verb: string;
  }

  /** Whether the API server lets the operator; without a namespace it is asked for all of them, or for what has none. */
  async function may({ group, resource, verb }: Right, namespace: string | undefined): Promise<boolean> {
    const [plural, subresource] = resource.split('/');
    const { status } = await operator.client.call<{ status: { allowed: boolean } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: {
            user: USER,
            groups: [
              'system:serviceaccounts',
              `system:serviceaccounts:${OPERATOR_NAMESPACE}`,
              'system:authenticated',
            ],
            resourceAttributes: { group, resource: plural, subresource, verb, namespace },
          },
        },
      },
    );
    return status.allowed;
  }
});

interface Role {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string };
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

/** What the operator asked and the API server forbade, from its audit log. */
function forbidden(operator: OperatorCluster): string[] {
  return operator
    .auditLines()
    .filter((line) => line.includes(USER) && line.includes('"code":403'))
    .map((line) => JSON.parse(line) as { verb: string; requestURI: string })
    .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
}
