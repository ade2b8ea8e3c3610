import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { plan } from '../../../operator/plan/plan.ts';
import { ModelCluster, type ModelRelay } from './model-cluster.ts';

const base = {
  master: { url: 'https://master.example.com' },
  replicas: 3,
  drain: { timeout: '5m' },
  autoscaling: { minReplicas: 1, maxReplicas: 6 },
};

/** What may befall a fleet. `who` picks a relay, `amount` says how much of it. */
const KINDS = [
  'replicas',
  'fight over replicas',
  'bounds',
  'image',
  'sessions',
  'wait',
  'kill the operator',
  'Master is away',
  'lie',
  'lose a drain wish',
  'lose a pod annotation',
  'evict',
  'rollout restart',
  'lose a node',
  'mend the nodes',
  'silence',
  'delay annotations',
] as const;

type Kind = (typeof KINDS)[number] | 'jump of the clock';
interface Blow {
  readonly kind: Kind;
  readonly who: number;
  readonly amount: number;
}

function blows(...kinds: readonly Kind[]): fc.Arbitrary<Blow[]> {
  const blow = fc.record({
    kind: fc.constantFrom(...kinds),
    who: fc.integer({ min: 0, max: 9 }),
    amount: fc.integer({ min: 0, max: 12 }),
  });
  return fc.array(blow, { maxLength: 30 });
}

/** One second: the operator looks, and does all of what it decided or only the first part. */
function second(cluster: ModelCluster, most?: number): void {
  cluster.step(most);
  cluster.advance(1000);
}

function befall(cluster: ModelCluster, { kind, who, amount }: Blow): void {
  const all: ModelRelay[] = [...cluster.relays.values()];
  const model = all[who % Math.max(1, all.length)];
  const bounds = cluster.spec.autoscaling!;
  const replicas = (wanted: number): void =>
    cluster.edit({ replicas: Math.min(bounds.maxReplicas, Math.max(bounds.minReplicas, wanted)) });
  switch (kind) {
    case 'replicas':
      replicas(amount);
      break;
    case 'fight over replicas':
      for (let turn = 0; turn < amount; turn += 1) {
        cluster.edit({ replicas: turn % 2 === 0 ? who : amount });
        second(cluster);
      }
      replicas(who);
      break;
    case 'bounds':
      cluster.edit({ autoscaling: { minReplicas: 1 + (who % 3), maxReplicas: 3 + amount } });
      cluster.edit({ replicas: Math.min(3 + amount, Math.max(1 + (who % 3), cluster.spec.replicas)) });
      break;
    case 'image':
      cluster.edit({ image: `relay:${amount % 3}` });
      break;
    case 'sessions':
      for (const [index, relay] of all.entries()) {
        if (!cluster.serving().includes(relay)) relay.sessions = Math.min(relay.sessions, amount);
        else relay.sessions = (amount * (index + who)) % 13;
      }
      break;
    case 'wait':
      for (let step = 0; step < amount * 2; step += 1) second(cluster);
      break;
    case 'kill the operator':
      cluster.step(amount);
      break;
    case 'Master is away':
      cluster.master = amount % 2 === 0 ? undefined : new Map();
      break;
    case 'lie':
      if (model) cluster.lies.set(model.relay.name, 1 + amount * 1000);
      break;
    case 'lose a drain wish':
      if (model) model.relay = { ...model.relay, drainingSinceMs: undefined, drainReason: undefined };
      break;
    case 'lose a pod annotation':
      if (model?.pod) model.pod = { ...model.pod, annotations: {} };
      break;
    case 'evict':
      if (model) cluster.evict(model.relay.name);
      break;
    case 'rollout restart':
      if (model) cluster.restart(model.relay.name);
      break;
    case 'lose a node':
      setNode(cluster, who, cluster.nowMs);
      break;
    case 'mend the nodes':
      for (let node = 0; node < 3; node += 1) setNode(cluster, node, undefined);
      break;
    case 'silence':
      cluster.answering = amount % 2 === 0;
      break;
    case 'delay annotations':
      cluster.annotationDelayMs = amount * 5000;
      break;
    case 'jump of the clock':
      cluster.clockOffsetMs += (amount - 6) * 1_200_000;
      break;
  }
  second(cluster);
}

function setNode(cluster: ModelCluster, who: number, notReadySinceMs: number | undefined): void {
  const [name, node] = [...cluster.nodes][who % cluster.nodes.size]!;
  // One node stays, or nothing could ever serve.
  if (notReadySinceMs !== undefined && who % cluster.nodes.size === 0) return;
  cluster.nodes.set(name, { ...node, notReadySinceMs });
}

/** Ends all faults, lets sessions end, and waits far beyond the drain timeout. */
function heal(cluster: ModelCluster): void {
  for (let node = 0; node < 3; node += 1) setNode(cluster, node, undefined);
  cluster.answering = true;
  cluster.annotationDelayMs = 0;
  cluster.master ??= new Map();
  for (let step = 0; step < 400; step += 1) {
    cluster.step();
    cluster.advance(step < 200 ? 1000 : 5000);
    if (step < 20) continue;
    for (const model of cluster.relays.values()) if (model.draining) model.sessions = 0;
    for (const leaving of cluster.leaving) leaving.sessions = 0;
  }
}

function assertAsAsked(cluster: ModelCluster): void {
  const relays = [...cluster.relays.values()];
  const idle = cluster.step();
  assert.equal(relays.length, cluster.spec.replicas);
  assert.deepEqual(
    relays.filter(
      ({ draining, relay, pod }) => draining || relay.drainingSinceMs !== undefined || pod === undefined,
    ),
    [],
    'none is left drained',
  );
  assert.deepEqual(
    new Set(relays.map(({ relay }) => relay.revision)),
    new Set(relays.length > 0 ? [idle.status.targetRevision] : []),
  );
  assert.deepEqual(
    [idle.create, idle.restore, idle.relayPatches, idle.podPatches, idle.deletions, idle.master],
    [[], [], [], [], [], []],
  );
  assert.equal(idle.status.replicas, cluster.spec.replicas);
  assert.equal(idle.status.drainingReplicas, 0);
}

test('whatever befalls a fleet, no session is lost that could have been kept, and it ends as asked', () => {
  fc.assert(
    fc.property(blows(...KINDS), (script) => {
      const cluster = new ModelCluster(base);
      cluster.settle();
      for (const blow of script) befall(cluster, blow);
      heal(cluster);
      assert.deepEqual(cluster.lost, []);
      assertAsAsked(cluster);
    }),
    { numRuns: 120 },
  );
});

test('an operator that is killed at every step comes to the same end as one that never is', () => {
  fc.assert(
    fc.property(
      blows('replicas', 'image', 'sessions', 'wait', 'evict'),
      fc.infiniteStream(fc.integer({ min: 0, max: 4 })),
      (script, cuts) => {
        const ends = [true, false].map((killed) => {
          const cluster = new ModelCluster(base);
          cluster.settle();
          for (const blow of script) {
            befall(cluster, blow);
            if (killed) for (let step = 0; step < 8; step += 1) second(cluster, cuts.next().value);
            else for (let step = 0; step < 8; step += 1) second(cluster);
          }
          heal(cluster);
          assert.deepEqual(cluster.lost, []);
          assertAsAsked(cluster);
          return [cluster.relays.size, cluster.status?.targetRevision, cluster.status?.replicas];
        });
        assert.deepEqual(ends[0], ends[1]);
      },
    ),
    { numRuns: 50 },
  );
});

test('a clock that jumps leaves no relay drained for ever', () => {
  fc.assert(
    fc.property(blows('replicas', 'image', 'sessions', 'wait', 'jump of the clock', 'silence'), (script) => {
      const cluster = new ModelCluster(base);
      cluster.settle();
      for (const blow of script) befall(cluster, blow);
      heal(cluster);
      assertAsAsked(cluster);
    }),
    { numRuns: 60 },
  );
});

test('a relay that was empty in an earlier drain is asked again before it goes', () => {
  const cluster = new ModelCluster({ ...base, replicas: 2 });
  cluster.settle();
  cluster.edit({ replicas: 1 });
  cluster.step();
  const going = [...cluster.relays.values()].find((model) => model.draining)!;
  going.sessions = 0;
  // It says that it is drained; the operator is too slow to delete it, and it is taken back.
  cluster.world();
  cluster.edit({ replicas: 2 });
  second(cluster);
  assert.equal(going.draining, false);
  // It serves again, and doesn't answer while the fleet shrinks once more.
  going.sessions = 3;
  cluster.answering = false;
  cluster.edit({ replicas: 0 });
  for (let step = 0; step < 10; step += 1) second(cluster);
  assert.deepEqual(cluster.lost, []);
});

test('an answer from before the clock was set back says nothing of the present', () => {
  const cluster = new ModelCluster({ ...base, replicas: 2 });
  cluster.settle();
  assert.equal(cluster.step().status.readyReplicas, 2);
  cluster.answering = false;
  cluster.clockOffsetMs = -3_600_000;
  cluster.advance(60_000);
  assert.equal(cluster.step().status.readyReplicas, 0);
});

test('a rollout that is reverted half way turns round without a further relay', () => {
  const cluster = new ModelCluster({ ...base, replicas: 4 });
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = 5;
  const before = new Set(cluster.relays.keys());
  cluster.edit({ image: 'relay:2' });
  for (let step = 0; step < 9; step += 1) second(cluster);
  assert.ok([...cluster.relays.values()].some((model) => model.draining));
  cluster.edit({ image: undefined });
  const created: string[] = [];
  for (let step = 0; step < 60; step += 1) {
    created.push(...cluster.step().create.map(({ metadata }) => metadata.name));
    cluster.advance(1000);
  }
  assert.deepEqual(created, []);
  assert.deepEqual(new Set(cluster.relays.keys()), before);
});

test('nothing is made for a fleet that is being deleted in the middle of a rollout', () => {
  const cluster = new ModelCluster(base);
  cluster.settle();
  cluster.edit({ image: 'relay:2' });
  const world = cluster.world();
  assert.deepEqual(plan({ ...world, fleet: { ...world.fleet, deleting: true } }).create, []);
});
