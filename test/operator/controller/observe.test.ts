import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { Label } from '../../../operator/api/meta.ts';
import { spec as specType } from '../../../operator/api/spec.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import {
  observe,
  observeFleet,
  observeRelays,
  type Surroundings,
} from '../../../operator/controller/observe.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import type { KubeObject, ObjectMeta } from '../../../operator/kube/object.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { ObservedFleet, ObservedService, World } from '../../../operator/plan/world.ts';
import { controlledBy, object } from './objects.ts';

const FLEET_UID = 'fleet-uid';
const around: Surroundings = {
  nowMs: Date.UTC(2026, 0, 2),
  fieldManager: 'wavry-relay-operator',
  polls: new Map(),
  pollsComplete: true,
  metricsApi: { state: 'ours', message: '' },
  master: undefined,
  resolve: () => [],
  foreign: new Map(),
  failures: new Map(),
  unknownFields: [],
  referenceProblems: [],
  mayRollOut: true,
  plannedPorts: new Map(),
};

/** Stores that hold these objects; it watches nothing, so that nobody is asked. */
function view(...objects: readonly KubeObject[]): ClusterView {
  const cluster = new ClusterView({
    client: {} as KubeClient,
    namespaces: [],
    random: () => 0.5,
    onFleet: () => {},
    onNodes: () => {},
    onProblem: (message) => assert.fail(message),
  });
  for (const one of objects) {
    if (one.kind === 'Node') cluster.nodes.put(one);
    else cluster.written(one);
  }
  return cluster;
}

function fleet(spec: object = {}): ObservedFleet {
  const whole = specType.parse({ master: { url: 'https://master.example.com' }, ...spec });
  return observeFleet(object('games', { metadata: { uid: FLEET_UID } }), whole, {
    defaultImage: 'relay:1',
    runbooks: '',
  });
}

function world(objects: readonly KubeObject[], of: ObservedFleet = fleet(), more: object = {}): World {
  return observe(view(...objects), of, { ...around, ...more });
}

/** An object that carries the label of the fleet. */
function labelled(
  kind: string,
  name: string,
  { metadata, ...body }: { readonly metadata?: Partial<ObjectMeta> } & Readonly<Record<string, unknown>> = {},
): KubeObject {
  const labels = { [Label.fleet]: 'games', ...metadata?.labels };
  return object(name, { kind, ...body, metadata: { ...metadata, labels } });
}

const ours = { ownerReferences: controlledBy('WavryRelay', 'games', FLEET_UID) };
const NAME = 'games-0123abcd-0';

function pod(name: string, owner: string, relay = NAME): KubeObject {
  const labels = { [Label.relay]: relay };
  return labelled('Pod', name, {
    metadata: { labels, ownerReferences: controlledBy('ReplicaSet', owner, 'set-uid') },
  });
}

suite('what is seen of a fleet', () => {
  test('a fleet, as its object says', () => {
    const seen = observeFleet(
      object('games', {
        metadata: { uid: FLEET_UID, generation: 3 },
        status: { replicas: 2 },
      }),
      fleet().spec,
      { defaultImage: 'relay:1', runbooks: 'https://example.com/runbooks' },
    );
    assert.deepEqual(
      [seen.namespace, seen.generation, seen.createdMs, seen.status],
      ['games', 3, Date.UTC(2026, 0, 1), { replicas: 2 }],
    );
    assert.deepEqual([seen.defaultImage, seen.runbooks], ['relay:1', 'https://example.com/runbooks']);
  });

  test('relays are the Deployments that it controls, whatever labels others write', () => {
    const seen = view(
      labelled('Deployment', NAME, { metadata: ours }),
      labelled('Deployment', 'games-0123abcd-1'),
      labelled('Deployment', 'games-0123abcd-2', {
        metadata: { ownerReferences: controlledBy('WavryRelay', 'games', 'gone-uid') },
      }),
    );
    const relays = observeRelays(
      seen,
      object('games', { metadata: { uid: FLEET_UID } }),
      'wavry-relay-operator',
    );
    assert.deepEqual(
      relays.map(({ name }) => name),
      [NAME],
    );
  });

  test('pods count by way of a ReplicaSet of their relay', () => {
    const seen = world([
      pod('real', `${NAME}-5f6d`),
      pod('of-another', 'games-0123abcd-10-5f6d'),
      pod('without-relay', `${NAME}-5f6d`, ''),
      labelled('Pod', 'by-hand', { metadata: { labels: { [Label.relay]: NAME } } }),
    ]);
    assert.deepEqual(
      seen.pods.map(({ name }) => name),
      ['real'],
    );
  });

  test('nodes: addresses of both types, and since when one is not ready', () => {
    const TAINTED = { unschedulable: true, taints: [{ key: 'gpu', value: 'yes', effect: 'NoExecute' }] };
    const node = (name: string, status: unknown): KubeObject =>
      object(name, { kind: 'Node', metadata: { labels: { zone: 'a' } }, spec: TAINTED, status });
    const { nodes } = world([
      node('well', {
        addresses: [
          { type: 'Hostname', address: 'well' },
          { type: 'ExternalIP', address: '203.0.113.1' },
          { type: 'InternalIP', address: '10.0.0.1' },
          { type: 'InternalIP', address: 'fd00::1' },
        ],
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }],
      }),
      node('lost', {
        conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: '2026-01-01T12:00:00Z' }],
      }),
      node('new', undefined),
    ]);
    assert.deepEqual(nodes.get('well'), {
      name: 'well',
      labels: { zone: 'a' },
      taints: [...TAINTED.taints, { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
      notReadySinceMs: undefined,
      readySinceMs: Date.UTC(2026, 0, 1),
      externalIPs: ['203.0.113.1'],
      internalIPs: ['10.0.0.1', 'fd00::1'],
    });
    assert.equal(nodes.get('lost')!.notReadySinceMs, Date.UTC(2026, 0, 1, 12));
    assert.equal(nodes.get('lost')!.readySinceMs, undefined);
    assert.equal(nodes.get('new')!.notReadySinceMs, Date.UTC(2026, 0, 1), 'since it is there');
  });

  test('whose the objects are that carry its names', () => {
    const { owned } = world(
      [
        labelled('ServiceAccount', 'ours', { metadata: ours }),
        labelled('ConfigMap', 'earlier', {
          metadata: { ownerReferences: controlledBy('WavryRelay', 'games', 'gone-uid') },
        }),
        labelled('NetworkPolicy', 'nobody'),
        labelled('PodDisruptionBudget', 'helm', {
          metadata: { labels: { 'app.kubernetes.io/managed-by': 'Helm' } },
        }),
        labelled('Service', 'endpoint', {
          metadata: { ownerReferences: controlledBy('Pod', 'a-pod', 'pod-uid') },
        }),
      ],
      fleet(),
      {
        foreign: new Map([['Service/x', { uid: 'u', ours: false, earlier: false, ownerText: 'a person' }]]),
      },
    );
    const said = (key: string): unknown[] => {
      const { ours, earlier, ownerText } = owned.get(key)!;
      return [ours, earlier, ownerText];
    };
    assert.deepEqual(said('ServiceAccount/ours'), [true, false, 'another WavryRelay named games']);
    assert.deepEqual(said('ConfigMap/earlier'), [false, true, 'another WavryRelay named games']);
    assert.deepEqual(said('NetworkPolicy/nobody'), [false, false, 'somebody else (it has no owner)']);
    assert.deepEqual(said('PodDisruptionBudget/helm'), [false, false, 'somebody else (managed by Helm)']);
    assert.deepEqual(said('Service/endpoint').slice(0, 2), [true, false], 'it belongs to a pod of ours');
    assert.equal(owned.get('Service/x')!.ownerText, 'a person');
  });
});

suite('the address that a Service gives a pod', () => {
  function service(ingress: unknown, resolve: Surroundings['resolve'] = () => []): ObservedService {
    const metadata = { ownerReferences: controlledBy('Pod', 'a-pod', 'pod-uid') };
    const spec = { type: 'LoadBalancer', loadBalancerClass: 'a/b', ports: [{ nodePort: 31_000 }] };
    const body = { metadata, spec, status: { loadBalancer: { ingress } } };
    return world([labelled('Service', 'endpoint', body)], fleet(), { resolve }).endpointServices.get(
      'pod-uid',
    )!;
  }

  test('none yet', () => {
    assert.deepEqual(service(undefined), {
      name: 'endpoint',
      type: 'LoadBalancer',
      loadBalancerClass: 'a/b',
      nodePort: 31_000,
      addresses: [],
      hostnames: [],
      problem: undefined,
    });
  });

  test('addresses, and those of its host names', () => {
    const resolve = (name: string): string[] => (name === 'lb.example.com' ? ['203.0.113.9'] : []);
    const seen = service([{ hostname: 'lb.example.com' }, { ip: '203.0.113.1' }], resolve);
    assert.deepEqual(
      [seen.addresses, seen.hostnames, seen.problem],
      [['203.0.113.1', '203.0.113.9'], ['lb.example.com'], undefined],
    );
  });

  test('a host name that doesn’t resolve is told', () => {
    assert.match(service([{ hostname: 'lb.example.com' }]).problem!, /lb\.example\.com doesn't resolve yet/);
  });

  test('a Service that belongs to no pod gives none', () => {
    assert.equal(world([labelled('Service', 'metrics', { metadata: ours })]).endpointServices.size, 0);
  });
});

test('whatever labels and annotations people write on what belongs to a fleet, there is a plan', () => {
  const texts = fc.dictionary(
    fc.constantFrom(...Object.values(Label), 'wavry.dev/draining', 'wavry.dev/endpoints', '__proto__'),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(texts, texts, (labels, annotations) => {
      const metadata = { labels: { ...labels, [Label.fleet]: 'games' }, annotations };
      const objects = [
        labelled('Deployment', NAME, { metadata: { ...metadata, ...ours } }),
        labelled('Pod', 'pod', {
          metadata: {
            ...metadata,
            ownerReferences: controlledBy('ReplicaSet', `${labels[Label.relay]}-1`, 's'),
          },
        }),
        labelled('Service', 'endpoint', {
          metadata: { ...metadata, ownerReferences: controlledBy('Pod', 'pod', 'uid-of-pod') },
        }),
      ];
      const { status } = plan(world(objects));
      assert.ok(status.relays!.some(({ name }) => name === NAME));
    }),
  );
});
