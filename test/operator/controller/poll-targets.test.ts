import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Label } from '../../../operator/api/meta.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import { awaitsFirstAnswers, pollTargets } from '../../../operator/controller/poll-targets.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import type { Poll } from '../../../operator/plan/world.ts';
import { failedPoll } from '../../../operator/fleet/health-answer.ts';
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

const running = { phase: 'Running', podIP: '10.0.0.1' };

function emptyView(): ClusterView {
  return new ClusterView({
    client: {} as KubeClient,
    namespaces: [],
    random: () => 0.5,
    onFleet: () => {},
    onNodes: () => {},
    onProblem: (message) => assert.fail(message),
  });
}

test('relays that run are asked, at the port that their own container names', () => {
  const view = emptyView();
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

test('first answers are awaited: of all once, of those that their kubelet finds ready until they come', () => {
  const view = emptyView();
  view.written(pod('ready', { ...running, conditions: [{ type: 'Ready', status: 'True' }] }));
  view.written(pod('starting', { ...running, conditions: [{ type: 'Ready', status: 'False' }] }));
  const silent = failedPoll(undefined, 'timed out');
  const heard = { ...silent, answeredMs: 1 };
  const awaits = (ready?: Poll, starting?: Poll): boolean => {
    const polls = Object.entries({ 'uid-of-ready': ready, 'uid-of-starting': starting });
    return awaitsFirstAnswers(
      view,
      'games/games',
      new Map(polls.filter((entry): entry is [string, Poll] => entry[1] !== undefined)),
    );
  };
  assert.equal(awaits(), true);
  assert.equal(awaits(heard), true);
  assert.equal(awaits(silent, silent), true, 'the first question of a new operator timed out');
  assert.equal(awaits(heard, silent), false);
  assert.equal(awaits(heard, heard), false);
  assert.equal(awaitsFirstAnswers(view, 'games/other', new Map()), false);
});
