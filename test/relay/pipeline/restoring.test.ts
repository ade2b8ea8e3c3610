import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRecord, readRecord } from '../../../relay/session/record.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { Harness, RELAY_ID } from './harness.ts';
import type { HarnessOptions } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '[2001:db8::2]:4002';

/** The relay was killed and started again `downMs` later: only the records are left. */
function restart(before: Harness, downMs: number, options: HarnessOptions = {}): Harness {
  const records = Array.from({ length: 100 }, (_, slot) => before.record(slot)).filter((record) => record);
  const after = new Harness({
    ...options,
    startMs: 5000,
    startWallMs: before.wallMs + downMs,
    seed: Uint32Array.of(9, 8, 7, 6),
  });
  for (const record of records) assert.equal(after.restore(record!), true);
  return after;
}

test('an active session goes on after a restart as if nothing had been', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER, { soft: 30_000, hard: 60_000, iat: 123.456 });
  before.rift(1, CLIENT, 5000);
  const after = restart(before, 4000);
  assert.equal(after.pipeline.heldSessions, 1);
  assert.equal(after.pipeline.activeSessions, 1);
  assert.equal(after.admission.held, 1);
  assert.deepEqual(after.dirty, [0]);
  const there = after.rift(1, CLIENT, 5001);
  const back = after.rift(1, SERVER, 1);
  assert.deepEqual(
    [there.kind === 'forward' && there.to, back.kind === 'forward' && back.to],
    [SERVER, CLIENT],
  );
  const ack = after.renew(1, CLIENT);
  assert.deepEqual(ack.kind === 'ack' && [ack.soft, ack.hard], [30_000, 60_000]);
  assert.equal(ack.kind === 'ack' && ack.expiresMs, before.wallMs + 900_000);
  after.balanced();
});

test('a waiting session is restored as waiting; its second peer is admitted even in a drain', () => {
  const before = new Harness();
  before.present(1, Role.Server, {}, SERVER);
  const after = restart(before, 1000);
  assert.equal(after.pipeline.activeSessions, 0);
  assert.equal(after.rift(1, SERVER, 1).kind, 'drop');
  after.admission.setDraining(after.nowMs - 60_000, after.wallMs - 60_000);
  assert.equal(after.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  assert.equal(after.rift(1, SERVER, 2).kind, 'forward');
  after.balanced();
});

test('the first sequence after a restart opens the window, whatever it is; after that it is one', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER);
  before.rift(1, CLIENT, 5000);
  const after = restart(before, 1000);
  assert.equal(after.rift(1, CLIENT, 4000).kind, 'forward');
  assert.deepEqual(after.rift(1, CLIENT, 4000), { kind: 'drop', counter: 'replay_dropped_packets' });
  assert.equal(after.rift(1, CLIENT, 5001).kind, 'forward');
  after.balanced();
});

test('hijack: after a restart no port is followed until the peer’s address has shown its ids', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER);
  before.rift(1, CLIENT, 5000);
  const after = restart(before, 1000);
  after.pass(3000);
  for (const id of [1, 5000, 5001, 5002]) {
    assert.deepEqual(after.rift(1, '192.0.2.1:5001', id), { kind: 'drop', counter: 'unknown_peer_packets' });
  }
  after.rift(1, CLIENT, 5001);
  after.pass(2000);
  assert.equal(after.rift(1, '192.0.2.1:5001', 5002).kind, 'forward');
  after.balanced();
});

test('hijack: identities and token dates survive a restart', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER, { iat: 5000 });
  const after = restart(before, 1000);
  assert.deepEqual(after.present(1, Role.Client, { sub: 'mallory', iat: 9000 }, '203.0.113.3:1'), {
    kind: 'reject',
    reason: 2,
    counter: 'auth_reject_packets',
  });
  const stranger = { kind: 'drop', counter: 'unknown_peer_packets' };
  assert.deepEqual(after.present(1, Role.Client, { iat: 4999 }, '203.0.113.3:1'), stranger);
  // The stored addresses count as heard at the start: a copied token does not move a peer at once.
  assert.deepEqual(after.present(1, Role.Client, { iat: 5000 }, '203.0.113.3:1'), stranger);
  after.rift(1, CLIENT, 1);
  after.pass(1500);
  assert.equal(after.takeDue(), undefined);
  assert.equal(after.present(1, Role.Client, { iat: 5001 }, '192.0.2.1:7777').kind, 'ack');
  after.balanced();
});

test('a session without token dates comes back without', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER, { iat: null });
  const after = restart(before, 1000);
  assert.equal(after.present(1, Role.Client, { iat: 1 }, '203.0.113.3:1').kind, 'drop');
  assert.equal(after.present(1, Role.Client, { iat: 1 }, CLIENT).kind, 'ack');
  after.balanced();
});

test('records are refused that are another relay’s, damaged, over, or further ahead than any life can be', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER, { exp: 900_000 });
  const record = before.record(0)!;
  const fresh = (wallMs: number): Harness => new Harness({ startWallMs: wallMs });
  assert.equal(fresh(before.wallMs + 899_999).restore(record), true);
  assert.equal(fresh(before.wallMs + 900_000).restore(record), false);
  assert.equal(fresh(before.wallMs - 2_730_000).restore(record), true);
  assert.equal(fresh(before.wallMs - 2_730_001).restore(record), false);
  const long = new Harness({
    limits: { leaseDurationMs: 7_200_000 },
    startWallMs: before.wallMs - 6_000_000,
  });
  assert.equal(long.restore(record), true);
  for (let byte = 0; byte < record.length; byte++) {
    const damaged = record.slice();
    damaged[byte] = damaged[byte]! ^ 0x10;
    const relay = fresh(before.wallMs);
    assert.equal(relay.restore(damaged), false, `byte ${byte}`);
    assert.equal(relay.admission.held, 0);
  }
  assert.equal(checkRecord(record, 0, RELAY_ID), 'sound');
  assert.equal(checkRecord(record, 0, 'another-relay'), 'other-relay');
  assert.equal(checkRecord(new Uint8Array(256), 0, RELAY_ID), 'free');
  assert.equal(checkRecord(record.slice(0, 255), 0, RELAY_ID), 'corrupt');
  assert.equal(readRecord(record, 0, 'another-relay'), undefined);
  for (const length of [0, 1, 255])
    assert.equal(fresh(before.wallMs).restore(record.slice(0, length)), false);
});

test('a session is restored once, and only where there is room', () => {
  const before = new Harness();
  before.pair(1, CLIENT, SERVER);
  before.pair(2, CLIENT, SERVER);
  const [first, second] = [before.record(0)!, before.record(1)!];
  const after = new Harness({ maxSessions: 1 });
  assert.equal(after.restore(first), true);
  assert.equal(after.restore(first), false);
  assert.equal(after.restore(second), false);
  assert.equal(after.pipeline.heldSessions, 1);
  assert.equal(after.admission.held, 1);
  assert.equal(before.record(2), undefined);
});

test('the journal hears of creation, peers, addresses, accepted leases and removal; of traffic once in 30 s', () => {
  const relay = new Harness({ limits: { leaseDurationMs: 900_000 } });
  const heard = (): number => relay.dirty.splice(0).length;
  relay.present(1, Role.Client, { exp: 1000 }, CLIENT);
  assert.equal(heard(), 1);
  relay.present(1, Role.Server, { exp: 1000 }, SERVER);
  assert.equal(heard(), 1);
  relay.renew(1, CLIENT);
  assert.equal(heard(), 1);
  relay.rift(1, CLIENT, 1);
  relay.rift(1, CLIENT, 2);
  assert.equal(heard(), 0);
  relay.pass(2000);
  relay.rift(1, '192.0.2.1:5001', 3);
  assert.equal(heard(), 1);
  for (let second = 0; second < 120; second++) {
    relay.live(1000);
    relay.rift(1, '192.0.2.1:5001', 100 + second);
    relay.rift(1, SERVER, 100 + second);
  }
  const renewals = heard();
  assert.ok(renewals >= 3 && renewals <= 4, `${renewals}`);
  assert.deepEqual(relay.removed, []);
  relay.live(80_000);
  assert.deepEqual(relay.removed, [0]);
  relay.balanced();
});
