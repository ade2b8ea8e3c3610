import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { spec as specType } from '../../../operator/api/spec.ts';
import type { RelayStatus } from '../../../operator/api/status.ts';
import {
  activeSessions,
  type DemandWorld,
  type Measured,
  overloadShedRate,
  podSessions,
  podShedRate,
} from '../../../operator/plan/demand.ts';
import { POLL_STALE_MS } from '../../../operator/plan/relay-view.ts';
import type { CounterSample, MasterEntry, ObservedPod, Poll } from '../../../operator/plan/world.ts';

const NOW = 1_700_000_000_000;
/** Size Medium at 70 %. */
const TARGET = 70;

interface Case {
  readonly pod?: Partial<ObservedPod>;
  /** Sessions in its last answer; undefined when it never gave one. */
  readonly sessions?: number;
  readonly agoMs?: number;
  readonly asked?: boolean;
  readonly refusals?: readonly CounterSample[];
  readonly written?: Partial<RelayStatus>;
  readonly atMaster?: boolean;
}

function worldOf(cases: readonly Case[], change: Partial<DemandWorld> = {}): DemandWorld {
  const polls = new Map<string, Poll>();
  const master = new Map<string, MasterEntry>();
  const pods = cases.map((entry, index): ObservedPod => {
    const uid = `pod-${index}`;
    if (entry.asked !== false) polls.set(uid, pollOf(entry));
    if (entry.atMaster) master.set(uid, { relayId: uid, endpoints: [], state: 'Active', lastSeenMs: NOW });
    return {
      name: uid,
      uid,
      relay: `relay-${index}`,
      createdMs: 0,
      node: 'node-a',
      scheduledMs: 0,
      podIP: '10.0.0.1',
      hostIP: '10.0.0.2',
      phase: 'Running',
      ready: false,
      readyChangedMs: undefined,
      startedMs: undefined,
      terminating: false,
      labels: {},
      annotations: {},
      waiting: undefined,
      restarts: 0,
      maxSessions: 100,
      ...entry.pod,
    };
  });
  return {
    nowMs: NOW,
    fleet: {
      name: 'games',
      namespace: 'default',
      uid: 'fleet',
      spec: specType.parse({ master: { url: 'https://master.example.com' }, size: 'Medium', replicas: 2 }),
      defaultImage: 'relay:1',
      runbooks: '',
      generation: 1,
      createdMs: 0,
      status: {
        relays: cases.flatMap((entry, index) =>
          entry.written
            ? [{ name: `relay-${index}`, relayId: `pod-${index}`, state: 'Starting', ...entry.written }]
            : [],
        ),
      },
    },
    relays: [],
    pods,
    polls,
    pollsComplete: true,
    master,
    ...change,
  };
}

function pollOf({ sessions, agoMs = 0, refusals = [] }: Case): Poll {
  return {
    answeredMs: sessions === undefined ? 0 : NOW - agoMs,
    error: sessions === undefined ? 'ECONNREFUSED' : undefined,
    state: 'serving',
    registered: true,
    draining: false,
    totalSessions: sessions ?? 0,
    activeSessions: sessions ?? 0,
    maxSessions: 1_000_000,
    endpoints: [],
    notReadyReason: undefined,
    refusals,
  };
}

function valueOf(measured: Measured): number {
  assert.ok('value' in measured, 'unknown' in measured ? measured.unknown : '');
  return measured.value;
}

function whyUnknown(measured: Measured): string {
  assert.ok('unknown' in measured, `it is known: ${JSON.stringify(measured)}`);
  return measured.unknown;
}

const STALE = POLL_STALE_MS + 1;

test('demand is the sum over all pods: draining, terminating, of every revision', () => {
  const world = worldOf([
    { sessions: 30 },
    { sessions: 20, pod: { terminating: true } },
    { sessions: 5, agoMs: 4000 },
  ]);
  assert.deepEqual(activeSessions(world), { value: 55, atMs: NOW - 4000 });
});

test('a relay that falls silent counts at its last answer, then at the target or more', () => {
  const others = [{ sessions: 10 }, { sessions: 10 }];
  const silent = (sessions: number, agoMs: number): number =>
    valueOf(activeSessions(worldOf([...others, { sessions, agoMs }]))) - 20;
  assert.equal(silent(3, POLL_STALE_MS), 3);
  assert.equal(silent(3, STALE), TARGET);
  assert.equal(silent(90, STALE), 90);
  const gone = worldOf([...others, { sessions: 90, agoMs: STALE, pod: { phase: 'Failed' } }]);
  assert.equal(valueOf(activeSessions(gone)), 20);
});

test('what a relay says counts for no more than it may hold', () => {
  assert.equal(valueOf(activeSessions(worldOf([{ sessions: 10_000_000 }, { sessions: 1 }]))), 101);
  const older = worldOf([{ sessions: 240, pod: { maxSessions: 250 } }]);
  assert.equal(valueOf(activeSessions(older)), 240, 'a relay of a larger size is believed');
  const silent = worldOf([{ sessions: 1 }, { sessions: 10_000_000, agoMs: STALE }]);
  assert.equal(valueOf(activeSessions(silent)), 101);
});

test('fewer than half heard: unknown', () => {
  assert.match(
    whyUnknown(
      activeSessions(
        worldOf([{ sessions: 1 }, { sessions: 1, agoMs: STALE }, { sessions: 1, agoMs: STALE }]),
      ),
    ),
    /1 of 3 relays of games answered/,
  );
  assert.equal(
    valueOf(activeSessions(worldOf([{ sessions: 1 }, { sessions: 1, agoMs: STALE }]))),
    1 + TARGET,
  );
});

test('before this replica has asked everybody once: unknown', () => {
  assert.match(
    whyUnknown(activeSessions(worldOf([{ sessions: 1 }], { pollsComplete: false }))),
    /since the operator started/,
  );
});

test('a relay that starts counts for nothing: counting it would ask for the next one', () => {
  const starting: Case[] = [
    { pod: { phase: 'Pending' }, asked: false },
    {},
    { asked: false },
    { pod: { waiting: { reason: 'CrashLoopBackOff', message: '' }, terminating: true } },
  ];
  assert.equal(valueOf(activeSessions(worldOf([{ sessions: 30 }, ...starting]))), 30);
});

test('a relay that never answered this replica, but served others, counts at the target', () => {
  const served: Case[] = [
    { pod: { ready: true } },
    { pod: { terminating: true } },
    { atMaster: true },
    { written: { state: 'Serving', sessions: 0 } },
    { written: { state: 'Failed', sessions: 3 } },
  ];
  for (const entry of served) {
    assert.equal(valueOf(activeSessions(worldOf([{ sessions: 0 }, entry]))), TARGET, JSON.stringify(entry));
  }
  const remembered = worldOf([{ sessions: 0 }, { written: { state: 'Serving', sessions: 95 } }]);
  assert.equal(valueOf(activeSessions(remembered)), 95);
});

test('a relay that has only just started, and hasn’t been heard by this replica, counts at what it is known to hold', () => {
  const justNow = { startedMs: NOW - POLL_STALE_MS };
  const started: Case[] = [
    { pod: { ...justNow, ready: true } },
    { pod: { ...justNow, ready: true }, asked: false },
    { pod: { ...justNow, terminating: true } },
    { pod: justNow, written: { state: 'Serving', sessions: 0 } },
  ];
  // However many start at once: those that were there before are heard.
  assert.equal(valueOf(activeSessions(worldOf([{ sessions: 30 }, ...started]))), 30);
  const restored = { pod: justNow, written: { state: 'Serving', sessions: 3 } } as const;
  assert.equal(valueOf(activeSessions(worldOf([{ sessions: 30 }, restored]))), 33);
  // From then on it is one that doesn't answer, as is one whose kubelet's clock is far off.
  for (const startedMs of [NOW - STALE, NOW + STALE]) {
    const silent: Case = { pod: { startedMs, ready: true } };
    assert.equal(valueOf(activeSessions(worldOf([{ sessions: 30 }, silent]))), 30 + TARGET);
  }
  // One that was heard before it started again may have held sessions all the time.
  const again: Case = { pod: { ...justNow, ready: true }, sessions: 3, agoMs: STALE };
  assert.equal(valueOf(activeSessions(worldOf([{ sessions: 30 }, again]))), 30 + TARGET);
});

test('a fleet of which nothing serves isn’t idle, one of no relay is', () => {
  assert.match(whyUnknown(activeSessions(worldOf([{ asked: false }]))), /no relay of games has answered/);
  assert.match(whyUnknown(activeSessions(worldOf([]))), /no relay/);
  const none = worldOf([]);
  const { fleet } = none;
  const zero = { ...none, fleet: { ...fleet, spec: { ...fleet.spec, replicas: 0 } } };
  assert.equal(valueOf(activeSessions(zero)), 0);
});

test('refusals per second: summed, bounded, unknown without two samples each of half the relays', () => {
  const counting = (from: number, to: number, agoMs = 0): Case => ({
    sessions: 1,
    refusals: [
      { atMs: NOW - 10_000 - agoMs, value: from },
      { atMs: NOW - agoMs, value: to },
    ],
  });
  const single: Case = { sessions: 1, refusals: [{ atMs: NOW, value: 1000 }] };
  assert.deepEqual(overloadShedRate(worldOf([counting(0, 20), counting(100, 130, 2000), single])), {
    value: 5,
    atMs: NOW - 2000,
    windowMs: 30_000,
  });
  assert.match(whyUnknown(overloadShedRate(worldOf([counting(0, 20), single, single]))), /fewer than half/);
  assert.equal(valueOf(overloadShedRate(worldOf([counting(0, 2 ** 50)]))), 100);
});

test('a pod alone: its own answer, or why there is none', () => {
  const world = worldOf([{ sessions: 4, agoMs: 1000 }, { sessions: 4, agoMs: STALE }, {}]);
  const [answers, silent, never] = world.pods;
  assert.deepEqual(podSessions(world, answers!), { value: 4, atMs: NOW - 1000 });
  assert.match(whyUnknown(podSessions(world, silent!)), /doesn't answer/);
  assert.match(whyUnknown(podSessions(world, never!)), /ECONNREFUSED/);
  assert.match(whyUnknown(podShedRate(world, answers!)), /no two samples/);
});

const anyCase: fc.Arbitrary<Case> = fc.record(
  {
    sessions: fc.integer({ min: 0, max: 10_000_000 }),
    agoMs: fc.integer({ min: 0, max: 3 * POLL_STALE_MS }),
    asked: fc.boolean(),
    atMaster: fc.boolean(),
    pod: fc.record(
      {
        ready: fc.boolean(),
        startedMs: fc.integer({ min: NOW - 3 * POLL_STALE_MS, max: NOW + 3 * POLL_STALE_MS }),
        terminating: fc.boolean(),
        phase: fc.constantFrom('Pending', 'Running', 'Failed'),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);

test('whatever the relays do: never below what those that answer hold, never above what all may hold', () => {
  fc.assert(
    fc.property(fc.array(anyCase, { maxLength: 12 }), (cases) => {
      const world = worldOf(cases);
      const demand = activeSessions(world);
      if ('unknown' in demand) return;
      const alive = world.pods.filter((pod) => pod.phase !== 'Failed');
      const said = alive.map((pod) => podSessions(world, pod));
      const least = said.reduce((sum, measured) => sum + ('value' in measured ? measured.value : 0), 0);
      assert.ok(demand.value >= least && demand.value <= alive.length * 100, `${demand.value} ${least}`);
      assert.ok(demand.atMs <= NOW && demand.atMs >= NOW - POLL_STALE_MS);
    }),
  );
});

test('a relay that falls silent never lowers the demand', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 12 }),
      fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      (sessions, silent) => {
        const heard = activeSessions(worldOf(sessions.map((held) => ({ sessions: held }))));
        const blind = activeSessions(
          worldOf(sessions.map((held, index) => ({ sessions: held, agoMs: silent[index] ? STALE : 0 }))),
        );
        if ('value' in blind) assert.ok(blind.value >= valueOf(heard));
        else assert.ok(silent.slice(0, sessions.length).filter(Boolean).length * 2 > sessions.length);
      },
    ),
  );
});
