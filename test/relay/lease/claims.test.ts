import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  DEFAULT_HARD_KBPS,
  DEFAULT_SOFT_KBPS,
  judgeClaims,
  type ClaimsContext,
  type LeaseGrant,
} from '../../../relay/lease/claims.ts';
import { LeaseProblem } from '../../../relay/lease/lease-problem.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { parseSessionId } from '../../../relay/protocol/session-id.ts';
import { NOW_MS, RELAY, SESSION, masterClaims, masterTime, outcomeOf } from './leases.ts';

const CONTEXT: ClaimsContext = {
  sessionId: parseSessionId(SESSION)!,
  role: Role.Client,
  relayId: RELAY,
  keyId: 'k1',
  nowMs: NOW_MS,
};
const WRONG_TYPES = [0, 1, true, false, [], {}, [SESSION], ''];

/** Judges Master's claims with some of them replaced (undefined: left out). */
function judged(changes: Record<string, unknown>, context: Partial<ClaimsContext> = {}): string {
  return outcomeOf(judgeClaims(claimsWith(changes), { ...CONTEXT, ...context }));
}

function claimsWith(changes: Record<string, unknown>): ReadonlyMap<string, unknown> {
  const claims = new Map(Object.entries({ ...masterClaims(), ...changes }));
  for (const [name, value] of Object.entries(changes)) if (value === undefined) claims.delete(name);
  return claims;
}

function granted(changes: Record<string, unknown>): LeaseGrant {
  const verdict = judgeClaims(claimsWith(changes), CONTEXT);
  assert.ok('grant' in verdict, outcomeOf(verdict));
  return verdict.grant;
}

test('what Master issues is accepted', () => {
  assert.deepEqual(granted({}), {
    subject: 'wavry-id-1',
    expiresMs: NOW_MS + 900_000.456789,
    validUntilMs: NOW_MS + 900_000.456789,
    issuedAtMs: NOW_MS + 0.456789,
    softKbps: 20_000,
    hardKbps: 40_000,
  });
});

test("sid: a UUID in either case, the header's, never nil", () => {
  assert.equal(judged({ sid: SESSION.toUpperCase() }), 'accepted');
  assert.equal(judged({ sid: SESSION.replace('5', '6') }), LeaseProblem.OtherSession);
  const nil = '00000000-0000-0000-0000-000000000000';
  assert.equal(judged({ sid: nil }, { sessionId: new Uint8Array(16) }), LeaseProblem.MalformedClaims);
  for (const sid of [undefined, null, 'x', SESSION.replaceAll('-', ''), `{${SESSION}}`, ...WRONG_TYPES]) {
    assert.equal(judged({ sid }), LeaseProblem.MalformedClaims, JSON.stringify(sid));
  }
});

test('sub: any text that is not blank, as it stands', () => {
  assert.equal(granted({ sub: ' x ' }).subject, ' x ');
  assert.equal(granted({ sub: '日本' }).subject, '日本');
  for (const sub of [undefined, null, ' ', '\t\n', '\u2003', '\ud800', ...WRONG_TYPES]) {
    assert.equal(judged({ sub }), LeaseProblem.MalformedClaims, JSON.stringify(sub));
  }
});

test("role: the role byte's; another text is a mismatch, another type malformed", () => {
  assert.equal(judged({ role: 'server' }, { role: Role.Server }), 'accepted');
  for (const role of ['server', 'Client', 'admin', '']) {
    assert.equal(judged({ role }), LeaseProblem.RoleMismatch);
  }
  for (const role of [undefined, null, 0, 1, {}, ['client']]) {
    assert.equal(judged({ role }), LeaseProblem.MalformedClaims);
  }
});

test("rid: this relay's; missing or another one is the wrong relay", () => {
  for (const rid of [undefined, null, '', 'relay-8', 'RELAY-7', ' relay-7']) {
    assert.equal(judged({ rid }), LeaseProblem.WrongRelay);
  }
  for (const rid of [7, {}, [RELAY]]) assert.equal(judged({ rid }), LeaseProblem.MalformedClaims);
});

test("kid: the signing key's where that is known, else anything or nothing", () => {
  for (const kid of [undefined, null, '', 'k2', 'K1']) {
    assert.equal(judged({ kid }), LeaseProblem.KeyIdMismatch);
    assert.equal(judged({ kid }, { keyId: undefined }), 'accepted');
  }
  for (const kid of [1, {}, ['k1']]) {
    assert.equal(judged({ kid }), LeaseProblem.MalformedClaims);
    assert.equal(judged({ kid }, { keyId: undefined }), LeaseProblem.MalformedClaims);
  }
});

test('exp_rfc3339: expired from 30 s after it', () => {
  const expiry = (ms: number): Record<string, unknown> => ({
    exp_rfc3339: new Date(NOW_MS + ms).toISOString(),
    iat_rfc3339: undefined,
  });
  assert.equal(judged(expiry(1)), 'accepted');
  assert.equal(judged(expiry(-29_999)), 'accepted');
  assert.equal(judged(expiry(-30_000)), LeaseProblem.Expired);
  assert.equal(judged(expiry(-3_600_000)), LeaseProblem.Expired);
});

test('exp_rfc3339: more than 3600 s ahead is too far', () => {
  assert.equal(judged({ exp_rfc3339: '2026-02-13T11:00:00Z' }), 'accepted');
  assert.equal(judged({ exp_rfc3339: '2026-02-13T11:00:00.001Z' }), LeaseProblem.HorizonTooFar);
  assert.equal(judged({ exp_rfc3339: '9999-12-31T23:59:59Z' }), LeaseProblem.HorizonTooFar);
});

test('exp_rfc3339 is required and RFC 3339', () => {
  for (const exp_rfc3339 of [undefined, null, 'soon', 1_770_984_000, ...WRONG_TYPES]) {
    assert.equal(judged({ exp_rfc3339 }), LeaseProblem.MalformedClaims);
  }
});

test('nbf_rfc3339 and iat_rfc3339: at most 30 s ahead, and not needed', () => {
  for (const name of ['nbf_rfc3339', 'iat_rfc3339', 'nbf', 'iat']) {
    assert.equal(judged({ [name]: '2026-02-13T10:00:30Z' }), 'accepted', name);
    assert.equal(judged({ [name]: '2026-02-13T10:00:30.001Z' }), LeaseProblem.NotYetValid, name);
    assert.equal(judged({ [name]: '2020-01-01T00:00:00Z' }), 'accepted', name);
    for (const absent of [undefined, null]) assert.equal(judged({ [name]: absent }), 'accepted', name);
    for (const value of ['now', '2026-02-13', ...WRONG_TYPES]) {
      assert.equal(judged({ [name]: value }), LeaseProblem.MalformedClaims, name);
    }
  }
});

test('iat_rfc3339 lies before exp_rfc3339', () => {
  const at = '2026-02-13T10:00:10Z';
  assert.equal(judged({ exp_rfc3339: at, iat_rfc3339: at }), LeaseProblem.MalformedClaims);
  assert.equal(
    judged({ exp_rfc3339: at, iat_rfc3339: '2026-02-13T10:00:10.001Z' }),
    LeaseProblem.MalformedClaims,
  );
  assert.equal(judged({ exp_rfc3339: at, iat_rfc3339: '2026-02-13T10:00:09.999Z' }), 'accepted');
});

test('a lease without issue time is one of unknown age', () => {
  assert.equal(granted({ iat_rfc3339: undefined }).issuedAtMs, undefined);
});

test('fault 11: the registered exp, nbf and iat get the same 30 s of tolerance', () => {
  // Master's clock a second ahead of ours, which today's relay refuses; then as far as the tolerance goes, both ways.
  for (const aheadMs of [1000, 29_999, -29_999]) {
    assert.equal(
      outcomeOf(judgeClaims(new Map(Object.entries(masterClaims(NOW_MS + aheadMs))), CONTEXT)),
      'accepted',
    );
  }
  assert.equal(judged({ exp: '2026-02-13T09:59:30.001Z' }), 'accepted');
  assert.equal(judged({ exp: '2026-02-13T09:59:30Z' }), LeaseProblem.Expired);
  assert.equal(judged({ exp: '9999-12-31T23:59:59Z' }), 'accepted', 'no horizon for the registered one');
  assert.equal(judged({ exp: undefined, nbf: undefined, iat: undefined }), 'accepted', 'nor are they missed');
  for (const exp of ['x', 1_770_984_000, {}]) assert.equal(judged({ exp }), LeaseProblem.MalformedClaims);
});

test('the registered exp never shortens or lengthens what a lease grants', () => {
  const { expiresMs, validUntilMs } = granted({ exp: '2026-02-13T10:00:01Z' });
  assert.equal(expiresMs, NOW_MS + 900_000.456789);
  assert.equal(validUntilMs, NOW_MS + 1000, 'but presenting it again ends with the earlier of the two');
  assert.equal(granted({ exp: undefined }).validUntilMs, expiresMs);
});

test('limits: defaults, at least 1000 soft, hard never below soft', () => {
  const limits = (slimit: unknown, hlimit: unknown): [number, number] => {
    const { softKbps, hardKbps } = granted({ slimit, hlimit });
    return [softKbps, hardKbps];
  };
  assert.deepEqual(limits(undefined, undefined), [DEFAULT_SOFT_KBPS, DEFAULT_HARD_KBPS]);
  assert.deepEqual([DEFAULT_SOFT_KBPS, DEFAULT_HARD_KBPS], [50_000, 100_000]);
  assert.deepEqual(limits(null, null), [50_000, 100_000]);
  assert.deepEqual(limits(0, undefined), [1000, 100_000]);
  assert.deepEqual(limits(999, 0), [1000, 1000]);
  assert.deepEqual(limits(1001, 1000), [1001, 1001]);
  assert.deepEqual(limits(undefined, 70_000), [50_000, 70_000]);
  assert.deepEqual(limits(undefined, 10), [50_000, 50_000]);
  assert.deepEqual(limits(200_000, undefined), [200_000, 200_000]);
  assert.deepEqual(limits(0xffff_ffff, 0xffff_ffff), [0xffff_ffff, 0xffff_ffff]);
});

test('limits that are no u32 are malformed', () => {
  for (const name of ['slimit', 'hlimit']) {
    for (const value of [-1, 0.5, 2 ** 32, 1e300, '1000', true, [], {}]) {
      assert.equal(
        judged({ [name]: value }),
        LeaseProblem.MalformedClaims,
        `${name} ${JSON.stringify(value)}`,
      );
    }
  }
});

test('claims that a relay has no use for are ignored', () => {
  assert.equal(judged({ iss: 5, aud: [], jti: null, anything: { at: 'all' } }), 'accepted');
});

/** One way to spoil each claim, in the order in which they are asked. */
const SPOILED: readonly (readonly [string, Record<string, unknown>, LeaseProblem])[] = [
  ['sid', { sid: SESSION.replace('5', '6') }, LeaseProblem.OtherSession],
  ['sub', { sub: ' ' }, LeaseProblem.MalformedClaims],
  ['role', { role: 'server' }, LeaseProblem.RoleMismatch],
  ['rid', { rid: 'relay-8' }, LeaseProblem.WrongRelay],
  ['kid', { kid: 'k2' }, LeaseProblem.KeyIdMismatch],
  ['exp', { exp: masterTime(NOW_MS - 40_000) }, LeaseProblem.Expired],
  ['horizon', { exp_rfc3339: masterTime(NOW_MS + 4_000_000) }, LeaseProblem.HorizonTooFar],
  ['nbf', { nbf_rfc3339: masterTime(NOW_MS + 40_000) }, LeaseProblem.NotYetValid],
  ['iat', { iat_rfc3339: 'never' }, LeaseProblem.MalformedClaims],
  ['limits', { slimit: -1 }, LeaseProblem.MalformedClaims],
];

test('of any faults the first in the order of the reference decides', () => {
  fc.assert(
    fc.property(fc.subarray([...SPOILED], { minLength: 1 }), (faults) => {
      const changes = Object.assign({}, ...faults.map(([, change]) => change)) as Record<string, unknown>;
      assert.equal(judged(changes), faults[0]![2], faults.map(([name]) => name).join(', '));
    }),
    { numRuns: 500 },
  );
});

test('any values in any claims give a verdict, and a grant stays within its bounds', () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 1 }),
    fc.constantFrom(
      SESSION,
      'client',
      RELAY,
      'k1',
      masterTime(NOW_MS),
      masterTime(NOW_MS + 60_000),
      1e9,
      undefined,
    ),
  );
  const names = Object.keys(masterClaims());
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 }), (changes) => {
      const verdict = judgeClaims(claimsWith(changes), CONTEXT);
      if ('problem' in verdict) {
        assert.ok(Object.values(LeaseProblem).includes(verdict.problem));
        return;
      }
      const { expiresMs, softKbps, hardKbps } = verdict.grant;
      assert.ok(expiresMs > NOW_MS - 30_000 && expiresMs <= NOW_MS + 3_600_000);
      assert.ok(softKbps >= 1000 && hardKbps >= softKbps && hardKbps <= 0xffff_ffff);
    }),
    { numRuns: 1000 },
  );
});
