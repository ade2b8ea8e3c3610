import assert from 'node:assert/strict';
import { test } from 'node:test';

import { activeSessions } from '../../../operator/plan/demand.ts';
import { plan } from '../../../operator/plan/plan.ts';
import { NODE_LOST_MS, POLL_STALE_MS } from '../../../operator/plan/relay-view.ts';
import type { ObservedPod, Poll, World } from '../../../operator/plan/world.ts';
import { base } from './blows.ts';
import { ModelCluster } from './model-cluster.ts';

// What an operator knows comes by several ways, each with a lag of its own: its polls, which begin anew with each start; the
// status that another has written; pods and nodes as their watches bring them; Master's registry.

/** A fleet of three whose relays hold so many sessions, as an operator that has heard them all has written. */
function fleetWith(...sessions: readonly number[]): ModelCluster {
  const cluster = new ModelCluster({ ...base, replicas: sessions.length });
  cluster.settle();
  cluster.advance(60_000);
  [...cluster.relays.values()].forEach((relay, index) => (relay.sessions = sessions[index]!));
  cluster.step();
  cluster.step();
  return cluster;
}

const UNHEARD: Partial<Poll> = {
  answeredMs: 0,
  error: 'timed out',
  state: undefined,
  registered: false,
  totalSessions: 0,
};

/** The same world for an operator that has heard nothing of these pods, or of no pod. */
function unheard(world: World, uids: readonly string[] = [...world.polls.keys()]): World {
  const polls = [...world.polls].map(([uid, poll]): [string, Poll] => [
    uid,
    uids.includes(uid) ? { ...poll, ...UNHEARD } : poll,
  ]);
  return { ...world, polls: new Map(polls), master: undefined };
}

function withPod(world: World, uid: string, change: Partial<ObservedPod>): World {
  return { ...world, pods: world.pods.map((pod) => (pod.uid === uid ? { ...pod, ...change } : pod)) };
}

function sessionsOf(world: World): number {
  const measured = activeSessions(world);
  assert.ok('value' in measured, JSON.stringify(measured));
  return measured.value;
}

const CRASHING = { reason: 'CrashLoopBackOff', message: 'it keeps ending' };

test('a relay that a new leader hasn’t heard counts at what is written of it: the fullest is not taken for the emptiest', () => {
  const cluster = fleetWith(2, 40, 90);
  const [least, , fullest] = [...cluster.relays.values()];
  cluster.edit({ replicas: 2 });
  const world = cluster.world();
  const views = [world, unheard(world), unheard(world, [fullest!.pod!.uid])];
  for (const view of views)
    assert.deepEqual(
      plan(view).relayPatches.map(({ name }) => name),
      [least!.relay.name],
    );
});

test('a relay of which sessions are written has served, whatever Master and the kubelet know of it', () => {
  const cluster = fleetWith(60, 60);
  cluster.edit({ master: { url: 'https://another.example.com' } });
  cluster.step();
  cluster.advance(3000);
  const { uid } = [...cluster.relays.values()][0]!.pod!;
  const crashing = withPod(unheard(cluster.world(), [uid]), uid, {
    ready: false,
    startedMs: undefined,
    waiting: CRASHING,
  });
  // The other Master's registry, and an operator that has only just come.
  assert.deepEqual(plan({ ...crashing, master: new Map() }).deletions, []);
});

test('sessions of a pod that ends are not its successor’s: nobody counts them twice', () => {
  const cluster = fleetWith(60, 60, 60);
  const { relay } = [...cluster.relays.values()][0]!;
  cluster.evict(relay.name);
  cluster.advance(1000);
  const heard = cluster.world();
  const { uid } = cluster.relays.get(relay.name)!.pod!;
  const silent = unheard(heard, [uid]);
  for (const leader of [heard, silent]) {
    const { status } = plan(leader);
    const entry = status.relays?.find(({ name }) => name === relay.name);
    assert.deepEqual([entry?.relayId, entry?.sessions], [uid, leader === heard ? 0 : undefined]);
    const written = { ...silent, fleet: { ...silent.fleet, status } };
    assert.equal(sessionsOf(written), 180);
    const gone = { ...written, pods: written.pods.filter(({ terminating }) => !terminating) };
    assert.equal(sessionsOf(gone), 120);
    if (leader === heard) continue;
    assert.equal(sessionsOf(withPod(written, uid, { startedMs: undefined, waiting: CRASHING })), 180);
  }
});

test('a relay that has said that it is empty for good counts for nothing, however long its pod stays', () => {
  const cluster = fleetWith(60, 60, 0);
  const world = cluster.world();
  const { pod } = [...cluster.relays.values()][2]!;
  const last: Poll = {
    ...world.polls.get(pod!.uid)!,
    state: 'drained',
    totalSessions: 0,
    answeredMs: world.nowMs - POLL_STALE_MS - 1,
  };
  const silent = { ...world, polls: new Map(world.polls).set(pod!.uid, last) };
  assert.equal(sessionsOf(withPod(silent, pod!.uid, { terminating: true })), 120);
  // One that may have been taken back since may have got some.
  assert.ok(sessionsOf(silent) > 120);
});

test('a relay that answers is on no lost node, though its node is not known yet', () => {
  const cluster = fleetWith(1, 1, 1);
  const world = cluster.world();
  const { pod } = [...cluster.relays.values()][0]!;
  const nodes = new Map(world.nodes);
  nodes.delete(pod!.node!);
  assert.deepEqual(plan({ ...world, nodes }).create, []);
  const poll = { ...world.polls.get(pod!.uid)!, answeredMs: world.nowMs - NODE_LOST_MS };
  const silent = { ...world, nodes, polls: new Map(world.polls).set(pod!.uid, poll) };
  assert.equal(plan(silent).create.length, 1);
});
