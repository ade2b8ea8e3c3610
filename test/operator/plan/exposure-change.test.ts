import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { Annotation } from '../../../operator/api/meta.ts';
import type { RelayExposure } from '../../../operator/api/exposure.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { Plan } from '../../../operator/plan/world.ts';
import { ModelCluster, type ModelRelay } from './model-cluster.ts';

const EXPOSURES: readonly RelayExposure[] = [
  { type: 'HostPort', addressType: 'InternalIP' },
  { type: 'HostNetwork' },
  { type: 'LoadBalancer', serviceTemplate: { annotations: { 'example.com/lb': 'udp' } } },
  { type: 'NodePort' },
  { type: 'PodIP' },
];

/** A fleet whose two relays serve sessions, on ports that only a range of their own gives. */
function servingFleet(exposure: RelayExposure): { cluster: ModelCluster; old: readonly ModelRelay[] } {
  const cluster = new ModelCluster({
    master: { url: 'https://master.example.com' },
    size: 'Medium',
    replicas: 2,
    exposure: { portRange: '4003-4009', ...exposure },
  });
  cluster.settle();
  const old = [...cluster.relays.values()];
  for (const model of old) model.sessions = 7;
  cluster.step();
  return { cluster, old };
}

function advertised(model: ModelRelay): string {
  return model.pod?.annotations[Annotation.endpoints] ?? '';
}

/** Where the process of a relay can be reached, going by what its Deployment and its Service are. */
function listensAt(cluster: ModelCluster, { relay, pod }: ModelRelay): readonly string[] {
  const node = cluster.nodes.get(pod!.node!)!;
  const service = cluster.services.get(pod!.uid);
  const { type } = relay.exposure!;
  if (type === 'PodIP') return [`${pod!.podIP}:4000`];
  if (type === 'LoadBalancer') return service!.addresses.map((address) => `${address}:4000`);
  const port = type === 'NodePort' ? service!.nodePort : relay.port;
  return [...node.externalIPs, ...node.internalIPs].map((address) => `${address}:${port}`);
}

function podServices({ apply }: Plan): Plan['apply'] {
  return apply.filter(({ metadata }) => metadata.ownerReferences?.[0]?.kind === 'Pod');
}

suite('another type of exposure', () => {
  for (const from of EXPOSURES)
    for (const to of EXPOSURES.filter(({ type }) => type !== from.type))
      test(`${from.type} → ${to.type}: relays that serve stay where they are until they go`, () => {
        const { cluster, old } = servingFleet(from);
        const before = old.map(advertised);
        const services = old.map((model) => cluster.services.get(model.pod!.uid));
        cluster.edit({ exposure: to, rollout: { paused: true } });
        cluster.settle();
        assert.deepEqual(old.map(advertised), before, 'while the rollout is held');
        const { status } = cluster.step();
        assert.deepEqual(
          status.relays!.map(({ endpoint }) => endpoint),
          before.map((text) => text.split('\n')[0]),
        );

        cluster.edit({ rollout: {} });
        for (let step = 0; step < 60; step += 1) {
          cluster.step();
          assert.deepEqual(old.map(advertised), before, `at step ${step} of the rollout`);
          cluster.advance(1000);
        }
        assert.deepEqual(
          old.map((model) => cluster.services.get(model.pod!.uid)),
          services,
        );

        for (const model of old) model.sessions = 0;
        for (let step = 0; step < 60; step += 1) {
          cluster.step();
          cluster.advance(1000);
        }
        assert.deepEqual(cluster.lost, []);
        assert.equal(cluster.relays.size, 2);
        for (const model of cluster.relays.values()) {
          assert.equal(model.relay.exposure!.type, to.type);
          assert.ok(listensAt(cluster, model).includes(advertised(model)), advertised(model));
        }
      });

  for (const from of EXPOSURES)
    for (const to of EXPOSURES.filter(({ type }) => type !== from.type))
      test(`${from.type} → ${to.type}: a new pod of a relay that stays is reached as the relay was made`, () => {
        const { cluster, old } = servingFleet(from);
        cluster.edit({ exposure: to, rollout: { paused: true } });
        cluster.evict(old[0]!.relay.name);
        cluster.settle();
        assert.equal(old[0]!.relay.exposure!.type, from.type);
        assert.ok(listensAt(cluster, old[0]!).includes(advertised(old[0]!)), advertised(old[0]!));
      });

  for (const from of EXPOSURES)
    for (const to of EXPOSURES.filter(({ type }) => type !== from.type))
      test(`${from.type} → ${to.type}: relays of a version that wrote nothing down`, () => {
        const { cluster, old } = servingFleet({ type: from.type });
        const before = old.map(advertised);
        for (const model of old) {
          const told = from.type === 'HostPort' || from.type === 'HostNetwork';
          model.relay = { ...model.relay, exposure: told ? { type: from.type } : undefined };
        }
        cluster.edit({ exposure: { type: to.type }, rollout: { paused: true } });
        cluster.settle();
        assert.deepEqual(old.map(advertised), before);
        assert.deepEqual(
          old.map((model) => model.relay.exposure),
          old.map(() => ({ type: from.type })),
          'it is written down now',
        );
        assert.deepEqual(cluster.lost, []);
      });
});

suite('the same type of exposure', () => {
  test('another address of the node is told at once, and is what the relay keeps when the type changes', () => {
    const { cluster, old } = servingFleet({ type: 'HostPort' });
    assert.match(advertised(old[0]!), /^203\.0\.113\.\d:400\d$/);
    cluster.edit({ exposure: { type: 'HostPort', addressType: 'InternalIP' } });
    cluster.settle();
    assert.match(advertised(old[0]!), /^10\.0\.0\.\d:400\d$/);
    cluster.edit({ exposure: { type: 'PodIP' }, rollout: { paused: true } });
    cluster.settle();
    assert.match(advertised(old[0]!), /^10\.0\.0\.\d:400\d$/);
  });

  test('annotations reach the Services that are there, and stay when the type changes', () => {
    const { cluster } = servingFleet({ type: 'LoadBalancer' });
    const annotationsOf = (decided: Plan): unknown =>
      podServices(decided).map(({ metadata }) => metadata.annotations);
    const annotations = { 'example.com/lb': 'udp' };
    cluster.edit({ exposure: { type: 'LoadBalancer', serviceTemplate: { annotations } } });
    assert.deepEqual(annotationsOf(cluster.step()), [annotations, annotations]);
    cluster.edit({ exposure: { type: 'NodePort' }, rollout: { paused: true } });
    assert.deepEqual(annotationsOf(cluster.step()), [annotations, annotations]);
  });

  test('another class of load balancer is for Services to come: one that is there refuses it', () => {
    const { cluster, old } = servingFleet({
      type: 'LoadBalancer',
      serviceTemplate: { loadBalancerClass: 'a/b' },
    });
    cluster.edit({ exposure: { type: 'LoadBalancer', serviceTemplate: { loadBalancerClass: 'c/d' } } });
    cluster.settle();
    assert.deepEqual(cluster.lost, []);
    cluster.evict(old[0]!.relay.name);
    cluster.settle();
    const classes = old.map((model) => cluster.services.get(model.pod!.uid)!.loadBalancerClass);
    assert.deepEqual(classes, ['c/d', 'a/b']);
  });
});

test('what is written down of a relay is written once', () => {
  const { cluster } = servingFleet(EXPOSURES[2]!);
  const world = cluster.world();
  assert.deepEqual(plan(world).relayPatches, []);
  const relays = world.relays.map((relay) => ({ ...relay, exposure: undefined }));
  assert.equal(plan({ ...world, relays }).relayPatches.length, 2);
});
