import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { Label } from '../../../operator/api/meta.ts';
import { spec as specType } from '../../../operator/api/spec.ts';
import { Announcer } from '../../../operator/controller/announcer.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import { Controller, type ControllerOptions } from '../../../operator/controller/controller.ts';
import { hostPorts, type PlannedPorts } from '../../../operator/controller/host-ports.ts';
import { Resolver } from '../../../operator/controller/resolver.ts';
import { KubeError } from '../../../operator/kube/kube-error.ts';
import type { KubeObject, ObjectMeta } from '../../../operator/kube/object.ts';
import { controlledBy, object } from './objects.ts';

function emptyView(): ClusterView {
  return new ClusterView({
    client: {} as never,
    namespaces: [],
    random: () => 0.5,
    onFleet: () => {},
    onNodes: () => {},
    onProblem: (message) => assert.fail(message),
  });
}

const podSpec = (port: number, nodeName?: string): object => ({
  ...(nodeName === undefined ? {} : { nodeName }),
  containers: [{ name: 'relay', ports: [{ name: 'relay', containerPort: port, hostPort: port }] }],
});

function deployment(relay: string, port: number, metadata: Partial<ObjectMeta> = {}): KubeObject {
  return object(relay, {
    kind: 'Deployment',
    metadata: { labels: { [Label.fleet]: 'games' }, ...metadata },
    spec: { template: { spec: podSpec(port) } },
  });
}

function pod(
  name: string,
  relay: string,
  spec: object,
  { phase = 'Running', ...metadata }: Partial<ObjectMeta> & { readonly phase?: string } = {},
): KubeObject {
  return object(name, {
    kind: 'Pod',
    metadata: {
      labels: { [Label.fleet]: 'games', [Label.relay]: relay },
      ownerReferences: controlledBy('ReplicaSet', `${relay}-5f6d`, 'set-uid'),
      ...metadata,
    },
    spec,
    status: { phase },
  });
}

const ENDING = { deletionTimestamp: '2026-01-01T01:00:00Z' };

function held(objects: readonly KubeObject[], planned: PlannedPorts = new Map()): unknown[] {
  const view = emptyView();
  for (const one of objects) view.written(one);
  return hostPorts(view, 'games/games', planned).map(({ port, node }) => [port, node]);
}

suite('ports of nodes that are held', () => {
  test('by a relay once: where its pod is, or anywhere while it has none', () => {
    assert.deepEqual(
      held([
        deployment('a', 4000),
        pod('a-1', 'a', podSpec(4000, 'node-1')),
        deployment('b', 4001),
        deployment('c', 4002),
        pod('c-1', 'c', podSpec(4002)),
      ]),
      [
        [4000, 'node-1'],
        [4002, undefined],
        [4001, undefined],
      ],
    );
  });

  test('by a pod that drains, whether another has taken its place or its Deployment is gone', () => {
    assert.deepEqual(
      held([
        pod('gone-1', 'gone', podSpec(4000, 'node-1'), ENDING),
        deployment('going', 4001, ENDING),
        pod('going-1', 'going', podSpec(4001, 'node-1'), ENDING),
        deployment('evicted', 4002),
        pod('evicted-1', 'evicted', podSpec(4002, 'node-1'), ENDING),
        pod('evicted-2', 'evicted', podSpec(4002, 'node-2')),
        deployment('between', 4003),
        pod('between-1', 'between', podSpec(4003, 'node-2'), ENDING),
      ]),
      [
        [4000, 'node-1'],
        [4001, 'node-1'],
        [4002, 'node-1'],
        [4002, 'node-2'],
        [4003, 'node-2'],
        [4003, undefined],
      ],
    );
  });

  test('not by a pod that has ended, that is no relay’s, or that takes none', () => {
    const none = { containers: [{ name: 'relay', ports: [{ name: 'relay', containerPort: 4000 }] }] };
    assert.deepEqual(
      held([
        pod('failed', 'a', podSpec(4000, 'node-1'), { phase: 'Failed' }),
        pod('over', 'b', podSpec(4001, 'node-1'), { phase: 'Succeeded' }),
        pod('forged', 'c', podSpec(4002, 'node-1'), { ownerReferences: [] }),
        pod('inside', 'd', none),
      ]),
      [],
    );
  });

  test('by what another worker has planned, until it is there', () => {
    const planned = new Map([
      ['games/games', new Map([['own', 4000]])],
      [
        'games/other',
        new Map([
          ['made', 4001],
          ['planned', 4002],
        ]),
      ],
    ]);
    assert.deepEqual(held([deployment('made', 4001)], planned), [
      [4001, undefined],
      [4002, undefined],
    ]);
  });
});

test('fleets that are planned side by side take different ports of the only node', async () => {
  const view = emptyView();
  view.nodes.put(object('node-1', { status: { conditions: [{ type: 'Ready', status: 'True' }] } }));
  let version = 1;
  const answer = async (body: KubeObject, kind: string): Promise<KubeObject> => {
    await turn();
    version += 1;
    return object(body.metadata.name, {
      ...body,
      kind,
      metadata: { ...body.metadata, resourceVersion: `${version}` },
    });
  };
  const client = {
    get: () => Promise.reject(new KubeError(404, 'NotFound', 'not there')),
    create: (resource: { kind: string }, _: string, body: KubeObject) => answer(body, resource.kind),
    apply: (resource: { kind: string }, _: string, _name: string, body: KubeObject) =>
      answer(body, resource.kind),
  };
  const controller = new Controller({
    client,
    writer: client,
    mayWrite: () => true,
    view,
    poller: { polls: new Map(), complete: true },
    masters: { registry: () => undefined, refresh: () => {} },
    resolver: new Resolver({ wallMs: () => 0, onChange: () => {} }),
    announcer: new Announcer({ record: () => {} } as never, () => {}),
    crd: { trimmed: (status: unknown) => status },
    metricsApi: () => ({ state: 'ours', message: '' }),
    fieldManager: 'wavry-relay-operator',
    defaultImage: 'relay:1',
    maxConcurrentRollouts: 1,
    wallMs: () => Date.UTC(2026, 0, 2),
    again: () => {},
    onStatus: () => {},
  } as unknown as ControllerOptions);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    const spec = specType.parse({ master: { url: 'https://master.example.com' }, replicas: 2 });
    view.written(object(name, { kind: 'WavryRelay', metadata: { uid: `fleet-${name}` }, spec }));
  }
  await Promise.all(names.map((name) => controller.reconcile(`games/${name}`)));
  const ports = hostPorts(view, '', new Map()).map(({ port }) => port);
  assert.deepEqual(new Set(ports), new Set([4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007]));
});
