import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Condition, RelayStatus, WavryRelayStatus } from '../../../operator/api/status.ts';
import { type EventObject, eventsOf, explain } from '../../../operator/kubectl/explain.ts';
import type { FleetObject } from '../../../operator/kubectl/fleets.ts';
import { sessionsText } from '../../../operator/kubectl/sessions.ts';
import { whyText } from '../../../operator/kubectl/why.ts';
import { statusText } from '../../../operator/kubectl/status.ts';

const nowMs = Date.parse('2030-01-01T12:00:00Z');
const ready: Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Serving',
  message: '2 of 2 relays serve',
  lastTransitionTime: '2030-01-01T11:00:00Z',
};

function fleetWith(status: Partial<WavryRelayStatus> | undefined, generation = 1): FleetObject {
  return {
    apiVersion: 'wavry.dev/v1alpha1',
    kind: 'WavryRelay',
    metadata: {
      name: 'eu',
      namespace: 'games',
      uid: 'u',
      resourceVersion: '1',
      generation,
      creationTimestamp: '2030-01-01T10:00:00Z',
    },
    spec: { replicas: 2, size: 'Small', drain: { timeout: '30m' } },
    ...(status
      ? {
          status: {
            observedGeneration: 1,
            readyReplicas: 2,
            totalSessions: 9,
            sessionCapacity: 100,
            conditions: [ready],
            ...status,
          },
        }
      : {}),
  };
}

function relay(ordinal: number, more: Partial<RelayStatus>): RelayStatus {
  const name = `eu-01234567-${ordinal}`;
  return { name, state: 'Serving', pod: `${name}-abc-def`, sessions: ordinal, ...more };
}

test('a fleet that is well has nothing in its way', () => {
  const told = explain(fleetWith({ relays: [relay(0, {}), relay(1, {})] }), nowMs);
  assert.deepEqual([told.well, told.blockers, told.underWay], [true, [], []]);
  assert.equal(told.headline, 'eu is well: 2 of 2 relays serve, 9 sessions of 100.');
});

test('relays held up by the same thing are told of once, with what to do', () => {
  const reason = (pod: string): string => `CrashLoopBackOff: pod ${pod}: CrashLoopBackOff: back-off 10s`;
  const relays = [0, 1].map((ordinal) => {
    const broken = relay(ordinal, { state: 'Failed' });
    return { ...broken, reason: reason(broken.pod!) };
  });
  const conditions = [{ ...ready, status: 'False' as const, reason: 'CrashLoopBackOff', message: 'm' }];
  const { blockers, headline } = explain(fleetWith({ readyReplicas: 0, relays, conditions }), nowMs);
  assert.match(headline, /^eu is not ready: 0 of 2 relays serve/);
  assert.equal(blockers.length, 1);
  assert.deepEqual(blockers[0]?.relays, ['eu-01234567-0', 'eu-01234567-1']);
  assert.equal(
    blockers[0]?.advice,
    'read what it said last: "kubectl logs -n games eu-01234567-0-abc-def --previous"',
  );
});

test('at a terminal messages are wrapped and tables cut; in a pipe all is there', () => {
  const message = `a ${'long '.repeat(40)}end`;
  const conditions = [ready, { ...ready, type: 'Degraded', status: 'True' as const, reason: 'X', message }];
  const told = explain(fleetWith({ conditions }), nowMs);
  const paint = (_: string, text: string): string => text;
  const narrow = whyText(told, [], undefined, { nowMs, columns: 60, paint });
  for (const line of narrow.split('\n')) assert.ok(line.length <= 60, line);
  assert.match(narrow, /long\n {4}long[^]*end\n/);
  assert.match(narrow, /^ {2}Degraded .*…$/m);
  const whole = whyText(told, undefined, 'forbidden', { nowMs, columns: undefined, paint });
  assert.equal(whole.split(message).length, 3);
  assert.match(whole, /^Events: forbidden$/m);
});

test('an operator that is away, or behind, is what stands in the way', () => {
  assert.match(explain(fleetWith(undefined), nowMs).blockers[0]?.advice ?? '', /see that it runs/);
  assert.match(
    explain(fleetWith({}, 3), nowMs).blockers[0]?.message ?? '',
    /has not acted on the last change of the spec \(generation 3, seen 1\)/,
  );
  assert.equal(
    statusText([fleetWith(undefined)], view)
      .split('\n')[1]
      ?.includes('Unobserved'),
    true,
  );
});

test('conditions tell of what relays don’t, and of nothing twice', () => {
  const conditions: Condition[] = [
    ready,
    { ...ready, type: 'Progressing', status: 'Unknown', reason: 'Paused', message: 'rollout.paused holds 2' },
    { ...ready, type: 'Degraded', status: 'True', reason: 'ForeignObject', message: 'belongs to you' },
    { ...ready, type: 'Autoscaling', status: 'False', reason: 'NotConfigured', message: 'not set' },
  ];
  const told = explain(fleetWith({ conditions }), nowMs);
  assert.deepEqual(
    told.blockers.map((blocker) => blocker.reason),
    ['Paused', 'ForeignObject'],
  );
  assert.match(told.headline, /^eu serves, but not all is well/);
});

test('drains are told with what is left of them', () => {
  const relays = [
    relay(0, { reason: 'DrainRequested: it drains once a relay that takes its place serves' }),
    relay(7, {
      state: 'Draining',
      drainingSince: '2030-01-01T11:40:00Z',
      reason: 'ScaleDown: fewer relays are wanted',
    }),
  ];
  const { underWay, blockers } = explain(fleetWith({ relays }), nowMs);
  assert.deepEqual(blockers, []);
  assert.deepEqual(underWay, [
    'eu-01234567-0 is asked to drain: it drains once a relay that takes its place serves',
    'eu-01234567-7 drains (fewer relays are wanted): 7 sessions are left, and it goes within 10m at the latest',
  ]);
  const one = explain(fleetWith({ relays }), nowMs, 'eu-01234567-7');
  assert.equal(one.headline, 'eu-01234567-7 is draining, and holds 7 sessions.');
  assert.equal(one.underWay.length, 1);
});

const view = {
  nowMs,
  withNamespace: false,
  wide: false,
  withRelays: false,
  noHeaders: false,
  paint: (_: string, text: string) => text,
};

test('sessions: the fullest first; who drains fills no capacity; what isn’t known is no zero', () => {
  const { sessions: _, ...unknown } = relay(3, { state: 'Unreachable' });
  const relays = [
    relay(1, {}),
    relay(25, {}),
    relay(7, { state: 'Draining', drainingSince: '2030-01-01T11:40:00Z' }),
    unknown,
  ];
  assert.equal(
    sessionsText([fleetWith({ relays })], view),
    [
      'FLEET   RELAY            STATE         SESSIONS    CAPACITY   USED   GOES WITHIN',
      'eu      eu-01234567-25   Serving       25          50         50%    -',
      'eu      eu-01234567-7    Draining      7           -          -      10m',
      'eu      eu-01234567-1    Serving       1           50         2%     -',
      'eu      eu-01234567-3    Unreachable   <unknown>   50         -      -',
      '',
    ].join('\n'),
  );
});

test('what a relay or somebody’s object says can’t forge lines of the table', () => {
  const relays = [relay(0, { state: 'Failed', reason: 'Failed: x\n\u001b[2Jeu all is well' })];
  const text = statusText([fleetWith({ relays })], { ...view, withRelays: true });
  assert.equal(text.trimEnd().split('\n').length, 5);
  assert.ok(!text.includes('\u001b'));
});

test('the events of a relay are those that name it, oldest first', () => {
  const event = (message: string, lastTimestamp: string): EventObject => ({
    metadata: { name: 'e', uid: 'e', resourceVersion: '1', creationTimestamp: lastTimestamp },
    message,
    lastTimestamp,
  });
  const events = [
    event('eu-01234567-1 drains 3 sessions', '2030-01-01T11:02:00Z'),
    event('eu-01234567-12 is added', '2030-01-01T11:01:00Z'),
    event('pod eu-01234567-1-abc-def: no image', '2030-01-01T11:00:00Z'),
  ];
  assert.deepEqual(
    eventsOf(events, 'eu-01234567-1', true).map((entry) => entry.lastTimestamp),
    ['2030-01-01T11:00:00Z', '2030-01-01T11:02:00Z'],
  );
  assert.equal(eventsOf(events, 'eu', false).length, 3);
});
