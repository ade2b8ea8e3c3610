import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { WavryRelayStatus } from '../../../operator/api/status.ts';
import { statusDue } from '../../../operator/controller/status-writer.ts';

const NOW = 1_000_000;

function statusOf(
  sessions: number,
  state: 'Serving' | 'Draining' | 'Starting' = 'Serving',
  reason?: string,
): WavryRelayStatus {
  return {
    observedGeneration: 1,
    replicas: 1,
    totalSessions: sessions,
    relays: [{ name: 'a', state, sessions, ...(reason === undefined ? {} : { reason }) }],
  };
}

function withReady(message: string, reason = 'NotRegistered'): WavryRelayStatus {
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  return { conditions: [{ type: 'Ready', status: 'False', reason, message, lastTransitionTime }] };
}

test('a status that says the same is not written, however its fields are ordered', () => {
  const last = JSON.parse(
    '{"totalSessions":1,"replicas":1,"relays":[{"state":"Serving","sessions":1,"name":"a"}],"observedGeneration":1}',
  ) as WavryRelayStatus;
  assert.deepEqual(statusDue(last, statusOf(1), 0, NOW), { write: false, atMs: undefined });
});

test('session counts alone wait until half a minute after the last write', () => {
  assert.deepEqual(statusDue(statusOf(1), statusOf(2), NOW - 10_000, NOW), {
    write: false,
    atMs: NOW + 20_000,
  });
  assert.equal(statusDue(statusOf(1), statusOf(2), NOW - 30_000, NOW).write, true);
});

test('everything else is written at once, counts along with it', () => {
  assert.equal(statusDue(statusOf(1), statusOf(2, 'Draining'), NOW - 1, NOW).write, true);
  assert.equal(statusDue(undefined, statusOf(0), NOW - 1, NOW).write, true);
});

test('what a relay says of itself waits as well: it may say something else at each poll', () => {
  const saying = (words: string): WavryRelayStatus => statusOf(1, 'Starting', words);
  for (const [last, next] of [
    [saying('NotRegistered: a'), saying('NotRegistered: b')],
    [withReady('a'), withReady('b')],
    [
      { ...statusOf(1), sessionCapacity: 100 },
      { ...statusOf(1), sessionCapacity: 200 },
    ],
  ] as const) {
    assert.equal(statusDue(last, next, NOW - 10_000, NOW).write, false);
    assert.equal(statusDue(last, next, NOW - 30_000, NOW).write, true);
  }
  for (const [last, next] of [
    [saying('NotRegistered: a'), saying('NotReady: a')],
    [saying('NotRegistered: a'), statusOf(1, 'Starting')],
    [withReady('a'), withReady('a', 'NotReady')],
  ] as const)
    assert.equal(statusDue(last, next, NOW - 1, NOW).write, true);
});
