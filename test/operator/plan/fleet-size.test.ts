import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { plan } from '../../../operator/plan/plan.ts';
import { ModelCluster, type ModelRelay } from './model-cluster.ts';

const SESSIONS = 30;

/** A fleet in service, each relay with sessions. */
function fleetOf(replicas: number, spec: Record<string, unknown> = {}): ModelCluster {
  const cluster = new ModelCluster({ master: { url: 'https://master.example.com' }, replicas, ...spec });
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = SESSIONS;
  return cluster;
}

function run(cluster: ModelCluster, seconds: number): void {
  for (let second = 0; second < seconds; second += 1) {
    cluster.step();
    cluster.advance(1000);
  }
}

function relays(cluster: ModelCluster): ModelRelay[] {
  return [...cluster.relays.values()];
}

function draining(cluster: ModelCluster): ModelRelay[] {
  return relays(cluster).filter(({ relay }) => relay.drainingSinceMs !== undefined);
}

function inService(cluster: ModelCluster): number {
  return cluster.serving().filter(({ relay }) => relay.drainingSinceMs === undefined).length;
}

function progressing(cluster: ModelCluster): string {
  const condition = cluster.status?.conditions?.find(({ type }) => type === 'Progressing');
  return `${condition?.status} ${condition?.reason}: ${condition?.message}`;
}

function budget(cluster: ModelCluster): unknown {
  const object = cluster.step().apply.find(({ kind }) => kind === 'PodDisruptionBudget')!;
  return (object['spec'] as { minAvailable: number }).minAvailable;
}

suite('relays that lose their registration', () => {
  test('in a rollout don’t go before others serve in their place', () => {
    const cluster = fleetOf(10);
    cluster.edit({ image: 'relay:2' });
    run(cluster, 7);
    const before = draining(cluster).length;
    for (const model of relays(cluster)) model.unregistered = true;
    run(cluster, 30);
    assert.equal(draining(cluster).length, before);
    for (const model of relays(cluster)) model.unregistered = false;
    for (let second = 0; second < 200; second += 1) {
      run(cluster, 1);
      assert.ok(inService(cluster) >= 10, `${inService(cluster)} serve`);
    }
    assert.equal(draining(cluster).length, 10, 'the rollout has gone on');
  });

  test('for good are replaced in the end, once another revision serves', () => {
    const cluster = fleetOf(3);
    for (const model of relays(cluster)) model.registersAtMs = Infinity;
    run(cluster, 5);
    cluster.edit({ image: 'relay:2' });
    run(cluster, 60);
    assert.equal(draining(cluster).length, 0, 'they hold sessions');
    run(cluster, 600);
    assert.equal(draining(cluster).length, 3);
    assert.equal(inService(cluster), 3);
    assert.deepEqual(cluster.lost, []);
  });

  test('and hold nobody go before those that Master hands out, though their kubelets call them ready', () => {
    const cluster = fleetOf(4);
    for (const model of relays(cluster)) model.sessions = 0;
    const [oldest] = relays(cluster);
    oldest!.unregistered = true;
    assert.equal(oldest!.pod!.ready, true);
    cluster.edit({ replicas: 3 });
    cluster.step();
    assert.deepEqual(draining(cluster), [oldest]);
    assert.equal(inService(cluster), 3);
  });

  test('and hold nobody go with the first that could take their place', () => {
    const cluster = new ModelCluster({ master: { url: 'https://master.example.com' }, replicas: 3 });
    cluster.broken.add('relay:1');
    run(cluster, 60);
    cluster.edit({ image: 'relay:2' });
    run(cluster, 15);
    assert.equal(inService(cluster), 3);
  });
});

suite('fewer relays and more again', () => {
  for (const kind of ['paused', 'broken'] as const) {
    test(`while the rollout is ${kind}: the same relays serve again, and none is made`, () => {
      const cluster = fleetOf(6);
      cluster.broken.add('relay:broken');
      cluster.edit(
        kind === 'paused' ? { image: 'relay:2', rollout: { paused: true } } : { image: 'relay:broken' },
      );
      run(cluster, 700);
      const before = new Set(cluster.relays.keys());
      const said = progressing(cluster);
      cluster.edit({ replicas: 2 });
      run(cluster, 60);
      assert.deepEqual(
        new Set(draining(cluster).map(({ relay }) => relay.drainReason)),
        new Set(['ScaleDown']),
      );
      assert.equal(inService(cluster), 2);
      cluster.edit({ replicas: 6 });
      for (let second = 0; second < 60; second += 1) {
        run(cluster, 1);
        if (kind === 'broken') assert.equal(progressing(cluster), said);
      }
      assert.equal(inService(cluster), 6);
      assert.deepEqual(new Set(cluster.relays.keys()), before);
      assert.deepEqual(cluster.lost, []);
    });
  }

  test('while the rollout waits for those of others', () => {
    const cluster = fleetOf(4);
    cluster.edit({ image: 'relay:2', replicas: 2 });
    run(cluster, 1);
    assert.ok(draining(cluster).length > 0);
    cluster.edit({ replicas: 4 });
    const decided = plan({ ...cluster.world(), mayRollOut: false });
    assert.deepEqual(decided.create, []);
    assert.ok(decided.events.some(({ reason }) => reason === 'DrainTakenBack'));
  });
});

suite('a rollout that gets stuck half way', () => {
  /** Only the first relay of the new revision ever registers. */
  function halfWay(): ModelCluster {
    const cluster = fleetOf(4);
    cluster.edit({ image: 'relay:2' });
    let first: string | undefined;
    for (let second = 0; second < 700; second += 1) {
      const { status } = cluster.step();
      for (const model of relays(cluster)) {
        if (model.relay.revision !== status.targetRevision) continue;
        first ??= model.relay.name;
        if (model.relay.name !== first) model.registersAtMs = Infinity;
      }
      cluster.advance(1000);
    }
    return cluster;
  }

  test('is told, and makes room for the rollouts of others', () => {
    const cluster = halfWay();
    assert.match(
      progressing(cluster),
      /^False NotRegistered: no further relay of the new revision registered within 10m/,
    );
    assert.equal(inService(cluster), 4);
  });

  test('goes on when that relay serves after all', () => {
    const cluster = halfWay();
    for (const model of relays(cluster)) if (model.registersAtMs === Infinity) model.registersAtMs = 0;
    run(cluster, 60);
    assert.doesNotMatch(progressing(cluster), /^False/);
    assert.equal(draining(cluster).length, 4);
  });
});

test('a relay whose node returns isn’t drained before it was asked', () => {
  const cluster = fleetOf(3);
  const { pod } = relays(cluster)[0]!;
  const stale = cluster.world().polls.get(pod!.uid)!;
  cluster.setNodeReady(pod!.node!, false);
  run(cluster, 900);
  const standIns = relays(cluster).filter((model) => model.sessions === 0);
  for (const model of standIns) model.sessions = 1;
  cluster.setNodeReady(pod!.node!, true);
  cluster.advance(1000);
  const world = cluster.world();
  const unheard = plan({
    ...world,
    pods: world.pods.map((entry) => (entry.uid === pod!.uid ? { ...entry, ready: false } : entry)),
    polls: new Map([...world.polls, [pod!.uid, { ...stale, error: 'connect ETIMEDOUT' }]]),
  });
  assert.deepEqual(
    unheard.relayPatches.filter(({ name }) => !standIns.some(({ relay }) => relay.name === name)),
    [],
  );
  run(cluster, 2);
  assert.deepEqual(draining(cluster), standIns);
});

test('of relays that can’t be asked but are ready, those with most sessions stay', () => {
  const cluster = fleetOf(3);
  const [silent, ...others] = relays(cluster);
  for (const model of others) model.sessions = 1;
  cluster.step();
  cluster.edit({ replicas: 2 });
  const world = cluster.world();
  const uid = silent!.pod!.uid;
  const polls = new Map([
    ...world.polls,
    [uid, { ...world.polls.get(uid)!, answeredMs: world.nowMs - 60_000, error: 'connect ETIMEDOUT' }],
  ]);
  const [patch] = plan({ ...world, polls }).relayPatches;
  assert.notEqual(patch?.name, silent!.relay.name);
});

suite('relays that have stopped serving', () => {
  test('for a moment are no stuck rollout', () => {
    const cluster = fleetOf(2);
    run(cluster, 3600);
    for (const model of relays(cluster)) model.unregistered = true;
    run(cluster, 2);
    assert.match(progressing(cluster), /^True/);
  });

  test('for long are told of, without blaming a spec that worked', () => {
    const cluster = fleetOf(2);
    run(cluster, 60);
    for (const model of relays(cluster)) model.unregistered = true;
    run(cluster, 700);
    assert.match(
      progressing(cluster),
      /^False NotRegistered: no relay has served for 10m: .*not registered yet$/,
    );
  });
});

test('the disruption budget leaves out relays that don’t come to serve', () => {
  const cluster = fleetOf(3);
  assert.equal(budget(cluster), 2);
  cluster.edit({ replicas: 4 });
  cluster.step();
  const added = relays(cluster)[3]!;
  added.registersAtMs = Infinity;
  run(cluster, 60);
  assert.equal(budget(cluster), 3);
  run(cluster, 600);
  assert.equal(budget(cluster), 2);
  added.registersAtMs = 0;
  run(cluster, 2);
  assert.equal(budget(cluster), 3);
});

test('a relay whose port its ending pod holds is stood in for at another port', () => {
  const cluster = fleetOf(2, { exposure: { type: 'HostPort', portRange: '4000-4003' } });
  const world = cluster.world();
  const [held] = world.pods;
  const next = {
    ...held!,
    uid: 'next',
    name: 'next',
    node: undefined,
    phase: 'Pending',
    ready: false,
    readyChangedMs: undefined,
    startedMs: undefined,
    createdMs: world.nowMs,
    waiting: {
      reason: 'Unschedulable',
      message: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    },
  };
  const pods = [...world.pods.slice(1), { ...held!, terminating: true }, next];
  assert.deepEqual(plan({ ...world, pods }).create, []);
  const later = plan({ ...world, pods, nowMs: world.nowMs + 20_000 });
  assert.equal(later.create.length, 1);
  assert.doesNotMatch(JSON.stringify(later.create), /"hostPort":4000/);
  assert.match(
    later.events.find(({ reason }) => reason === 'RelayCreated')!.message,
    /port is held by the pod before it/,
  );
  assert.match(
    later.status.relays!.find(({ pod }) => pod === 'next')!.reason!,
    /PortHeld: .*needs port 4000/,
  );
});
