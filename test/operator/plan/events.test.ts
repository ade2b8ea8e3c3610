import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { plan } from '../../../operator/plan/plan.ts';
import { ModelCluster } from './model-cluster.ts';

suite('the beginning of a rollout', () => {
  function fleet(): ModelCluster {
    const cluster = new ModelCluster({ master: { url: 'https://master.example.com' }, replicas: 3 });
    cluster.settle();
    for (const model of cluster.relays.values()) model.sessions = 1;
    return cluster;
  }

  /** How often it is planned: whoever leads meanwhile, so often at most it is told. */
  function beginnings(cluster: ModelCluster, seconds: number): string[] {
    const told: string[] = [];
    for (let second = 0; second < seconds; second += 1) {
      const { events } = cluster.step();
      told.push(...events.filter(({ reason }) => reason === 'RolloutStarted').map(({ message }) => message));
      cluster.advance(1000);
    }
    return told;
  }

  function reason(cluster: ModelCluster): string | undefined {
    return cluster.status?.conditions?.find(({ type }) => type === 'Progressing')?.reason;
  }

  function revisions(cluster: ModelCluster): string[] {
    return [...new Set([...cluster.relays.values()].map(({ relay }) => relay.revision))];
  }

  test('is told once, also by a leader that finds it half way', () => {
    const cluster = fleet();
    const [first] = revisions(cluster);
    cluster.edit({ image: 'relay:2' });
    const told = beginnings(cluster, 3);
    assert.equal(reason(cluster), 'RollingOut');
    assert.deepEqual(told, [
      `relays of revision ${first} give way to revision ${cluster.status?.targetRevision}`,
    ]);
    assert.deepEqual(beginnings(cluster, 30), []);
  });

  test('is told again when the spec changes half way', () => {
    const cluster = fleet();
    cluster.edit({ image: 'relay:2' });
    beginnings(cluster, 3);
    const old = revisions(cluster);
    assert.equal(old.length, 2);
    cluster.edit({ image: 'relay:3' });
    assert.equal(reason(cluster), 'RollingOut');
    const told = beginnings(cluster, 3);
    assert.equal(reason(cluster), 'RollingOut');
    assert.deepEqual(told, [
      `relays of revision ${old.toSorted().join(', ')} give way to revision ${cluster.status?.targetRevision}`,
    ]);
  });

  test('is told when the rollouts of others are through, and for every rollout', () => {
    const cluster = fleet();
    cluster.edit({ image: 'relay:2' });
    const { status, events } = plan({ ...cluster.world(), mayRollOut: false });
    assert.deepEqual(events, []);
    cluster.status = status;
    assert.equal(reason(cluster), 'Waiting');
    assert.equal(beginnings(cluster, 200).length, 1);
    assert.notEqual(reason(cluster), 'RollingOut');
    cluster.edit({ image: 'relay:1' });
    assert.equal(beginnings(cluster, 200).length, 1);
    cluster.edit({ image: 'relay:2' });
    assert.equal(beginnings(cluster, 200).length, 1);
  });

  test('is not told again while it is stuck, nor when it goes on', () => {
    const cluster = fleet();
    cluster.edit({ image: 'relay:2' });
    const told: string[] = [];
    for (let second = 0; second < 700; second += 1) {
      told.push(...beginnings(cluster, 1));
      for (const model of cluster.relays.values()) {
        if (model.relay.revision === cluster.status?.targetRevision) model.registersAtMs = Infinity;
      }
    }
    assert.equal(reason(cluster), 'NotRegistered');
    for (const model of cluster.relays.values()) model.registersAtMs = 0;
    told.push(...beginnings(cluster, 3));
    assert.equal(reason(cluster), 'RollingOut');
    assert.equal(told.length, 1);
  });
});
