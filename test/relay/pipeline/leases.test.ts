import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEASE_REFUSALS, LeaseProblem } from '../../../relay/lease/lease-problem.ts';
import { parseAddress } from '../../../relay/protocol/address.ts';
import { HEADER_BYTES } from '../../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../../relay/protocol/lease-present.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { Harness, presentOf, sessionId, START_WALL_MS } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const STRANGER = '203.0.113.3:4003';

test('the first present makes a waiting session, the second role makes it active', () => {
  const relay = new Harness();
  assert.equal(relay.present(1, Role.Server, {}, SERVER).kind, 'ack');
  assert.equal(relay.pipeline.heldSessions, 1);
  assert.equal(relay.pipeline.activeSessions, 0);
  assert.equal(relay.present(1, Role.Client, {}, CLIENT).kind, 'ack');
  assert.equal(relay.pipeline.heldSessions, 1);
  assert.equal(relay.pipeline.activeSessions, 1);
  assert.equal(relay.admission.held, 1);
  assert.equal(relay.count('lease_present_packets'), 2);
  assert.equal(relay.count('lease_accepted_packets'), 2);
  relay.balanced();
});

test('fault 3: LEASE_ACK tells the session’s life: the token’s exp_rfc3339 where that is later than the lease duration', () => {
  const relay = new Harness();
  const long = relay.present(1, Role.Client, { exp: 900_000, soft: 20_000, hard: 40_000 }, CLIENT);
  assert.deepEqual(long, {
    kind: 'ack',
    to: CLIENT,
    expiresMs: START_WALL_MS + 900_000,
    soft: 20_000,
    hard: 40_000,
  });
  const short = relay.present(2, Role.Client, { exp: 60_000 }, CLIENT);
  assert.equal(short.kind === 'ack' && short.expiresMs, START_WALL_MS + 300_000);
  relay.balanced();
});

test('the latest present sets the limits of the session', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { soft: 1000, hard: 2000 }, CLIENT);
  const second = relay.present(1, Role.Server, { soft: 3000, hard: 4000 }, SERVER);
  assert.deepEqual(second.kind === 'ack' && [second.soft, second.hard], [3000, 4000]);
  relay.balanced();
});

for (const problem of Object.values(LeaseProblem)) {
  const { reply, counters } = LEASE_REFUSALS[problem];
  test(`a lease with the problem ${problem} gets ${reply ? `reject ${reply}` : 'no answer'} and counts in ${counters.join(', ')}`, () => {
    const relay = new Harness();
    const outcome = relay.present(1, Role.Client, { problem }, CLIENT);
    const [primary] = counters;
    assert.deepEqual(
      outcome,
      reply === undefined
        ? { kind: 'drop', counter: primary }
        : { kind: 'reject', reason: reply, counter: primary },
    );
    for (const counter of counters) assert.equal(relay.count(counter), 1, counter);
    assert.equal(relay.count('dropped_packets'), 1);
    assert.equal(relay.pipeline.heldSessions, 0);
    assert.equal(relay.admission.held, 0);
    relay.balanced();
  });
}

test('presents without the right form are judged before anything is verified', () => {
  const relay = new Harness();
  const whole = presentOf(1, Role.Client, {});
  const changed = (change: (bytes: Uint8Array) => void): Uint8Array => {
    const bytes = whole.slice();
    change(bytes);
    return bytes;
  };
  const invalid = [
    whole.slice(0, 20),
    whole.slice(0, 22),
    whole.slice(0, whole.length - 1),
    changed((bytes) => (bytes[HEADER_BYTES] = 2)),
    changed((bytes) => (bytes[HEADER_BYTES + 50] = 0x80)),
    changed((bytes) => (bytes[HEADER_BYTES + 1] = 0xff)),
  ];
  for (const bytes of invalid) {
    assert.deepEqual(relay.send(bytes, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  }
  assert.deepEqual(relay.send(leasePresentDatagram(sessionId(1), Role.Client, ''), CLIENT), {
    kind: 'reject',
    reason: 2,
    counter: 'auth_reject_packets',
  });
  assert.equal(relay.verifications, 0);
  relay.balanced();
});

test('fault 19: another identity for a taken role gets reject 2 and counts in auth_reject_packets', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  for (const address of [STRANGER, CLIENT]) {
    assert.deepEqual(relay.present(1, Role.Client, { sub: 'mallory', iat: 5000 }, address), {
      kind: 'reject',
      reason: 2,
      counter: 'auth_reject_packets',
    });
  }
  const still = relay.rift(1, SERVER, 1);
  assert.equal(still.kind === 'forward' && still.to, CLIENT);
  relay.balanced();
});

test('one identity may hold both roles', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { sub: 'same' }, CLIENT);
  assert.equal(relay.present(1, Role.Server, { sub: 'same' }, SERVER).kind, 'ack');
  relay.balanced();
});

test('the same bytes from the same address are not verified again, and extend the session', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { exp: 100_000 }, CLIENT);
  assert.equal(relay.verifications, 1);
  relay.pass(50_000);
  relay.sweep();
  const again = relay.present(1, Role.Client, { exp: 100_000 }, CLIENT);
  assert.equal(relay.verifications, 1);
  assert.equal(again.kind === 'ack' && again.expiresMs, relay.wallMs + 300_000);
  assert.equal(relay.count('lease_accepted_packets'), 2);
  // Bytes behind the token are ignored, so they make no difference.
  const padded = new Uint8Array([...presentOf(1, Role.Client, { exp: 100_000 }), 1, 2, 3]);
  assert.equal(relay.send(padded, CLIENT).kind, 'ack');
  assert.equal(relay.verifications, 1);
  relay.balanced();
});

test('one other bit, another address or another peer’s token are verified', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, {}, CLIENT);
  relay.present(1, Role.Client, { note: 'other' }, CLIENT);
  assert.equal(relay.verifications, 2);
  relay.present(1, Role.Client, {}, CLIENT);
  assert.equal(relay.verifications, 3);
  relay.present(1, Role.Server, {}, SERVER);
  relay.present(1, Role.Client, {}, STRANGER);
  assert.equal(relay.verifications, 5);
  relay.balanced();
});

test('the same bytes are judged again once they expire, and when the wall clock steps back', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { exp: 900_000, registeredExp: 50_000 }, CLIENT);
  relay.pass(79_999);
  relay.sweep();
  assert.equal(relay.pipeline.heldSessions, 0, 'idle for more than 60 s');
  relay.present(1, Role.Client, { exp: 900_000, registeredExp: 50_000 }, CLIENT);
  assert.equal(relay.verifications, 2);
  relay.pass(1);
  relay.sweep();
  assert.deepEqual(relay.present(1, Role.Client, { exp: 900_000, registeredExp: 50_000 }, CLIENT), {
    kind: 'reject',
    reason: 1,
    counter: 'auth_reject_packets',
  });
  assert.equal(relay.verifications, 3);
  assert.equal(relay.pipeline.heldSessions, 1);

  relay.present(2, Role.Client, {}, CLIENT);
  relay.wallMs -= 10_000;
  relay.sweep();
  relay.present(2, Role.Client, {}, CLIENT);
  assert.equal(relay.verifications, 5);
  relay.balanced();
});

test('a renew of a peer, waiting or active, extends the session and is acknowledged', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { exp: 100 }, CLIENT);
  relay.pass(40_000);
  relay.sweep();
  const waiting = relay.renew(1, CLIENT);
  assert.deepEqual(waiting, {
    kind: 'ack',
    to: CLIENT,
    expiresMs: relay.wallMs + 300_000,
    soft: 50_000,
    hard: 100_000,
  });
  relay.present(1, Role.Server, {}, SERVER);
  assert.equal(relay.renew(1, SERVER).kind, 'ack');
  assert.equal(relay.count('lease_renew_packets'), 2);
  relay.balanced();
});

test('renews that are refused: unknown session, another address, expired session', () => {
  const relay = new Harness();
  assert.deepEqual(relay.renew(1, CLIENT), {
    kind: 'reject',
    reason: 1,
    counter: 'session_not_found_packets',
  });
  relay.pair(1, CLIENT, SERVER);
  assert.deepEqual(relay.renew(1, STRANGER), {
    kind: 'reject',
    reason: 2,
    counter: 'unknown_peer_packets',
  });
  relay.pass(900_000);
  for (const address of [CLIENT, STRANGER]) {
    assert.deepEqual(relay.renew(1, address), {
      kind: 'reject',
      reason: 1,
      counter: 'auth_reject_packets',
    });
  }
  assert.equal(relay.count('expired_lease_rejects'), 2);
  relay.balanced();
});

test('a present for an expired session that is not cleaned up yet makes a new one, for whoever it is', () => {
  const relay = new Harness({ maxSessions: 1 });
  relay.pair(1, CLIENT, SERVER, { exp: 60_000 });
  relay.pass(300_000);
  const outcome = relay.present(1, Role.Client, { sub: 'someone else', exp: 900_000 }, STRANGER);
  assert.equal(outcome.kind, 'ack');
  assert.equal(relay.pipeline.activeSessions, 0);
  assert.equal(relay.pipeline.heldSessions, 1);
  assert.equal(relay.admission.held, 1);
  assert.equal(relay.count('cleanup_expired_sessions'), 1);
  relay.balanced();
});

test('addresses that no peer can have are invalid, and get no answer', () => {
  const relay = new Harness();
  relay.pipeline.setOwnEndpoints(
    Int32Array.from([...parseAddress('192.0.2.50:4000')!, ...parseAddress('[2001:db8::50]:4000')!]),
  );
  const forbidden = [
    '192.0.2.1:0',
    '0.0.0.0:5',
    '[::]:5',
    '224.0.0.1:5',
    '239.255.255.255:5',
    '[ff02::1]:5',
    '255.255.255.255:5',
    '192.0.2.50:4000',
    '[::ffff:192.0.2.50]:4000',
    '[2001:db8::50]:4000',
  ];
  for (const address of forbidden) {
    const invalid = { kind: 'drop', counter: 'invalid_packets' };
    assert.deepEqual(relay.present(1, Role.Client, {}, address), invalid, address);
    assert.deepEqual(relay.renew(1, address), invalid, address);
  }
  assert.equal(relay.verifications, 0);
  assert.equal(relay.present(1, Role.Client, {}, '192.0.2.50:4001').kind, 'ack');
  relay.balanced();
});

test('the address that holds the session’s other role is invalid, even if it got it while the lease waited', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, {}, CLIENT);
  assert.deepEqual(relay.present(1, Role.Server, {}, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  assert.equal(relay.verifications, 1);

  const queued = presentOf(2, Role.Server, {});
  const source = parseAddress(CLIENT)!;
  const verdict = relay.pipeline.receive(queued, 0, queued.length, source, 0, relay.nowMs);
  assert.equal(verdict, 3);
  relay.present(2, Role.Client, {}, CLIENT);
  const late = relay.pipeline.present(queued, 0, queued.length, source, 0, relay.nowMs, relay.wallMs);
  assert.equal(late, 0);
  assert.equal(relay.count('invalid_packets'), 2);
  relay.balanced();
});

test('insecure development mode: the identity is the source address', () => {
  const relay = new Harness({ insecure: true });
  assert.equal(relay.present(1, Role.Client, { sub: 'anybody' }, CLIENT).kind, 'ack');
  assert.equal(relay.present(1, Role.Client, { sub: 'somebody' }, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(1, Role.Client, { sub: 'anybody' }, STRANGER), {
    kind: 'reject',
    reason: 2,
    counter: 'auth_reject_packets',
  });
  relay.balanced();
});

test('a queue that is full is in the books', () => {
  const relay = new Harness();
  const bytes = presentOf(1, Role.Client, {});
  relay.pipeline.receive(bytes, 0, bytes.length, parseAddress(CLIENT)!, 0, relay.nowMs);
  relay.pipeline.queueFull();
  assert.equal(relay.count('backpressure_dropped_packets'), 1);
  relay.balanced();
});

test('a lease for an unknown session is a stranger to the queue, one for a known session is not', () => {
  const relay = new Harness();
  const bytes = presentOf(1, Role.Server, {});
  const source = parseAddress(SERVER)!;
  relay.pipeline.receive(bytes, 0, bytes.length, source, 0, relay.nowMs);
  assert.equal(relay.pipeline.knownSession, false);
  relay.present(1, Role.Client, {}, CLIENT);
  relay.pipeline.receive(bytes, 0, bytes.length, source, 0, relay.nowMs);
  assert.equal(relay.pipeline.knownSession, true);
});
