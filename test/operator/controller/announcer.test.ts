import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Condition, WavryRelayStatus } from '../../../operator/api/status.ts';
import { Announcer, newsAtMs } from '../../../operator/controller/announcer.ts';
import type { EventRecorder } from '../../../operator/kube/events.ts';
import type { PlannedEvent } from '../../../operator/plan/world.ts';

const FLEET = { namespace: 'games', name: 'eu', uid: 'uid-1' };
const SINCE_MS = Date.UTC(2026, 0, 1);

function announcer(): { readonly told: string[]; readonly lines: string[]; readonly announcer: Announcer } {
  const told: string[] = [];
  const lines: string[] = [];
  const record: EventRecorder['record'] = (subject, type, reason, message) =>
    void told.push(`${subject.kind}/${subject.name} ${type} ${reason}: ${message}`);
  return {
    told,
    lines,
    announcer: new Announcer({ record } as EventRecorder, (level, message) =>
      lines.push(`${level} ${message}`),
    ),
  };
}

function saying(
  type: string,
  status: Condition['status'],
  reason: string,
  message = 'a message',
): WavryRelayStatus {
  return {
    conditions: [{ type, status, reason, message, lastTransitionTime: new Date(SINCE_MS).toISOString() }],
  };
}

const ADDED: PlannedEvent = { type: 'Normal', reason: 'RelayCreated', message: 'eu-0 is added' };

test('an event is told once for as long as plans say it, and again when it comes again', () => {
  const { announcer: said, told, lines } = announcer();
  for (const events of [[ADDED, ADDED], [ADDED], [], [ADDED]]) said.announce(FLEET, events, {}, SINCE_MS);
  assert.deepEqual(told, Array(2).fill('WavryRelay/eu Normal RelayCreated: eu-0 is added'));
  assert.deepEqual(lines, Array(2).fill('info eu-0 is added'));
});

test('each fleet is told of by itself; one that is gone is forgotten', () => {
  const { announcer: said, told } = announcer();
  said.announce(FLEET, [ADDED], {}, SINCE_MS);
  said.announce({ ...FLEET, name: 'us' }, [ADDED], {}, SINCE_MS);
  said.forget('games/eu');
  said.announce(FLEET, [ADDED], {}, SINCE_MS);
  assert.equal(told.length, 3);
});

for (const [type, status, reason, news] of [
  ['Ready', 'False', 'ImageUnavailable', true],
  ['Ready', 'True', 'Serving', false],
  ['Ready', 'Unknown', 'UnreadableSpec', false],
  ['Progressing', 'False', 'RolloutStuck', true],
  ['Progressing', 'Unknown', 'Paused', false],
  ['Autoscaling', 'False', 'ForeignAutoscaler', true],
  ['Autoscaling', 'False', 'NotConfigured', false],
  ['Degraded', 'True', 'ForeignObject', true],
  ['Degraded', 'False', 'MonitoringUnavailable', false],
] as const)
  test(`${type}=${status} (${reason}) is ${news ? 'a warning' : 'no news'}`, () => {
    const { announcer: said, told } = announcer();
    said.announce(FLEET, [], saying(type, status, reason), SINCE_MS);
    assert.deepEqual(told, news ? [`WavryRelay/eu Warning ${reason}: a message`] : []);
    assert.equal(newsAtMs(saying(type, status, reason), SINCE_MS), undefined);
  });

test('what is only starting becomes news when it takes long', () => {
  const { announcer: said, told } = announcer();
  const status = saying('Ready', 'False', 'Starting');
  said.announce(FLEET, [], status, SINCE_MS + 44_999);
  assert.deepEqual(told, []);
  assert.equal(newsAtMs(status, SINCE_MS + 44_999), SINCE_MS + 45_000);
  said.announce(FLEET, [], status, SINCE_MS + 45_000);
  assert.equal(told.length, 1);
  assert.equal(newsAtMs(status, SINCE_MS + 45_000), undefined);
});
