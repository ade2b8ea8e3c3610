import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { assertAsAsked, base, befall, blows, heal, KINDS, second } from './blows.ts';
import { ModelCluster } from './model-cluster.ts';

test('whatever befalls a fleet, no session is lost that could have been kept, none that serves is given up before its time, and it ends as asked', () => {
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
      assert.deepEqual(cluster.lost, []);
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
