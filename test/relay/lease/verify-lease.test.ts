import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { KeyRing, PREVIOUS_KEY_MS, newKeyRing, withAnswer } from '../../../relay/lease/key-ring.ts';
import { LeaseProblem } from '../../../relay/lease/lease-problem.ts';
import { verifyLease, type LeaseContext, type LeaseVerdict } from '../../../relay/lease/verify-lease.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { parseSessionId } from '../../../relay/protocol/session-id.ts';
import {
  ALPHA,
  BETA,
  NOW_MS,
  RELAY,
  SESSION,
  keyOf,
  masterClaims,
  outcomeOf,
  signV4Public,
} from './leases.ts';

const SESSION_ID = parseSessionId(SESSION)!;
const CONTEXT: LeaseContext = {
  relayId: RELAY,
  keyRing: new KeyRing(newKeyRing([keyOf(ALPHA, 'k1')])),
  nowMs: NOW_MS,
};
const MASTER_TOKEN = tokenOf({});

function tokenOf(changes: Record<string, unknown>, signer = ALPHA, footer = ''): string {
  return signV4Public(JSON.stringify({ ...masterClaims(), ...changes }), signer.privateKey, footer);
}

function verify(token: string, context: Partial<LeaseContext> = {}, role: Role = Role.Client): LeaseVerdict {
  return verifyLease(new TextEncoder().encode(token), SESSION_ID, role, { ...CONTEXT, ...context });
}

function outcome(token: string, context: Partial<LeaseContext> = {}): string {
  return outcomeOf(verify(token, context));
}

test('a lease of Master', () => {
  const verdict = verify(MASTER_TOKEN);
  assert.deepEqual(verdict, {
    lease: {
      sessionId: SESSION_ID,
      role: Role.Client,
      identity: 'wavry-id-1',
      identityHash: createHash('sha256').update('wavry-id-1').digest(),
      issuedAtMs: NOW_MS + 0.456789,
      expiresMs: NOW_MS + 900_000.456789,
      validUntilMs: NOW_MS + 900_000.456789,
      softKbps: 20_000,
      hardKbps: 40_000,
    },
  });
});

test('the lease keeps nothing of the buffers it was read from', () => {
  const session = Buffer.from(SESSION_ID);
  const token = new TextEncoder().encode(MASTER_TOKEN);
  const verdict = verifyLease(token, session, Role.Client, CONTEXT);
  session.fill(0);
  token.fill(0);
  assert.ok('lease' in verdict);
  assert.deepEqual(verdict.lease.sessionId, SESSION_ID);
  assert.equal(verdict.lease.identity, 'wavry-id-1');
});

test('a token in the middle of a receive buffer', () => {
  const buffer = Buffer.from(`..${MASTER_TOKEN}..`);
  const token = buffer.subarray(2, 2 + MASTER_TOKEN.length);
  assert.equal(outcomeOf(verifyLease(token, SESSION_ID, Role.Client, CONTEXT)), 'accepted');
});

test('a token with a footer verifies when its signature does', () => {
  assert.equal(outcome(tokenOf({}, ALPHA, '{"kid":"other"}')), 'accepted');
});

test("the role byte has to be the claim's", () => {
  assert.equal(outcomeOf(verify(MASTER_TOKEN, {}, Role.Server)), LeaseProblem.RoleMismatch);
  assert.equal(outcomeOf(verify(tokenOf({ role: 'server' }), {}, Role.Server)), 'accepted');
});

test('token form and signature come before anything in the payload', () => {
  assert.equal(outcome(''), LeaseProblem.EmptyToken);
  assert.equal(outcome('v4.public.x'), LeaseProblem.NotV4Public);
  assert.equal(outcome(`v4.public.${'A'.repeat(8183)}`), LeaseProblem.NotV4Public);
  assert.equal(outcome(MASTER_TOKEN.replace('v4.public.', 'v4.local.')), LeaseProblem.NotV4Public);
  assert.equal(outcome(tokenOf({}, BETA)), LeaseProblem.BadSignature);
  assert.equal(outcome(tokenOf({ sid: 5, rid: 'x' }, BETA)), LeaseProblem.BadSignature);
  assert.equal(outcome(signV4Public('no json', BETA.privateKey)), LeaseProblem.BadSignature);
});

test('a payload that Master signed and that is no object with single claims is malformed', () => {
  const claims = JSON.stringify(masterClaims());
  for (const payload of [
    'no json',
    '[]',
    JSON.stringify(claims),
    claims.replace('{', '{"sub":"other",'),
    claims.replace('{', String.raw`{"\u0073id":"${SESSION}",`),
  ]) {
    assert.equal(outcome(signV4Public(payload, ALPHA.privateKey)), LeaseProblem.MalformedClaims, payload);
  }
});

test('a key that is known and a kid that is not its own: key id mismatch, in its place behind rid', () => {
  for (const kid of ['k2', undefined]) {
    assert.equal(outcome(tokenOf({ kid })), LeaseProblem.KeyIdMismatch);
    assert.equal(outcome(tokenOf({ kid, rid: 'relay-8' })), LeaseProblem.WrongRelay);
    assert.equal(outcome(tokenOf({ kid, exp_rfc3339: '2020-01-01T00:00:00Z' })), LeaseProblem.KeyIdMismatch);
  }
});

test('a key whose id nobody told takes leases with any kid and with none', () => {
  const keyRing = new KeyRing(newKeyRing([keyOf(BETA), keyOf(ALPHA)]));
  for (const kid of ['k1', 'k2', undefined]) assert.equal(outcome(tokenOf({ kid }), { keyRing }), 'accepted');
  assert.equal(outcome(tokenOf({ kid: `k${ALPHA.hex.slice(0, 16)}` }), { keyRing }), 'accepted');
  const otherDerived = tokenOf({ kid: `k${BETA.hex.slice(0, 16)}` });
  assert.equal(outcome(otherDerived, { keyRing }), LeaseProblem.BadSignature);
});

test('no key known yet: every lease is refused', () => {
  assert.equal(outcome(MASTER_TOKEN, { keyRing: new KeyRing(newKeyRing([])) }), LeaseProblem.NoKey);
});

test('fault 13: after a key rotation the new leases are taken, and the old ones for an hour', () => {
  const before = withAnswer(newKeyRing([]), keyOf(ALPHA, 'k1'), NOW_MS - 60_000);
  const keyRing = new KeyRing(withAnswer(before, keyOf(BETA, 'k2'), NOW_MS));
  assert.equal(outcome(tokenOf({ kid: 'k2' }, BETA), { keyRing }), 'accepted');
  assert.equal(outcome(MASTER_TOKEN, { keyRing }), 'accepted');
  const nowMs = NOW_MS + PREVIOUS_KEY_MS;
  const late = signV4Public(JSON.stringify(masterClaims(nowMs)), ALPHA.privateKey);
  assert.equal(outcome(late, { keyRing, nowMs }), LeaseProblem.BadSignature);
  assert.equal(outcome(late, { keyRing, nowMs: nowMs - 1 }), 'accepted');
});

test('insecure development mode skips signature and key id, and identifies by the source address', () => {
  const insecure = { insecureIdentity: '192.0.2.1:5000', keyRing: new KeyRing(newKeyRing([])) };
  const verdict = verify(tokenOf({ kid: 'whatever' }, BETA), insecure);
  assert.ok('lease' in verdict);
  assert.equal(verdict.lease.identity, '192.0.2.1:5000');
  assert.deepEqual(verdict.lease.identityHash, createHash('sha256').update('192.0.2.1:5000').digest());
  assert.equal(verdict.lease.softKbps, 20_000);
  assert.equal(outcome(tokenOf({ rid: 'relay-8' }), insecure), LeaseProblem.WrongRelay);
  assert.equal(outcome(tokenOf({ sub: '' }), insecure), LeaseProblem.MalformedClaims);
  assert.equal(outcome(tokenOf({ exp_rfc3339: '2020-01-01T00:00:00Z' }), insecure), LeaseProblem.Expired);
  assert.equal(outcome('dummy', insecure), LeaseProblem.NotV4Public);
});

test('any bytes for a token get a verdict, and none that Master has not signed is accepted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      const verdict = verifyLease(bytes, SESSION_ID, Role.Client, CONTEXT);
      assert.ok('problem' in verdict);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 900 }), (body) => {
      assert.notEqual(outcome(`v4.public.${Buffer.from(body).toString('base64url')}`), 'accepted');
    }),
  );
  fc.assert(
    fc.property(fc.nat(MASTER_TOKEN.length - 1), fc.nat(255), (at, byte) => {
      const bytes = new TextEncoder().encode(MASTER_TOKEN);
      const same = bytes[at] === byte;
      bytes[at] = byte;
      const verdict = verifyLease(bytes, SESSION_ID, Role.Client, CONTEXT);
      assert.equal('lease' in verdict, same);
    }),
    { numRuns: 300 },
  );
});

test('any payload in insecure mode, where a stranger writes it, gets a verdict', () => {
  const insecure = { insecureIdentity: '192.0.2.1:5000' };
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), (payload) => {
      assert.notEqual(outcome(signV4Public(payload, BETA.privateKey), insecure), 'accepted');
    }),
  );
});
