import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { hostPortOf, observePod } from '../../../operator/controller/observe-pod.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { ObservedPod } from '../../../operator/plan/world.ts';
import { ModelCluster } from '../plan/model-cluster.ts';
import { object } from './objects.ts';

function waiting(container: object, rest: object = {}): ObservedPod['waiting'] {
  return observePod(
    object('pod', { status: { containerStatuses: [{ name: 'relay', ...container }], ...rest } }),
  ).waiting;
}

suite('what is observed of a pod', () => {
  test('all of it', () => {
    const labels = { 'wavry.dev/relay': 'games-0123abcd-0', 'wavry.dev/fleet': 'games' };
    const annotations = { 'wavry.dev/draining': 'false' };
    const pod = observePod(
      object('pod', {
        metadata: { labels, annotations },
        spec: {
          nodeName: 'node-a',
          // A mesh's container comes first, and statuses are sorted by name.
          containers: [
            {
              name: 'linkerd-proxy',
              args: ['--max-sessions=9'],
              ports: [{ name: 'relay', containerPort: 4143, hostPort: 4143 }],
            },
            {
              name: 'relay',
              args: ['--region=eu', '--max-sessions=250'],
              ports: [
                { name: 'health', containerPort: 9091 },
                { name: 'relay', containerPort: 4000, hostPort: 4003 },
              ],
            },
          ],
        },
        status: {
          phase: 'Running',
          podIP: '10.0.0.7',
          hostIP: '192.0.2.1',
          conditions: [
            { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-01-01T00:00:05Z' },
            { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:09Z' },
          ],
          containerStatuses: [
            { name: 'linkerd-proxy', restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } },
            { name: 'relay', restartCount: 3, state: { running: { startedAt: '2026-01-01T00:00:07Z' } } },
          ],
        },
      }),
    );
    assert.deepEqual(pod, {
      name: 'pod',
      uid: 'uid-of-pod',
      relay: 'games-0123abcd-0',
      createdMs: Date.UTC(2026, 0, 1),
      node: 'node-a',
      scheduledMs: Date.UTC(2026, 0, 1, 0, 0, 5),
      podIP: '10.0.0.7',
      hostIP: '192.0.2.1',
      phase: 'Running',
      ready: true,
      readyChangedMs: Date.UTC(2026, 0, 1, 0, 0, 9),
      startedMs: Date.UTC(2026, 0, 1, 0, 0, 7),
      terminating: false,
      labels,
      annotations,
      waiting: undefined,
      restarts: 3,
      maxSessions: 250,
    });
  });

  test('one that the scheduler has not seen yet', () => {
    const pod = observePod(object('pod'));
    assert.deepEqual(
      [pod.relay, pod.phase, pod.ready, pod.readyChangedMs, pod.restarts, pod.scheduledMs, pod.maxSessions],
      ['', 'Pending', false, undefined, 0, undefined, undefined],
    );
  });

  test('that it is being ended', () => {
    const ending = object('pod', { metadata: { deletionTimestamp: '2026-01-01T01:00:00Z' } });
    assert.equal(observePod(ending).terminating, true);
  });

  test('the port of the node: its own, or on the network of the node the one it listens on', () => {
    const ports = [{ name: 'relay', containerPort: 4001 }];
    assert.equal(hostPortOf({ hostNetwork: true, containers: [{ name: 'relay', ports }] }), 4001);
    assert.equal(hostPortOf({ containers: [{ name: 'relay', ports }] }), undefined);
    const health = [{ name: 'health', hostPort: 9091 }];
    assert.equal(hostPortOf({ containers: [{ name: 'relay', ports: health }] }), undefined);
    assert.equal(hostPortOf(undefined), undefined);
  });

  for (const [text, sessions] of [
    ['--max-sessions=0', 0],
    ['--max-sessions=', undefined],
    ['--max-sessions=many', undefined],
    ['--max-sessions=1.5', undefined],
    ['--max-sessions=-1', undefined],
  ] as const)
    test(`${text} allows ${sessions ?? 'nobody knows how many'}`, () => {
      const pod = object('pod', { spec: { containers: [{ name: 'relay', args: [text] }] } });
      assert.equal(observePod(pod).maxSessions, sessions);
    });
});

suite('why a pod is not running', () => {
  test('no node has room', () => {
    const refused = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes' };
    assert.deepEqual(waiting({}, { conditions: [refused] }), {
      reason: 'Unschedulable',
      message: '0/3 nodes',
    });
  });

  test('what it said before it ended last', () => {
    assert.deepEqual(
      waiting({
        state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s restarting' } },
        lastState: {
          terminated: { exitCode: 64, message: '{"level":"info"}\nwrong flag\n', reason: 'Error' },
        },
      }),
      { reason: 'CrashLoopBackOff', message: 'it keeps ending (exit code 64: wrong flag)' },
    );
    const killed = waiting({
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 137, reason: 'OOMKilled', message: 'Relay listening' } },
    });
    assert.equal(killed!.message, 'it keeps ending (exit code 137, OOMKilled: Relay listening)');
    const retried = waiting({
      state: { waiting: { reason: 'CreateContainerConfigError', message: 'secret "token" not found' } },
      lastState: { terminated: { exitCode: 1 } },
    });
    assert.equal(retried!.message, 'secret "token" not found (exit code 1)');
  });

  test('of long last words the end is kept', () => {
    const message = `${'x'.repeat(5000)} the end`;
    const said = waiting({ state: { waiting: { reason: 'CreateContainerError', message } } })!.message;
    assert.equal(said.length, 512);
    assert.match(said, /the end$/);
  });

  test('nothing when its container runs, or has ended', () => {
    assert.equal(waiting({ state: { running: {} } }), undefined);
    assert.equal(waiting({ state: { terminated: { exitCode: 1 } } }), undefined);
  });

  // As kubelets say it: with the cause since 1.32, without it before (pkg/kubelet/images/image_manager.go).
  const image = 'ghcr.io/wavry/wavry-rely:0.1.0';
  const tries = [
    { reason: 'ErrImagePull', message: 'dial tcp 10.0.0.1:41234->10.0.0.2:443: i/o timeout' },
    { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}"` },
    { reason: 'ErrImagePull', message: 'dial tcp 10.0.0.1:55555->10.0.0.2:443: i/o timeout' },
    {
      reason: 'ImagePullBackOff',
      message: `Back-off pulling image "${image}": ErrImagePull: dial tcp 10.0.0.1:55555->10.0.0.2:443: i/o timeout`,
    },
    { reason: 'RegistryUnavailable', message: 'the registry is away' },
  ];

  test('an image that can’t be pulled is one thing, however the tries to pull it take turns', () => {
    for (const state of tries) {
      assert.deepEqual(waiting({ image, state: { waiting: state } }), {
        reason: 'ImagePullBackOff',
        message: `"${image}" can't be pulled`,
      });
    }
  });

  test('while it can’t be pulled neither status nor events change', () => {
    const cluster = new ModelCluster({
      master: { url: 'https://master.example.com' },
      image,
      replicas: 1,
    });
    cluster.broken.add(image);
    cluster.step();
    cluster.advance(2000);
    cluster.step();
    const model = [...cluster.relays.values()][0]!;
    const said = tries.map((state) => {
      const status = {
        phase: 'Pending',
        containerStatuses: [{ name: 'relay', image, state: { waiting: state } }],
      };
      const { waiting, phase } = observePod(object('pod', { status }));
      model.pod = { ...model.pod!, phase, waiting };
      const { status: next, events } = plan({ ...cluster.world(), polls: new Map() });
      cluster.status = next;
      return { next, events };
    });
    const ready = said[0]!.next.conditions!.find(({ type }) => type === 'Ready')!;
    assert.equal(ready.reason, 'ImageUnavailable');
    assert.match(
      ready.message,
      /wavry-rely:0\.1\.0" can't be pulled; correct spec\.image, or spec\.pod\.imagePullSecrets \("kubectl describe pod \S+" says why\)$/,
    );
    assert.match(said[0]!.next.relays![0]!.reason!, /^ImageUnavailable: pod \S+: .*can't be pulled/);
    for (const one of said.slice(1)) assert.deepEqual(one, said[1]);
    assert.deepEqual(said[1]!.next, said[0]!.next);
  });
});
