import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { Harness } from './harness.ts';
import type { Outcome } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';

function refused(
  counter: 'session_full_rejects' | 'overload_shed_packets' | 'drain_refused_packets',
): Outcome {
  return { kind: 'reject', reason: 4, counter };
}

test('fault 19: capacity is asked before overload, so session_full_rejects counts', () => {
  const relay = new Harness({ maxSessions: 2, shedPct: 50 });
  assert.equal(relay.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(2, Role.Client, {}, CLIENT), refused('overload_shed_packets'));
  const full = new Harness({ maxSessions: 2 });
  full.present(1, Role.Client, {}, CLIENT);
  full.present(2, Role.Client, {}, CLIENT);
  full.admission.setShedding(true);
  assert.deepEqual(full.present(3, Role.Client, {}, CLIENT), refused('session_full_rejects'));
  relay.balanced();
  full.balanced();
});

test('the shed threshold: 95 of 100 sessions are held, the next is shed, waiting ones count', () => {
  const relay = new Harness({ maxSessions: 100, shedPct: 95 });
  for (let session = 0; session < 95; session++) {
    assert.equal(relay.present(session, Role.Client, {}, CLIENT).kind, 'ack', `${session}`);
  }
  assert.deepEqual(relay.present(95, Role.Client, {}, CLIENT), refused('overload_shed_packets'));
  assert.equal(relay.admission.held, 95);
  relay.balanced();
});

test('sessions that exist, and second peers, are refused by neither capacity nor overload nor drain', () => {
  const relay = new Harness({ maxSessions: 1 });
  relay.present(1, Role.Client, {}, CLIENT);
  relay.admission.setShedding(true);
  relay.admission.setDraining(relay.nowMs - 100_000, relay.wallMs - 100_000);
  assert.equal(relay.present(1, Role.Server, {}, SERVER).kind, 'ack');
  assert.equal(relay.present(1, Role.Client, { iat: 60_000 }, CLIENT).kind, 'ack');
  assert.equal(relay.present(1, Role.Client, { iat: 70_000 }, '192.0.2.1:5001').kind, 'ack');
  assert.equal(relay.renew(1, SERVER).kind, 'ack');
  assert.equal(relay.rift(1, SERVER, 1).kind, 'forward');
  relay.balanced();
});

test('overload counts genuine leases only', () => {
  const relay = new Harness();
  relay.admission.setShedding(true);
  relay.present(1, Role.Client, { problem: 'bad-signature' }, CLIENT);
  relay.present(1, Role.Client, { problem: 'wrong-relay' }, CLIENT);
  relay.present(1, Role.Client, { exp: -60_000 }, CLIENT);
  assert.equal(relay.count('overload_shed_packets'), 0);
  relay.present(1, Role.Client, {}, CLIENT);
  assert.equal(relay.count('overload_shed_packets'), 1);
  assert.equal(relay.admission.held, 0);
  relay.admission.setShedding(false);
  assert.equal(relay.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  relay.balanced();
});

test('fault 7: a drain honours what Master handed out before it heard, for 10 s', () => {
  const relay = new Harness();
  relay.pass(60_000);
  relay.admission.setDraining(relay.nowMs, relay.wallMs);
  assert.equal(relay.present(1, Role.Client, { iat: 59_000 }, CLIENT).kind, 'ack');
  assert.equal(relay.present(2, Role.Client, { iat: 65_000 }, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(3, Role.Client, { iat: 65_001 }, CLIENT), refused('drain_refused_packets'));
  relay.pass(9999);
  assert.equal(relay.present(4, Role.Client, { iat: 59_000 }, CLIENT).kind, 'ack');
  assert.equal(relay.present(5, Role.Client, { iat: null }, CLIENT).kind, 'ack');
  relay.pass(1);
  assert.deepEqual(relay.present(6, Role.Client, { iat: 59_000 }, CLIENT), refused('drain_refused_packets'));
  assert.deepEqual(relay.present(7, Role.Client, { iat: null }, CLIENT), refused('drain_refused_packets'));
  assert.equal(relay.present(1, Role.Server, { iat: 69_000 }, SERVER).kind, 'ack');
  relay.balanced();
});

test('the 10 s of a drain are monotonic: a clock step neither ends nor prolongs them', () => {
  const relay = new Harness();
  relay.pass(60_000);
  relay.admission.setDraining(relay.nowMs, relay.wallMs);
  relay.wallMs += 20_000;
  assert.equal(relay.present(1, Role.Client, { iat: 60_000 }, CLIENT).kind, 'ack');
  relay.wallMs -= 40_000;
  relay.pass(10_000);
  assert.equal(relay.present(2, Role.Client, { iat: 60_000 }, CLIENT).kind, 'reject');
  relay.balanced();
});

test('a drain that ends admits again', () => {
  const relay = new Harness();
  relay.admission.setDraining(relay.nowMs - 60_000, relay.wallMs - 60_000);
  assert.deepEqual(relay.present(1, Role.Client, {}, CLIENT), refused('drain_refused_packets'));
  relay.admission.setDraining(undefined, 0);
  assert.equal(relay.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  relay.balanced();
});

test('places are shared: another worker’s sessions count, and a full table gives its place back', () => {
  const relay = new Harness({ maxSessions: 3, capacity: 2 });
  assert.equal(relay.admission.tryHold(), true);
  assert.equal(relay.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  assert.equal(relay.present(2, Role.Client, {}, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(3, Role.Client, {}, CLIENT), refused('session_full_rejects'));
  relay.admission.release();
  assert.deepEqual(relay.present(3, Role.Client, {}, CLIENT), refused('session_full_rejects'));
  assert.equal(relay.admission.held, 2);
  relay.live(80_000);
  assert.equal(relay.admission.held, 0);
  relay.balanced();
});
