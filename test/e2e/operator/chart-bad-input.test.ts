import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { METRICS_API_SERVICES } from '../../../operator/plan/metrics-api.ts';
import {
  CHART,
  fleetOf,
  giveAddress,
  OPERATOR_NAMESPACE,
  OperatorCluster,
  ROOT,
} from './operator-cluster.ts';
import { until } from './until.ts';

const IN_NAMESPACE = `--namespace=${OPERATOR_NAMESPACE}`;
const INSTALL = ['install', 'wavry', CHART, IN_NAMESPACE, '--create-namespace', '--set=replicas=1'];
const WAIT = ['--wait', '--timeout=200s'];
const FOREIGN = {
  apiVersion: 'apiregistration.k8s.io/v1',
  kind: 'APIService',
  metadata: { name: METRICS_API_SERVICES[0]!, labels: { owner: 'monitoring' } },
  spec: {
    group: 'custom.metrics.k8s.io',
    version: 'v1beta1',
    groupPriorityMinimum: 100,
    versionPriority: 100,
    insecureSkipTLSVerify: true,
    service: { namespace: 'monitoring', name: 'prometheus-adapter', port: 443 },
  },
};

/** Clusters that lack something, and people who may not everything: one line each that says what to do. In order. */
suite('the operator’s chart where something stands in its way', () => {
  let operator: OperatorCluster;
  before(async () => {
    operator = await OperatorCluster.start({
      nodes: [{ name: 'node-1', externalAddress: '198.19.0.1' }, { name: 'node-2' }],
      hpaSyncPeriod: 2,
    });
    await operator.startMaster();
  });
  after(() => operator.stop());

  const releases = (): Promise<string> => operator.helm('list', IN_NAMESPACE, '--all', '--short');
  const apiService = (name: string): Promise<KubeObject | undefined> =>
    operator.find(Resources.apiServices, undefined, name);
  /** Helm's message on one line, without what it says about --debug. */
  const refusal = (...args: readonly string[]): Promise<string> =>
    operator.helm(...args).then(
      () => assert.fail(`let through: ${args.join(' ')}`),
      ({ message }: Error) => {
        const lines = message.split('\n').filter((line) => line.startsWith('Error: '));
        assert.equal(lines.length, 1, message);
        return lines[0]!;
      },
    );

  test('no Prometheus Operator: nothing is installed, and the value is named', async () => {
    for (const [value, kind] of [
      ['serviceMonitor', 'ServiceMonitor'],
      ['prometheusRule', 'PrometheusRule'],
    ]) {
      const line = await refusal(...INSTALL, `--set=monitoring.${value}=true`);
      assert.match(
        line,
        new RegExp(
          `monitoring\\.${value}: this cluster knows no ${kind}.*install the Prometheus Operator first`,
        ),
      );
    }
    assert.equal(await releases(), '');
  });

  test('no right on APIServices: helm names them, and without custom metrics the rest goes in', async () => {
    const groups = [
      '',
      'apps',
      'apiextensions.k8s.io',
      'networking.k8s.io',
      'policy',
      'rbac.authorization.k8s.io',
    ];
    await operator.apply(
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'installer' },
        rules: [{ apiGroups: groups, resources: ['*'], verbs: ['*'] }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'installer' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'installer' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'installer' }],
      },
    );
    const asInstaller = [...INSTALL, '--kube-as-user=installer'];
    await until('the rights to be in force', async () => {
      const may = ['auth', 'can-i', 'create', 'clusterroles', '--as=installer'];
      return (await operator.cluster.kubectl(may)).startsWith('yes');
    });
    const line = await refusal(...asInstaller);
    assert.match(
      line,
      /apiservices\.apiregistration\.k8s\.io .* is forbidden: User "installer" cannot get resource/,
    );
    assert.equal(await releases(), '');
    await operator.helm(...asInstaller, '--set=customMetrics.enabled=false', ...WAIT);
    await operator.apply(fleetOf('games', { autoscaling: { maxReplicas: 2 } }));
    await operator.whenServing('games');
    await operator.whenCondition('games', 'Autoscaling', {
      status: 'False',
      message: /upgrade its chart with customMetrics\.enabled=true/,
    });
    assert.match(await operator.helm('test', 'wavry', IN_NAMESPACE, '--timeout=200s'), /Phase: +Succeeded/);
    await operator.helm('uninstall', 'wavry', IN_NAMESPACE, '--wait');
  });

  test('custom.metrics.k8s.io is somebody else’s: it is left to them from install to uninstall', async () => {
    await operator.apply(FOREIGN);
    const notes = await operator.helm(...INSTALL, ...WAIT);
    assert.match(
      notes,
      /v1beta1\.custom\.metrics\.k8s\.io belongs to Service monitoring\/prometheus-adapter\. It is left alone/,
    );
    assert.equal(await apiService(METRICS_API_SERVICES[1]!), undefined);
    await operator.whenCondition('games', 'Autoscaling', { status: 'False', reason: 'ForeignMetricsAPI' });
    await assert.rejects(operator.helm('test', 'wavry', IN_NAMESPACE, '--timeout=200s'));
    const log = await operator.cluster.kubectl(['logs', 'wavry-wavry-relay-operator-test', IN_NAMESPACE]);
    assert.match(
      log,
      /FAILED: custom\.metrics\.k8s\.io answers for fleets: v1beta1\.custom\.metrics\.k8s\.io: /,
    );

    await operator.helm('uninstall', 'wavry', IN_NAMESPACE, '--wait');
    const left = await apiService(FOREIGN.metadata.name);
    assert.equal(left?.metadata.labels?.['owner'], 'monitoring');

    // Once they are gone, an upgrade takes it.
    await operator.helm(...INSTALL, ...WAIT);
    await operator.cluster.kubectl(['delete', 'apiservice', FOREIGN.metadata.name]);
    await operator.helm('upgrade', 'wavry', CHART, IN_NAMESPACE, '--reset-then-reuse-values', ...WAIT);
    await operator.whenCondition('games', 'Autoscaling', { status: 'True' });
    for (const name of METRICS_API_SERVICES) assert.ok(await apiService(name), name);
  });

  suite('relays in a namespace that takes restricted pods only', () => {
    const NAMESPACE = 'restricted';
    const small = { drain: { timeout: '5s' } };
    before(async () => {
      await operator.cluster.kubectl(['create', 'namespace', NAMESPACE]);
      await operator.cluster.kubectl([
        'label',
        'namespace',
        NAMESPACE,
        'pod-security.kubernetes.io/enforce=restricted',
      ]);
    });

    test('PodIP, NodePort and LoadBalancer run there', async () => {
      await operator.apply(
        fleetOf('pods', small, NAMESPACE),
        fleetOf('nodes', { ...small, exposure: { type: 'NodePort', addressType: 'InternalIP' } }, NAMESPACE),
        fleetOf(
          'balanced',
          {
            ...small,
            exposure: { type: 'LoadBalancer', serviceTemplate: { loadBalancerClass: 'example.com/nobody' } },
          },
          NAMESPACE,
        ),
      );
      await operator.whenServing('pods', NAMESPACE);
      await operator.whenServing('nodes', NAMESPACE);
      const service = await until('the load balancer’s Service', async () =>
        (await operator.list(Resources.services, NAMESPACE, 'wavry.dev/fleet=balanced')).find(
          ({ metadata }) => metadata.name !== 'balanced-metrics',
        ),
      );
      await giveAddress(operator, service, { ip: '198.19.7.7' });
      await operator.whenServing('balanced', NAMESPACE);
    });

    for (const type of ['HostPort', 'HostNetwork']) {
      test(`${type} can’t, and the condition says why and what to do`, async () => {
        const name = type.toLowerCase();
        await operator.apply(fleetOf(name, { ...small, exposure: { type } }, NAMESPACE));
        const message =
          /gets no pod: .*violates PodSecurity "restricted.*\(.*(hostPort|host namespaces).*; .*pod-security\.kubernetes\.io\/enforce=privileged/;
        await operator.whenCondition(
          name,
          'Ready',
          { status: 'False', reason: 'PodRefused', message },
          NAMESPACE,
        );
        await operator.whenEvent(name, 'PodRefused', message, NAMESPACE);
        // What it says helps.
        const label = (value: string): Promise<string> =>
          operator.cluster.kubectl([
            'label',
            '--overwrite',
            'namespace',
            NAMESPACE,
            `pod-security.kubernetes.io/enforce=${value}`,
          ]);
        await label('privileged');
        await operator.cluster.kubectl([
          'patch',
          `wr/${name}`,
          `--namespace=${NAMESPACE}`,
          '--type=merge',
          '--patch={"spec":{"exposure":{"addressType":"InternalIP"}}}',
        ]);
        await operator.whenServing(name, NAMESPACE);
        await label('restricted');
      });
    }
  });

  test('without the CRD the operator waits, and says what for', async () => {
    await operator.helm('uninstall', 'wavry', IN_NAMESPACE, '--wait');
    for (const namespace of ['default', 'restricted'])
      await operator.cluster.kubectl(['delete', 'wavryrelays', '--all', `--namespace=${namespace}`]);
    await operator.cluster.kubectl(['delete', 'crd', 'wavryrelays.wavry.dev']);
    await operator.helm(...INSTALL, '--set=crd.install=false');
    await until('the line', async () =>
      /wavryrelays.*: install the CustomResourceDefinition \(crds\/, or the chart with crd\.install=true\)/.test(
        await operator.operatorLog(),
      ),
    );
    await operator.helm(
      'upgrade',
      'wavry',
      CHART,
      IN_NAMESPACE,
      '--reset-then-reuse-values',
      '--set=crd.install=true',
      ...WAIT,
    );
    await operator.apply(fleetOf('late'));
    await operator.whenServing('late');
  });

  test('a CRD that kubectl made: helm says that it isn’t its own, and takes it over when told to', async () => {
    await operator.helm('uninstall', 'wavry', IN_NAMESPACE, '--wait');
    await operator.cluster.kubectl(['delete', 'crd', 'wavryrelays.wavry.dev']);
    await operator.cluster.kubectl(['apply', '-f', join(ROOT, 'crds/wavryrelays.wavry.dev.yaml')]);
    assert.match(
      await refusal(...INSTALL),
      /CustomResourceDefinition "wavryrelays\.wavry\.dev" .* exists and cannot be imported into the current release/,
    );
    await operator.helm(...INSTALL, '--take-ownership', ...WAIT);
    await operator.apply(fleetOf('taken'));
    await operator.whenServing('taken');
  });
});
