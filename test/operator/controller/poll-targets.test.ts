import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Label } from '../../../operator/api/meta.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import { pollTargets } from '../../../operator/controller/poll-targets.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { controlledBy, object } from './objects.ts';

const RELAY = 'games-0123abcd-0';
const relay = { name: 'relay', ports: [{ name: 'health', containerPort: 9091 }] };

function pod(name: string, status: object, containers: readonly object[] = [relay]): KubeObject {
  return object(name, {
    kind: 'Pod',
    metadata: {
      labels: { [Label.fleet]: 'games', [Label.relay]: RELAY },
      ownerReferences: controlledBy('ReplicaSet', `${RELAY}-5d4f`, 'set-uid'),
    },
    spec: { containers },
    status,
  });
}

test('relays that run are asked, at the port that their own container names', () => {
  const view = new ClusterView({
    client: {} as KubeClient,
    namespaces: [],
    random: () => 0.5,
    onFleet: () => {},
    onNodes: () => {},
    onProblem: (message) => assert.fail(message),
  });
  const running = { phase: 'Running', podIP: '10.0.0.1' };
  const proxy = { name: 'istio-proxy', ports: [{ name: 'health', containerPort: 15021 }] };
  view.written(pod('alone', running));
  view.written(pod('meshed', running, [proxy, relay]));
  view.written(pod('ended', { ...running, phase: 'Failed' }));
  view.written(pod('starting', { phase: 'Running' }));
  view.written(pod('another', running, [proxy]));
  assert.deepEqual(
    pollTargets(view, 'games/games').map(({ name, ip, port }) => [name, ip, port]),
    [
      ['alone', '10.0.0.1', 9091],
      ['meshed', '10.0.0.1', 9091],
    ],
  );
  assert.deepEqual(pollTargets(view), pollTargets(view, 'games/games'));
  assert.deepEqual(pollTargets(view, 'games/other'), []);
});
