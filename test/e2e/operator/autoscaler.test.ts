import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { fleetOf, IMAGES, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

/** Nothing has to forward here. */
const SIMULATED = 'test/simulated:1';

suite('the autoscaler of a fleet, with the real HPA controller', () => {
  let operator: OperatorCluster;
  before(async () => {
    operator = await OperatorCluster.start({
      nodes: 2,
      images: { ...IMAGES, 'test/simulated': { simulated: true } },
      hpaSyncPeriod: 1,
    });
    await operator.installOperator();
  });
  after(() => operator.stop());

  const hpa = (name: string): Promise<KubeObject | undefined> =>
    operator.find(Resources.horizontalPodAutoscalers, 'default', name);
  const replicas = async (name: string): Promise<number> => (await operator.fleet(name)).spec.replicas;

  test('spec.autoscaling makes one that the API server takes as it is, and its minimum holds', async () => {
    await operator.apply(
      fleetOf('games', {
        image: SIMULATED,
        replicas: undefined,
        autoscaling: { minReplicas: 2, maxReplicas: 4 },
      }),
    );
    await until('the minimum', async () => (await replicas('games')) === 2);
    const made = (await hpa('games-relay')) as KubeObject & { spec: { behavior: object } };
    assert.equal(made.metadata.ownerReferences?.[0]?.name, 'games');
    await until('its relays', async () => (await operator.fleet('games')).status?.relays?.length === 2);
  });

  test('kubectl scale beyond its bounds is put back by it, but for none at all', async () => {
    await operator.cluster.kubectl(['scale', 'wr/games', '--replicas=7']);
    await until('the maximum', async () => (await replicas('games')) <= 4);
    await operator.cluster.kubectl(['scale', 'wr/games', '--replicas=0']);
    await operator.whenCondition('games', 'Autoscaling', {
      status: 'False',
      reason: 'ScaledToZero',
      message: /"kubectl scale wr\/games --replicas=1" turns it on again/,
    });
    await operator.cluster.kubectl(['scale', 'wr/games', '--replicas=1']);
    await until('the minimum', async () => (await replicas('games')) === 2);
  });

  test('new bounds reach it, and a field that it does not know is refused with the field', async () => {
    await operator.cluster.kubectl(patch('games', { autoscaling: { minReplicas: 3 } }));
    await until('the new minimum', async () => (await replicas('games')) === 3);
    await operator.cluster.kubectl(
      patch('games', { autoscaling: { behavior: { scaleUp: { policies: [{ type: 'Rockets' }] } } } }),
    );
    await operator.whenCondition('games', 'Degraded', {
      status: 'True',
      reason: 'Rejected',
      message: /HorizontalPodAutoscaler\/games-relay: .*Rockets.*correct the field of the spec/s,
    });
    await operator.cluster.kubectl(patch('games', { autoscaling: { behavior: null } }));
    await operator.whenCondition('games', 'Degraded', { status: 'False' });
  });

  test('an HPA of a person: ours goes, is named, and comes back', async () => {
    await operator.apply(personsHpa('theirs', 'games'));
    const message =
      /^HorizontalPodAutoscaler theirs targets this resource as well.*: delete HorizontalPodAutoscaler theirs, or leave spec\.autoscaling out/;
    await operator.whenCondition('games', 'Autoscaling', {
      status: 'False',
      reason: 'ForeignAutoscaler',
      message,
    });
    await operator.whenEvent('games', 'ForeignAutoscaler', message);
    await until('ours to go', async () => (await hpa('games-relay')) === undefined);
    await operator.cluster.kubectl(['delete', 'hpa', 'theirs']);
    await until('ours to come back', async () => (await hpa('games-relay')) !== undefined);
  });

  test('a ScaledObject, once KEDA is there', async () => {
    await operator.apply(SCALED_OBJECT_CRD);
    await until('a ScaledObject to be taken', () =>
      operator.apply(scaledObject('events', 'games')).then(() => true),
    );
    await operator.whenCondition('games', 'Autoscaling', {
      reason: 'ForeignAutoscaler',
      message: /^ScaledObject events targets this resource as well/,
    });
    await until('ours to go', async () => (await hpa('games-relay')) === undefined);
    await operator.cluster.kubectl(['delete', 'scaledobject', 'events']);
    await until('ours to come back', async () => (await hpa('games-relay')) !== undefined);
  });

  test('a namesake of somebody else is left alone', async () => {
    await operator.apply(personsHpa('named-relay', 'nobody'));
    await operator.apply(
      fleetOf('named', { image: SIMULATED, autoscaling: { minReplicas: 1, maxReplicas: 4 } }),
    );
    await operator.whenCondition('named', 'Degraded', {
      status: 'True',
      reason: 'ForeignObject',
      message: /HorizontalPodAutoscaler named-relay belongs to somebody else/,
    });
    const live = (await hpa('named-relay')) as KubeObject & { spec: { maxReplicas: number } };
    assert.equal(live.spec.maxReplicas, 9);
    assert.equal(live.metadata.labels, undefined);
  });

  test('without spec.autoscaling it goes, and the fleet keeps its size', async () => {
    await operator.cluster.kubectl(patch('games', { autoscaling: null }));
    await until('it to go', async () => (await hpa('games-relay')) === undefined);
    await operator.whenCondition('games', 'Autoscaling', { status: 'False', reason: 'NotConfigured' });
    assert.equal(await replicas('games'), 3);
  });

  test('its rights were enough', async () => {
    assert.doesNotMatch(await operator.operatorLog(), /forbidden/i);
  });
});

function patch(name: string, spec: object): string[] {
  return ['patch', `wr/${name}`, '--type=merge', `--patch=${JSON.stringify({ spec })}`];
}

function personsHpa(name: string, target: string): object {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name, namespace: 'default' },
    spec: {
      scaleTargetRef: { apiVersion: 'wavry.dev/v1alpha1', kind: 'WavryRelay', name: target },
      minReplicas: 2,
      maxReplicas: 9,
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
        },
      ],
    },
  };
}

function scaledObject(name: string, target: string): object {
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name, namespace: 'default' },
    spec: {
      scaleTargetRef: { apiVersion: 'wavry.dev/v1alpha1', kind: 'WavryRelay', name: target },
      triggers: [],
    },
  };
}

/** As much of KEDA's own as the operator looks at. */
const SCALED_OBJECT_CRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'scaledobjects.keda.sh' },
  spec: {
    group: 'keda.sh',
    scope: 'Namespaced',
    names: { kind: 'ScaledObject', plural: 'scaledobjects', singular: 'scaledobject' },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    ],
  },
};
