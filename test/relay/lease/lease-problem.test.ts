import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEASE_REFUSALS, LeaseProblem } from '../../../relay/lease/lease-problem.ts';
import { RejectReason } from '../../../relay/protocol/lease-reject.ts';

const AUTH = { reply: RejectReason.InvalidSignature, counters: ['auth_reject_packets'] };
const INVALID = { reply: undefined, counters: ['invalid_packets'] };

/** "What a bad lease gets" (wire reference 2), row by row. */
const rows = [
  {
    row: 'not a v4.public token, signature wrong, role mismatch, key id mismatch, empty token',
    problems: [
      LeaseProblem.NotV4Public,
      LeaseProblem.BadSignature,
      LeaseProblem.NoKey,
      LeaseProblem.RoleMismatch,
      LeaseProblem.KeyIdMismatch,
      LeaseProblem.EmptyToken,
    ],
    refusal: AUTH,
  },
  {
    row: 'expired',
    problems: [LeaseProblem.Expired],
    refusal: { reply: RejectReason.Expired, counters: ['auth_reject_packets', 'expired_lease_rejects'] },
  },
  {
    row: "rid missing or another relay's",
    problems: [LeaseProblem.WrongRelay],
    refusal: { reply: RejectReason.WrongRelay, counters: ['wrong_relay_rejects'] },
  },
  {
    row: 'malformed claims, session id mismatch, not yet valid, horizon too far',
    problems: [
      LeaseProblem.MalformedClaims,
      LeaseProblem.OtherSession,
      LeaseProblem.NotYetValid,
      LeaseProblem.HorizonTooFar,
    ],
    refusal: INVALID,
  },
];

for (const { row, problems, refusal } of rows) {
  test(`what a bad lease gets: ${row}`, () => {
    for (const problem of problems) assert.deepEqual(LEASE_REFUSALS[problem], refusal, problem);
  });
}

test('every problem has its row', () => {
  assert.deepEqual(rows.flatMap((row) => row.problems).sort(), Object.values(LeaseProblem).sort());
});
