import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ModelCluster } from './model-cluster.ts';

const base = { master: { url: 'https://master.example.com' }, size: 'Medium', replicas: 3 };

function settled(spec: Record<string, unknown> = base, sessions = 5): ModelCluster {
  const cluster = new ModelCluster(spec);
  cluster.settle();
  for (const model of cluster.relays.values()) model.sessions = sessions;
  return cluster;
}

function pass(cluster: ModelCluster, seconds: number, check: () => void = () => {}): void {
  for (let second = 0; second < seconds; second += 1) {
    cluster.step();
    check();
    cluster.advance(1000);
  }
}

function stateOf(cluster: ModelCluster, name: string): string {
  const relay = cluster.status?.relays?.find((entry) => entry.name === name);
  return `${relay?.state} ${relay?.reason ?? ''}`.trim();
}

test('a relay that somebody wants drained is replaced first, then drains, and goes when it is empty', () => {
  const cluster = settled();
  const name = [...cluster.relays.keys()][1]!;
  cluster.request(name, true);
  cluster.step();
  assert.equal(cluster.relays.size, 4, 'a replacement is made');
  assert.match(stateOf(cluster, name), /^Serving DrainRequested: it drains once .* serves$/);
  pass(cluster, 30, () => assert.ok(cluster.serving().length >= 3));
  assert.equal(stateOf(cluster, name), 'Draining DrainRequested: somebody asked for it');
  assert.equal(cluster.relays.get(name)!.sessions, 5, 'it isn’t taken back, and keeps its sessions');
  cluster.relays.get(name)!.sessions = 0;
  pass(cluster, 5);
  assert.ok(!cluster.relays.has(name));
  assert.equal(cluster.relays.size, 3);
  assert.deepEqual(cluster.lost, []);
});

test('a wish taken back before the replacement serves changes nothing but the replacement', () => {
  const cluster = settled();
  const before = new Set(cluster.relays.keys());
  const name = [...before][0]!;
  cluster.request(name, true);
  cluster.step();
  cluster.request(name, false);
  pass(cluster, 20);
  assert.deepEqual(new Set(cluster.relays.keys()), before);
});

test('a wish taken back takes that relay back, though annotations take a minute to reach relays', () => {
  const cluster = settled();
  const before = new Set(cluster.relays.keys());
  const name = [...before][2]!;
  cluster.annotationDelayMs = 60_000;
  cluster.request(name, true);
  pass(cluster, 120);
  assert.match(stateOf(cluster, name), /^Draining/);
  cluster.request(name, false);
  const decided = cluster.step();
  assert.deepEqual(
    decided.events.map((event) => [event.reason, event.about]),
    [['DrainTakenBack', `Deployment/${name}`]],
  );
  assert.deepEqual(
    decided.master.map((call) => call.state),
    ['Active'],
  );
  pass(cluster, 300, () => {
    const relay = cluster.relays.get(name);
    assert.ok(relay && relay.relay.drainingSinceMs === undefined, 'it stays');
  });
  assert.deepEqual(new Set(cluster.relays.keys()), before, 'its replacement goes');
  assert.equal(cluster.serving().length, 3);
  assert.deepEqual(cluster.lost, []);
});

test('who scales down chooses with it', () => {
  const cluster = settled();
  const name = [...cluster.relays.keys()][0]!;
  for (const [other, model] of cluster.relays) model.sessions = other === name ? 9 : 0;
  cluster.request(name, true);
  cluster.edit({ replicas: 2 });
  const decided = cluster.step();
  assert.equal(decided.create.length, 0);
  assert.match(stateOf(cluster, name), /^(Serving|Draining)/);
  pass(cluster, 20);
  assert.deepEqual(
    [...cluster.relays.values()].filter((model) => model.draining).map((model) => model.relay.name),
    [name],
  );
});

test('a paused rollout holds no wish up, and the replacement is of the new revision', () => {
  const cluster = settled();
  cluster.edit({ image: 'relay:2', rollout: { paused: true } });
  pass(cluster, 5);
  const name = [...cluster.relays.keys()][0]!;
  cluster.request(name, true);
  pass(cluster, 30, () => assert.ok(cluster.serving().length >= 3));
  assert.deepEqual(
    [...cluster.relays.values()].filter((model) => model.draining).map((model) => model.relay.name),
    [name],
  );
  assert.equal(cluster.relays.size, 4);
});

test('without a replacement that registers, the relay goes on serving', () => {
  const cluster = settled({ ...base, replicas: 1 });
  cluster.broken.add('relay:1');
  const name = [...cluster.relays.keys()][0]!;
  cluster.request(name, true);
  pass(cluster, 1200, () => assert.equal(cluster.serving().length, 1));
  assert.match(stateOf(cluster, name), /^Serving DrainRequested/);
});

test('with maxUnavailable it drains at once', () => {
  const cluster = settled({ ...base, rollout: { maxUnavailable: 1 } });
  const name = [...cluster.relays.keys()][0]!;
  cluster.request(name, true);
  cluster.step();
  assert.equal(cluster.relays.get(name)!.draining, true);
});

test('any sequence of wishes, edits and time serves as asked, loses nothing, and ends as the spec says', () => {
  const action = fc.record({
    kind: fc.constantFrom('drain', 'undrain', 'replicas', 'image', 'paused', 'wait'),
    value: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 20 }),
      fc.constantFrom(0, 3000, 30_000),
      (actions, annotationDelayMs) => {
        const cluster = settled();
        cluster.annotationDelayMs = annotationDelayMs;
        let least = cluster.spec.replicas;
        const check = (): void => {
          assert.ok(inService(cluster) >= Math.min(least, cluster.spec.replicas));
          assert.ok(cluster.status!.replicas! <= cluster.spec.replicas, 'wishes are no load');
        };
        for (const { kind, value } of actions) {
          const names = [...cluster.relays.keys()];
          const name = names[value % Math.max(1, names.length)];
          if (kind === 'drain' && name !== undefined) cluster.request(name, true);
          if (kind === 'undrain' && name !== undefined) cluster.request(name, false);
          if (kind === 'replicas') cluster.edit({ replicas: value % 5 });
          if (kind === 'image') cluster.edit({ image: `relay:${value % 3}` });
          if (kind === 'paused') cluster.edit({ rollout: { paused: value % 2 === 0 } });
          // Until the new ones serve, no more serve than did before.
          least = Math.min(least, cluster.spec.replicas, inService(cluster));
          pass(cluster, kind === 'wait' ? value * 5 : 1, check);
          if (inService(cluster) >= cluster.spec.replicas) least = cluster.spec.replicas;
        }
        cluster.edit({ rollout: { paused: false } });
        least = Math.min(least, inService(cluster));
        for (let step = 0; step < 600; step += 1) {
          pass(cluster, 1, check);
          for (const model of cluster.relays.values()) if (model.draining) model.sessions = 0;
        }
        assert.deepEqual(cluster.lost, []);
        assert.equal(cluster.relays.size, cluster.spec.replicas);
        assert.ok(
          [...cluster.relays.values()].every((model) => !model.draining && !model.relay.drainRequested),
        );
        const idle = cluster.step();
        assert.deepEqual([idle.create, idle.relayPatches, idle.deletions], [[], [], []]);
      },
    ),
    { numRuns: 150 },
  );
});

/** Relays that serve, and neither drain nor are about to hear that they should. */
function inService(cluster: ModelCluster): number {
  return cluster.serving().filter((model) => model.relay.drainingSinceMs === undefined).length;
}
