import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { failedPoll, readHealthAnswer, withSessionsBefore } from '../../../operator/fleet/health-answer.ts';

const UID = '6f9f1c0e-9d6c-4f3e-8d57-3f3a1f0f3b6a';
const GOOD = {
  relay_id: UID,
  state: 'serving',
  registered_with_master: true,
  draining: false,
  total_sessions: 3,
  active_sessions: 2,
  max_sessions: 100,
  endpoints: ['203.0.113.7:4000'],
  not_ready_reason: null,
};

const read = (answer: unknown): unknown => readHealthAnswer(JSON.stringify(answer), UID, 77);

for (const [name, change, complaint] of [
  ['sessions below zero', { total_sessions: -1 }, /total_sessions/],
  ['half a session', { active_sessions: 1.5 }, /active_sessions/],
  ['more sessions than there can be', { total_sessions: 1e9 }, /total_sessions/],
  ['sessions as text', { max_sessions: '100' }, /max_sessions/],
  ['a state of its own', { state: 'empty' }, /state/],
  ['a yes that is a word', { registered_with_master: 'true' }, /registered_with_master/],
  ['too many endpoints', { endpoints: Array.from({ length: 65 }, () => '1.2.3.4:5') }, /endpoints/],
  ['an endpoint that never ends', { endpoints: ['x'.repeat(129)] }, /endpoints\/0/],
  ['a reason that never ends', { not_ready_reason: 'x'.repeat(2049) }, /not_ready_reason/],
  ['a name that never ends', { relay_id: 'x'.repeat(129) }, /relay_id/],
  ['a name that draws on the terminal', { relay_id: '\u{1b}[2J' }, /relay_id/],
  ['a name of another kind', { relay_id: 7 }, /relay_id/],
  ['a missing field', { draining: undefined }, /draining/],
] as const) {
  test(`a relay with ${name} is not believed, and the field named`, () => {
    assert.throws(() => read({ ...GOOD, ...change }), complaint);
  });
}

for (const text of ['', 'null', '[]', '7', '"serving"', '{', '<html>502</html>', '{"state":"serving"}']) {
  test(`${JSON.stringify(text)} is no answer`, () => {
    assert.throws(() => readHealthAnswer(text, UID, 1), /^Error: \/health answered/);
  });
}

test('what another relay says is no answer, and it is named; one that doesn’t say who it is is believed', () => {
  assert.throws(() => read({ ...GOOD, relay_id: 'other' }), {
    message: 'another relay answers at its address: other',
  });
  for (const nobody of ['', undefined]) {
    assert.deepEqual(read({ ...GOOD, relay_id: nobody }), read(GOOD));
  }
});

test('names that belong to JavaScript are only names', () => {
  const text = `{"__proto__":{"state":"drained"},${JSON.stringify(GOOD).slice(1)}`;
  assert.equal(readHealthAnswer(text, UID, 1).state, 'serving');
  assert.throws(() => readHealthAnswer(`{"__proto__":${JSON.stringify(GOOD)}}`, UID, 1), /required/);
});

test('whatever a relay says is either a poll within its bounds or an Error', () => {
  const field = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(...Object.values(GOOD)));
  const answer = fc.record(Object.fromEntries(Object.keys(GOOD).map((name) => [name, field])), {
    requiredKeys: [],
  });
  fc.assert(
    fc.property(fc.oneof(answer, fc.jsonValue()), (said) => {
      let poll: ReturnType<typeof readHealthAnswer>;
      try {
        poll = readHealthAnswer(JSON.stringify(said), UID, 5);
      } catch (error) {
        assert.ok(error instanceof Error, String(error));
        assert.match(
          error.message,
          /^(\/health answered|another relay answers at its address: [!-~]{1,128}$)/,
        );
        return;
      }
      assert.ok(Number.isSafeInteger(poll.totalSessions) && poll.totalSessions >= 0);
      assert.ok(poll.endpoints.length <= 64 && poll.endpoints.every((endpoint) => endpoint.length <= 128));
      assert.ok(['starting', 'serving', 'draining', 'drained'].includes(poll.state!));
      assert.deepEqual([poll.answeredMs, poll.error], [5, undefined]);
    }),
  );
});

test('a poll that failed keeps what was known, with the age of that, and the failure', () => {
  const last = readHealthAnswer(JSON.stringify(GOOD), UID, 40);
  const failed = failedPoll(last, 'no answer');
  assert.deepEqual(failed, { ...last, error: 'no answer' });
  const never = failedPoll(undefined, 'no answer');
  assert.deepEqual(
    [never.answeredMs, never.state, never.registered, never.error],
    [0, undefined, false, 'no answer'],
  );
});

test('a relay that starts again counts at what it said before, until it has restored its sessions', () => {
  const last = readHealthAnswer(JSON.stringify(GOOD), UID, 40);
  const zero = { ...GOOD, total_sessions: 0, active_sessions: 0 };
  const answer = (change: object) => readHealthAnswer(JSON.stringify({ ...zero, ...change }), UID, 50);
  const starting = answer({ state: 'starting', not_ready_reason: 'starting' });
  assert.deepEqual(withSessionsBefore(starting, last), { ...starting, totalSessions: 3, activeSessions: 2 });
  assert.deepEqual(withSessionsBefore(starting, undefined), starting);
  const restored = answer({ state: 'starting', not_ready_reason: 'not registered with Master' });
  assert.deepEqual(withSessionsBefore(restored, last), restored);
  assert.deepEqual(withSessionsBefore(answer({}), last), answer({}));
});
