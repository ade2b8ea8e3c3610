import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRing, newKeyRing, withAnswer } from '../../../relay/lease/key-ring.ts';
import { verifyLease } from '../../../relay/lease/verify-lease.ts';
import { HEADER_BYTES, MessageType, writeHeader } from '../../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../../relay/protocol/lease-present.ts';
import { leaseRenewDatagram } from '../../../relay/protocol/lease-renew.ts';
import { writeRiftTransport } from '../../../relay/protocol/rift.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { parseSessionId } from '../../../relay/protocol/session-id.ts';
import {
  ALPHA,
  BETA,
  keyOf,
  masterClaims,
  masterTime,
  NOW_MS,
  RELAY,
  SESSION,
  signV4Public,
} from '../lease/leases.ts';
import type { Signer } from '../lease/leases.ts';
import { Harness } from './harness.ts';
import type { HarnessOptions, Outcome } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const ID = parseSessionId(SESSION)!;

interface Relay {
  readonly relay: Harness;
  keys: KeyRing;
}

/** A pipeline that verifies Ed25519 signatures, as in the relay. */
function relayWith(options: HarnessOptions = {}): Relay {
  const state: Relay = {
    keys: new KeyRing(newKeyRing([keyOf(ALPHA, 'k1')])),
    relay: new Harness({
      ...options,
      startWallMs: NOW_MS,
      verify: (token, sessionId, role, nowMs, insecureIdentity) =>
        verifyLease(token, sessionId, role, { relayId: RELAY, keyRing: state.keys, nowMs, insecureIdentity }),
    }),
  };
  return state;
}

function lease(changes: Record<string, unknown> = {}, signer: Signer = ALPHA): string {
  return signV4Public(JSON.stringify({ ...masterClaims(), ...changes }), signer.privateKey);
}

function present(relay: Harness, token: string, role: Role = Role.Client, from: string = CLIENT): Outcome {
  return relay.send(leasePresentDatagram(ID, role, token), from);
}

test('Master’s leases make a session that forwards', () => {
  const { relay } = relayWith();
  assert.deepEqual(present(relay, lease()), {
    kind: 'ack',
    to: CLIENT,
    expiresMs: NOW_MS + 900_000,
    soft: 20_000,
    hard: 40_000,
  });
  const server = lease({ role: 'server', sub: 'wavry-id-2', sid: SESSION.toUpperCase() });
  assert.equal(present(relay, server, Role.Server, SERVER).kind, 'ack');
  const packet = new Uint8Array(200);
  writeHeader(packet, 0, MessageType.Forward, ID, 0);
  writeRiftTransport(packet, HEADER_BYTES, 1, 0, 1);
  const there = relay.send(packet, CLIENT);
  assert.equal(there.kind === 'forward' && there.to, SERVER);
  assert.equal(relay.send(leaseRenewDatagram(ID), SERVER).kind, 'ack');
  assert.equal(relay.verifications, 2);
  present(relay, lease());
  assert.equal(relay.verifications, 2, 'Ed25519 signs the same bytes the same way');
  relay.balanced();
});

const soon = masterTime(NOW_MS + 31_000);
const cases: [string, string, Role, Outcome][] = [
  [
    'not a v4.public token',
    'v4.local.AAAA',
    0,
    { kind: 'reject', reason: 2, counter: 'auth_reject_packets' },
  ],
  ['another signature', lease({}, BETA), 0, { kind: 'reject', reason: 2, counter: 'auth_reject_packets' }],
  ['role mismatch', lease(), 1, { kind: 'reject', reason: 2, counter: 'auth_reject_packets' }],
  ['key id mismatch', lease({ kid: 'k2' }), 0, { kind: 'reject', reason: 2, counter: 'auth_reject_packets' }],
  [
    'expired',
    lease({ exp_rfc3339: masterTime(NOW_MS - 31_000), iat_rfc3339: masterTime(NOW_MS - 60_000) }),
    0,
    { kind: 'reject', reason: 1, counter: 'auth_reject_packets' },
  ],
  ['no relay', lease({ rid: undefined }), 0, { kind: 'reject', reason: 3, counter: 'wrong_relay_rejects' }],
  ['another relay', lease({ rid: 'else' }), 0, { kind: 'reject', reason: 3, counter: 'wrong_relay_rejects' }],
  ['malformed claims', lease({ sub: '' }), 0, { kind: 'drop', counter: 'invalid_packets' }],
  [
    'session id mismatch',
    lease({ sid: '550e8400-e29b-41d4-a716-446655440001' }),
    0,
    { kind: 'drop', counter: 'invalid_packets' },
  ],
  ['not yet valid', lease({ nbf_rfc3339: soon }), 0, { kind: 'drop', counter: 'invalid_packets' }],
  [
    'horizon too far',
    lease({ exp_rfc3339: masterTime(NOW_MS + 3_601_000) }),
    0,
    { kind: 'drop', counter: 'invalid_packets' },
  ],
];
for (const [name, token, role, expected] of cases) {
  test(`what a bad lease gets: ${name}`, () => {
    const { relay } = relayWith();
    assert.deepEqual(present(relay, token, role), expected);
    assert.equal(relay.pipeline.heldSessions, 0);
    relay.balanced();
  });
}

test('fault 11: a relay whose clock is behind Master’s takes a fresh lease', () => {
  const { relay } = relayWith();
  const fresh = signV4Public(JSON.stringify(masterClaims(NOW_MS + 29_000)), ALPHA.privateKey);
  assert.equal(present(relay, fresh).kind, 'ack');
  relay.balanced();
});

test('fault 13: after a key rotation new leases are taken, and sessions of the old key go on', () => {
  const state = relayWith();
  const { relay } = state;
  state.keys = new KeyRing(withAnswer(newKeyRing([]), keyOf(ALPHA, 'k1'), NOW_MS));
  assert.equal(present(relay, lease()).kind, 'ack');
  let ring = withAnswer(newKeyRing([]), keyOf(ALPHA, 'k1'), NOW_MS);
  ring = withAnswer(ring, keyOf(BETA, 'k2'), NOW_MS);
  state.keys = new KeyRing(ring);
  const server = lease({ kid: 'k2', role: 'server', sub: 'wavry-id-2' }, BETA);
  assert.equal(present(relay, server, Role.Server, SERVER).kind, 'ack');
  assert.equal(relay.pipeline.activeSessions, 1);
  relay.balanced();
});

test('insecure development mode: no signature is asked for, and a session is bound to addresses', () => {
  const { relay } = relayWith({ insecure: true });
  const unsigned = lease({}, BETA);
  assert.equal(present(relay, unsigned).kind, 'ack');
  assert.equal(present(relay, unsigned, Role.Client, SERVER).kind, 'reject');
  assert.equal(present(relay, lease({ rid: 'else' }, BETA)).kind, 'reject');
  relay.balanced();
});
