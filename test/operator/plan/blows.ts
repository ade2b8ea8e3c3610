import assert from 'node:assert/strict';

import fc from 'fast-check';

import { percentOrNumber } from '../../../operator/plan/percent.ts';
import type { ModelCluster, ModelRelay } from './model-cluster.ts';

export const base: Record<string, unknown> = {
  master: { url: 'https://master.example.com' },
  replicas: 3,
  drain: { timeout: '5m' },
  autoscaling: { minReplicas: 1, maxReplicas: 6 },
};

/** What may befall a fleet. `who` picks a relay, `amount` says how much of it. */
export const KINDS = [
  'replicas',
  'fight over replicas',
  'bounds',
  'image',
  'rollout',
  'broken image',
  'sessions',
  'wait',
  'kill the operator',
  'Master is away',
  'lose the registration',
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

export function blows(...kinds: readonly Kind[]): fc.Arbitrary<Blow[]> {
  const blow = fc.record({
    kind: fc.constantFrom(...kinds),
    who: fc.integer({ min: 0, max: 9 }),
    amount: fc.integer({ min: 0, max: 12 }),
  });
  return fc.array(blow, { maxLength: 30 });
}

/** One second: the operator looks, and does all of what it decided or only the first part. */
export function second(cluster: ModelCluster, most?: number): void {
  const before = inService(cluster);
  const { events } = cluster.step(most);
  const after = inService(cluster);
  const { replicas, rollout } = cluster.spec;
  const least = replicas - percentOrNumber(rollout.maxUnavailable, replicas, 'down');
  assert.ok(
    after >= Math.min(least, before),
    `${after} of ${before} are left to serve, ${replicas} are asked for: ${events.map(({ message }) => message).join('; ')}`,
  );
  cluster.advance(1000);
}

/** Relays that serve; while none can be asked, also those that came to serve and may have ceased to unheard. */
function inService(cluster: ModelCluster): number {
  const serving = cluster.answering ? cluster.serving() : cluster.registered();
  return serving.filter(({ relay }) => relay.drainingSinceMs === undefined).length;
}

export function befall(cluster: ModelCluster, { kind, who, amount }: Blow): void {
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
    case 'rollout':
      cluster.edit({
        rollout: {
          maxSurge: [1, 3, '50%'][who % 3],
          maxUnavailable: [0, 0, 1, '50%'][amount % 4],
          paused: amount > 9,
        },
      });
      break;
    case 'broken image':
      cluster.broken.add('relay:broken');
      cluster.edit({ image: 'relay:broken' });
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
    case 'lose the registration':
      for (const [index, relay] of all.entries()) relay.unregistered = who === 9 || index % 10 === who;
      for (let step = 0; step <= amount % 3; step += 1) second(cluster);
      for (const relay of all) relay.unregistered = false;
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
      // One node stays, or nothing could ever serve.
      if (who % 3 > 0) cluster.setNodeReady([...cluster.nodes.keys()][who % 3]!, false);
      break;
    case 'mend the nodes':
      for (const name of cluster.nodes.keys()) cluster.setNodeReady(name, true);
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

/** Ends all faults, lets sessions end, and waits far beyond the drain timeout. */
export function heal(cluster: ModelCluster): void {
  for (const name of cluster.nodes.keys()) cluster.setNodeReady(name, true);
  cluster.answering = true;
  cluster.annotationDelayMs = 0;
  cluster.master ??= new Map();
  cluster.edit({ rollout: { ...cluster.spec.rollout, paused: false } });
  cluster.broken.clear();
  for (const model of cluster.relays.values()) {
    if (model.registersAtMs === Infinity) model.registersAtMs = cluster.nowMs + 4000;
  }
  for (let step = 0; step < 400; step += 1) {
    second(cluster);
    if (step >= 200) cluster.advance(4000);
    if (step < 20) continue;
    for (const model of cluster.relays.values()) if (model.draining) model.sessions = 0;
    for (const leaving of cluster.leaving) leaving.sessions = 0;
  }
}

export function assertAsAsked(cluster: ModelCluster): void {
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
