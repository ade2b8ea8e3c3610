import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { Label } from '../../../operator/api/meta.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { ObservedObject, ObservedPod, World } from '../../../operator/plan/world.ts';
import { endpointServiceName } from '../../../operator/specs/endpoint-service.ts';
import { ModelCluster } from './model-cluster.ts';

const base = { master: { url: 'https://master.example.com' }, size: 'Medium', replicas: 3 };

test('a new fleet gets its relays, and a settled one asks for nothing', () => {
  const cluster = new ModelCluster(base);
  assert.equal(cluster.step().create.length, 3);
  cluster.settle();
  assert.equal(cluster.serving().length, 3);
  const idle = cluster.step();
  assert.deepEqual(
    [idle.create, idle.restore, idle.relayPatches, idle.podPatches, idle.deletions, idle.master],
    [[], [], [], [], [], []],
  );
  assert.equal(idle.status.conditions?.find((entry) => entry.type === 'Ready')?.status, 'True');
});

test('planning the same world twice gives the same plan, and no name twice', () => {
  const cluster = new ModelCluster(base);
  const world = cluster.world();
  assert.deepEqual(plan(world), plan(world));
});

test('a rollout never serves less than asked, and loses no session', () => {
  const cluster = new ModelCluster(base);
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = 7;
  cluster.edit({ image: 'relay:2' });
  for (let step = 0; step < 200; step += 1) {
    cluster.step();
    cluster.advance(1000);
    assert.ok(cluster.serving().length >= 3, `only ${cluster.serving().length} serve at step ${step}`);
    assert.ok(cluster.relays.size <= 3 + 1 + 3, 'the surge stays bounded');
    if (step > 40)
      for (const model of cluster.relays.values())
        if (model.draining) model.sessions = Math.max(0, model.sessions - 1);
  }
  assert.deepEqual(cluster.lost, []);
  assert.equal(cluster.relays.size, 3);
  assert.equal(new Set([...cluster.relays.values()].map((model) => model.relay.revision)).size, 1);
});

test('a revision that never registers stops the rollout with the old one serving', () => {
  const cluster = new ModelCluster(base);
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = 5;
  cluster.broken.add('relay:bad');
  cluster.edit({ image: 'relay:bad' });
  for (let step = 0; step < 700; step += 1) {
    cluster.step();
    cluster.advance(1000);
    assert.equal(cluster.serving().length, 3);
  }
  const progressing = cluster.status?.conditions?.find((entry) => entry.type === 'Progressing');
  assert.equal(progressing?.status, 'False');
  assert.match(progressing?.message ?? '', /registered within 10m/);
  cluster.edit({ image: undefined });
  for (let step = 0; step < 20; step += 1) {
    cluster.step();
    cluster.advance(1000);
  }
  assert.equal(cluster.relays.size, 3);
  assert.deepEqual(cluster.lost, []);
});

test('another load balancer class makes new relays, and leaves the Services of those that drain as they are', () => {
  const exposure = (loadBalancerClass: string): Record<string, unknown> => ({
    exposure: { type: 'LoadBalancer', serviceTemplate: { loadBalancerClass } },
  });
  const cluster = new ModelCluster({ ...base, replicas: 1, ...exposure('a.example.com/one') });
  cluster.settle();
  const services = (world: World): unknown[] =>
    plan(world)
      .apply.filter(({ kind, metadata }) => kind === 'Service' && metadata.labels?.[Label.relay])
      .map((service) => (service['spec'] as { loadBalancerClass?: string }).loadBalancerClass);
  assert.deepEqual(services(cluster.world()), ['a.example.com/one']);

  cluster.edit(exposure('b.example.com/two'));
  const world = cluster.world();
  assert.equal(plan(world).create.length, 1);
  assert.deepEqual(services(world), ['a.example.com/one'], 'a class is never changed');
});

test('a pod that its node ended keeps no Service, whose load balancer would be paid for', () => {
  const cluster = new ModelCluster({ ...base, replicas: 1, exposure: { type: 'LoadBalancer' } });
  cluster.settle();
  const world = cluster.world();
  const [pod] = world.pods;
  const service = (uid: string): [string, ObservedObject] => [
    `Service/${endpointServiceName({ ...pod!, uid })}`,
    { uid: `service-of-${uid}`, ours: true, earlier: false, ownerText: '' },
  ];
  for (const phase of ['Failed', 'Succeeded']) {
    const ended = { ...pod!, name: 'ended', uid: 'ended', phase };
    const seen = { ...world, pods: [ended, pod!], owned: new Map([service('ended'), service(pod!.uid)]) };
    const decided = plan(seen);
    assert.deepEqual(
      decided.deletions.map(({ kind, name, uid }) => [`${kind}/${name}`, uid]),
      [[service('ended')[0], 'service-of-ended']],
    );
    assert.deepEqual(
      decided.apply.filter(({ kind, metadata }) => `${kind}/${metadata.name}` === service('ended')[0]),
      [],
    );
    const others = new Map([[service('ended')[0], { ...service('ended')[1], ours: false }]]);
    assert.deepEqual(plan({ ...seen, owned: others }).deletions, [], 'what others own is theirs');
  }
});

test('the network policy is held by the pods, oldest first, so that it outlasts a deleted fleet', () => {
  const cluster = new ModelCluster(base);
  const holders = (pods: World['pods']): (readonly [string, string])[] =>
    plan({ ...cluster.world(), pods })
      .apply.find(({ kind }) => kind === 'NetworkPolicy')!
      .metadata.ownerReferences!.map(({ kind, name }) => [kind, name] as const);
  cluster.settle();
  const [pod] = cluster.world().pods;
  const aged = (name: string, createdMs: number, more: object = {}): ObservedPod => ({
    ...pod!,
    name,
    uid: name,
    createdMs,
    ...more,
  });
  assert.deepEqual(
    holders([aged('b', 2), aged('ended', 0, { phase: 'Failed' }), aged('c', 2), aged('a', 1)]),
    [
      ['WavryRelay', 'fleet'],
      ['Pod', 'a'],
      ['Pod', 'b'],
      ['Pod', 'c'],
    ],
  );
  assert.deepEqual(holders([aged('a', 1, { terminating: true })])[1], ['Pod', 'a']);
  const many = Array.from({ length: 3000 }, (_, age) => aged(`pod-${age}`, age));
  assert.equal(holders(many).length, 1 + 100);
  assert.deepEqual(holders(many), holders(many.toReversed()));
});

test('a reverted spec takes draining relays back instead of making new ones', () => {
  const cluster = new ModelCluster(base);
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = 5;
  const before = new Set(cluster.relays.keys());
  cluster.edit({ image: 'relay:2' });
  for (let step = 0; step < 8; step += 1) {
    cluster.step();
    cluster.advance(1000);
  }
  assert.ok(
    [...cluster.relays.values()].some((model) => model.draining),
    'the rollout is half way',
  );
  cluster.edit({ image: undefined });
  for (let step = 0; step < 60; step += 1) {
    cluster.step();
    cluster.advance(1000);
  }
  assert.deepEqual(new Set(cluster.relays.keys()), before);
  assert.ok([...cluster.relays.values()].every((model) => !model.draining));
  assert.deepEqual(cluster.lost, []);
});

test('any sequence of edits, sessions and time ends where the spec says and loses no session', () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant('replicas' as const), value: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant('image' as const), value: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('sessions' as const), value: fc.integer({ min: 0, max: 9 }) }),
    fc.record({ kind: fc.constant('wait' as const), value: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ kind: fc.constant('master' as const), value: fc.integer({ min: 0, max: 1 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
      const cluster = new ModelCluster(base);
      for (const { kind, value } of actions) {
        if (kind === 'replicas') cluster.edit({ replicas: value });
        if (kind === 'image') cluster.edit({ image: `relay:${value}` });
        if (kind === 'master') cluster.master = value === 0 ? undefined : new Map();
        if (kind === 'sessions') {
          for (const model of cluster.relays.values()) {
            model.sessions = model.draining ? Math.min(model.sessions, value) : value;
          }
        }
        for (let step = 0; step < (kind === 'wait' ? value : 1); step += 1) {
          cluster.step();
          cluster.advance(1000);
        }
      }
      for (let step = 0; step < 120; step += 1) {
        cluster.step();
        cluster.advance(1000);
        for (const model of cluster.relays.values()) if (model.draining) model.sessions = 0;
      }
      assert.deepEqual(cluster.lost, []);
      assert.equal(cluster.relays.size, cluster.spec.replicas);
      assert.ok([...cluster.relays.values()].every((model) => !model.draining));
    }),
    { numRuns: 200 },
  );
});

test('an operator that can’t ask a relay keeps what the one before it was told, and counts it', () => {
  const cluster = new ModelCluster(base);
  cluster.settle();
  const [silent, ...others] = [...cluster.relays.values()];
  silent!.sessions = 90;
  for (const model of others) model.sessions = 10;
  cluster.step();
  const uid = silent!.pod!.uid;
  for (let step = 0; step < 3; step += 1) {
    const world = cluster.world();
    const never = { ...world.polls.get(uid)!, answeredMs: 0, totalSessions: 0, error: 'ECONNREFUSED' };
    const polls = new Map([...world.polls, [uid, never]]);
    const { status } = plan({ ...world, polls, master: undefined });
    assert.equal(status.relays?.find((relay) => relay.relayId === uid)?.sessions, 90);
    assert.equal(status.totalSessions, 110);
    cluster.status = status;
  }
});

test('relays of a lost node are replaced, and the surplus drains when it returns', () => {
  const cluster = new ModelCluster({ ...base, replicas: 4 });
  cluster.settle();
  const node = [...cluster.relays.values()][0]!.pod!.node!;
  const there = [...cluster.relays.values()].filter((model) => model.pod?.node === node).length;
  cluster.setNodeReady(node, false);
  cluster.advance(10_000);
  assert.equal(cluster.step().create.length, 0, 'not before 20 s');
  cluster.advance(11_000);
  assert.equal(cluster.step().create.length, there);
  cluster.settle();
  cluster.setNodeReady(node, true);
  for (let step = 0; step < 30; step += 1) {
    cluster.step();
    cluster.advance(1000);
  }
  assert.equal(cluster.relays.size, 4);
  assert.deepEqual(cluster.lost, []);
});

test('a node without the wanted address is explained, with the field to set', () => {
  const cluster = new ModelCluster({ ...base, replicas: 1 });
  for (const [name, node] of cluster.nodes) cluster.nodes.set(name, { ...node, externalIPs: [] });
  cluster.step();
  cluster.advance(2000);
  const { status } = cluster.step();
  assert.match(status.relays?.[0]?.reason ?? '', /NoNodeAddress: .*addressType to InternalIP/);
});
