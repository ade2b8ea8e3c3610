import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { handshakeOf, Harness, presentOf, riftOf } from './harness.ts';
import type { Verified } from './harness.ts';

const CLIENT = '192.0.2.1:4000';
const SERVER = '198.51.100.2:5000';
const STRANGER = '203.0.113.9:6000';

const held = { kind: 'held' } as const;
const toClient = { kind: 'forward', to: CLIENT, flow: 1 } as const;
const toServer = { kind: 'forward', to: SERVER, flow: 0 } as const;

function outcomes({ held }: Verified): unknown[] {
  return held.map(({ outcome }) => outcome);
}

test('packets right behind a present pass once it is accepted, in order, and are counted once', () => {
  const relay = new Harness();
  relay.present(1, Role.Server, {}, SERVER);
  assert.equal(relay.arrive(presentOf(1, Role.Client, {}), CLIENT).kind, 'waits');
  const packets = [handshakeOf(1), riftOf(1, 1), riftOf(1, 2, { size: 1500 })];
  for (const packet of packets) assert.deepEqual(relay.arrive(packet, CLIENT), held);
  // The other peer, too, can send as soon as the session is active.
  assert.deepEqual(relay.arrive(riftOf(1, 1), SERVER), held);
  assert.equal(relay.count('packets_rx'), 6);

  const verified = relay.verify();
  assert.equal(verified.outcome.kind, 'ack');
  assert.deepEqual(outcomes(verified), [toServer, toServer, toServer, toClient]);
  assert.deepEqual(
    verified.held.map(({ bytes }) => bytes),
    [...packets, riftOf(1, 1)],
  );
  assert.equal(relay.count('packets_rx'), 6);
  assert.equal(relay.count('packets_forwarded'), 4);
  assert.equal(relay.pipeline.held.size, 0);
  relay.balanced();
});

test('both presents and both peers’ packets may wait together', () => {
  const relay = new Harness();
  relay.arrive(presentOf(1, Role.Client, {}), CLIENT);
  assert.deepEqual(relay.arrive(riftOf(1, 1), CLIENT), held);
  relay.arrive(presentOf(1, Role.Server, {}), SERVER);
  assert.deepEqual(relay.arrive(riftOf(1, 1), SERVER), held);
  // It came before the server's present: the session could not be active for it.
  assert.deepEqual(outcomes(relay.verify()), [{ kind: 'drop', counter: 'session_not_active_packets' }]);
  assert.deepEqual(outcomes(relay.verify()), [toClient]);
  relay.balanced();
});

test('a peer that presents a newer lease from elsewhere loses nothing of what follows', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { iat: 0 });
  const elsewhere = '192.0.2.77:4000';
  relay.arrive(presentOf(1, Role.Client, { sub: 'client', iat: 1000 }), elsewhere);
  assert.deepEqual(relay.arrive(riftOf(1, 1), elsewhere), held);
  // Who is known waits for nobody.
  assert.deepEqual(relay.arrive(riftOf(1, 1), SERVER), toClient);
  assert.deepEqual(outcomes(relay.verify()), [toServer]);
  relay.balanced();
});

test('packets without a present before them are judged at once, and so are those of other sessions', () => {
  const relay = new Harness();
  relay.arrive(presentOf(1, Role.Client, {}), CLIENT);
  const unknown = { kind: 'drop', counter: 'session_not_found_packets' } as const;
  assert.deepEqual(relay.arrive(riftOf(2, 1), CLIENT), unknown);
  assert.deepEqual(outcomes(relay.verify()), []);
  assert.deepEqual(relay.arrive(riftOf(3, 1), CLIENT), unknown);
  relay.balanced();
});

test('what waited for leases that are refused is dropped for the reason it would have had, after the last of them', () => {
  const relay = new Harness();
  for (let i = 0; i < 3; i++) {
    relay.arrive(presentOf(1, Role.Client, { problem: 'bad-signature', note: `${i}` }), STRANGER);
  }
  assert.deepEqual(relay.arrive(riftOf(1, 1), STRANGER), held);
  // Presents that come later hold up nothing that came before.
  relay.arrive(presentOf(1, Role.Client, { problem: 'bad-signature', note: 'late' }), STRANGER);
  assert.deepEqual(outcomes(relay.verify()), []);
  assert.deepEqual(outcomes(relay.verify()), []);
  const dropped = [{ kind: 'drop', counter: 'session_not_found_packets' }];
  assert.deepEqual(outcomes(relay.verify()), dropped);
  assert.deepEqual(outcomes(relay.verify()), []);
  relay.balanced();
});

test('a stranger’s presents for a session hold up nobody whose own lease was accepted', () => {
  const relay = new Harness();
  relay.present(1, Role.Server, {}, SERVER);
  relay.arrive(presentOf(1, Role.Client, {}), CLIENT);
  for (let i = 0; i < 3; i++) {
    relay.arrive(presentOf(1, Role.Client, { problem: 'bad-signature', note: `${i}` }), STRANGER);
  }
  assert.deepEqual(relay.arrive(riftOf(1, 1), STRANGER), held);
  assert.deepEqual(relay.arrive(riftOf(1, 1), CLIENT), held);
  assert.deepEqual(outcomes(relay.verify()), [toServer]);
  assert.deepEqual(relay.arrive(riftOf(1, 2), CLIENT), toServer);
  while (relay.waiting > 0) relay.verify();
  assert.equal(relay.count('unknown_peer_packets'), 1);
  relay.balanced();
});

test('a held packet is charged to its source when it comes, and not again', () => {
  const relay = new Harness({ limits: { ipRateLimitPps: 3 } });
  relay.present(1, Role.Server, {}, SERVER);
  relay.arrive(presentOf(1, Role.Client, {}), CLIENT);
  assert.deepEqual(relay.arrive(riftOf(1, 1), CLIENT), held);
  assert.deepEqual(relay.arrive(riftOf(1, 2), CLIENT), held);
  assert.deepEqual(relay.arrive(riftOf(1, 3), CLIENT), { kind: 'drop', counter: 'rate_limited_packets' });
  assert.deepEqual(outcomes(relay.verify()), [toServer, toServer]);
  relay.balanced();
});

test('when there is no room left packets are judged at once, and room comes back', () => {
  const relay = new Harness();
  for (let round = 0; round < 3; round++) {
    relay.arrive(presentOf(round, Role.Client, {}), CLIENT);
    relay.arrive(presentOf(round, Role.Server, {}), SERVER);
    for (let i = 1; i <= 256; i++) {
      assert.deepEqual(relay.arrive(riftOf(round, i, { size: 40 + i }), CLIENT), held);
    }
    assert.deepEqual(relay.arrive(riftOf(round, 257), CLIENT), {
      kind: 'drop',
      counter: 'session_not_found_packets',
    });
    assert.deepEqual(outcomes(relay.verify()), []);
    const { held: passed } = relay.verify();
    assert.deepEqual(
      passed.map(({ outcome, bytes }) => [outcome.kind, bytes.length]),
      Array.from({ length: 256 }, (_, i) => ['forward', 41 + i]),
    );
    relay.balanced();
    relay.pass(1000);
  }
});

test('packets of several sessions wait side by side', () => {
  const relay = new Harness();
  const sessions = [1, 2, 3, 4, 5];
  for (const session of sessions) {
    relay.present(session, Role.Server, {}, SERVER);
    relay.arrive(presentOf(session, Role.Client, {}), CLIENT);
  }
  for (let id = 1; id <= 3; id++) {
    for (const session of sessions) assert.deepEqual(relay.arrive(riftOf(session, id), CLIENT), held);
  }
  for (const session of sessions) {
    assert.deepEqual(
      relay.verify().held.map(({ bytes }) => bytes),
      [1, 2, 3].map((id) => riftOf(session, id)),
    );
  }
  relay.balanced();
});

test('what still waits at the end is in the books', () => {
  const relay = new Harness();
  relay.arrive(presentOf(1, Role.Client, {}), CLIENT);
  relay.arrive(riftOf(1, 1), CLIENT);
  relay.arrive(riftOf(1, 2), CLIENT);
  relay.pipeline.end();
  assert.equal(relay.count('backpressure_dropped_packets'), 3);
  relay.balanced();
});
