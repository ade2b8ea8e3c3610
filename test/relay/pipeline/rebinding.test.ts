import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from '../../../relay/protocol/address.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { handshakeOf, Harness, plainOf, riftOf } from './harness.ts';
import type { HarnessOptions, Outcome } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const NEW_PORT = '192.0.2.1:5001';
const SERVER = '198.51.100.2:4002';
const UNKNOWN: Outcome = { kind: 'drop', counter: 'unknown_peer_packets' };

/** An active session; the client sent packet id 100 with alias 7 and has been silent for 2 s since. */
function silent(options: HarnessOptions = {}, silentMs = 2000): Harness {
  const relay = new Harness(options);
  relay.pair(1, CLIENT, SERVER);
  relay.rift(1, SERVER, 100, { alias: 9 });
  relay.rift(1, CLIENT, 100);
  relay.pass(silentMs);
  return relay;
}

function isNotMoved(relay: Harness): void {
  assert.equal(relay.count('nat_rebind_events'), 0);
  const back = relay.rift(1, SERVER, 5000, { alias: 9 });
  assert.equal(back.kind === 'forward' && back.to, CLIENT);
  relay.balanced();
}

test('fault 6: a NAT that changes the port in the middle of the traffic is followed, and counted', () => {
  const relay = silent();
  assert.equal(relay.rift(1, NEW_PORT, 101).kind, 'forward');
  assert.equal(relay.count('nat_rebind_events'), 1);
  const back = relay.rift(1, SERVER, 101, { alias: 9 });
  assert.equal(back.kind === 'forward' && back.to, NEW_PORT);
  assert.deepEqual(relay.rift(1, CLIENT, 102), UNKNOWN);
  relay.balanced();
});

test('the highest id still counts after the move: no packet from before gets through again', () => {
  const relay = silent();
  relay.rift(1, NEW_PORT, 101);
  assert.deepEqual(relay.rift(1, NEW_PORT, 100), { kind: 'drop', counter: 'replay_dropped_packets' });
  relay.balanced();
});

test('hijack: not while the stored address talks', () => {
  const relay = silent({}, 1999);
  assert.deepEqual(relay.rift(1, NEW_PORT, 101), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: a replay or a broken packet from the stored address is talking too', () => {
  const relay = silent({}, 1500);
  relay.rift(1, CLIENT, 100);
  relay.pass(1500);
  assert.deepEqual(relay.rift(1, NEW_PORT, 101), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: not from another IP', () => {
  const relay = silent();
  assert.deepEqual(relay.rift(1, '192.0.2.2:4001', 101), UNKNOWN);
  assert.deepEqual(relay.rift(1, '[2001:db8::1]:4001', 101), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: not from another link-local scope', () => {
  const relay = new Harness();
  relay.pair(1, '[fe80::1%2]:4001', SERVER);
  relay.rift(1, '[fe80::1%2]:4001', 100);
  relay.pass(2000);
  assert.deepEqual(relay.rift(1, '[fe80::1%3]:5001', 101), UNKNOWN);
  assert.equal(relay.rift(1, '[fe80::1%2]:5001', 101).kind, 'forward');
  relay.balanced();
});

test('hijack: not with another alias than that of the last accepted packet', () => {
  const relay = silent();
  assert.deepEqual(relay.rift(1, NEW_PORT, 101, { alias: 8 }), UNKNOWN);
  assert.deepEqual(relay.rift(1, NEW_PORT, 101, { alias: 0x80000007 }), UNKNOWN);
  isNotMoved(relay);
});

test('an alias with the highest bit set is an alias', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  relay.rift(1, CLIENT, 100, { alias: 0xfedcba98 });
  relay.pass(2000);
  assert.equal(relay.rift(1, NEW_PORT, 101, { alias: 0xfedcba98 }).kind, 'forward');
  relay.balanced();
});

test('hijack: not with a packet id that is not 1 to 4096 above the highest', () => {
  for (const id of [0, 1, 99, 100, 100 + 4097, 2 ** 40]) {
    const relay = silent();
    assert.deepEqual(relay.rift(1, NEW_PORT, id), UNKNOWN, `id ${id}`);
    isNotMoved(relay);
  }
  for (const id of [101, 100 + 4096]) {
    const relay = silent();
    assert.equal(relay.rift(1, NEW_PORT, id).kind, 'forward', `id ${id}`);
    relay.balanced();
  }
});

test('hijack: not with a wrong CRC', () => {
  const relay = silent();
  const packet = riftOf(1, 101);
  packet[20 + 17] = packet[37]! ^ 1;
  assert.deepEqual(relay.send(packet, NEW_PORT), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: not with a handshake header or a payload that is not RIFT', () => {
  const relay = silent();
  assert.deepEqual(relay.send(handshakeOf(1, 101), NEW_PORT), UNKNOWN);
  assert.deepEqual(relay.send(plainOf(1, 101n), NEW_PORT), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: not when the last accepted packet had no alias', () => {
  const relay = silent();
  relay.send(plainOf(1, 101n), CLIENT);
  relay.pass(2000);
  assert.deepEqual(relay.rift(1, NEW_PORT, 102), UNKNOWN);
  assert.deepEqual(relay.rift(1, NEW_PORT, 102, { alias: 0, size: 45 }), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: not before the peer’s first packet, when no id is known', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  relay.pass(2000);
  for (const id of [0, 1, 2]) assert.deepEqual(relay.rift(1, NEW_PORT, id), UNKNOWN);
  assert.deepEqual(relay.rift(1, NEW_PORT, 1, { alias: 0, size: 45 }), UNKNOWN);
  relay.balanced();
});

test('hijack: not by the alias that the peer had at an address before', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 1000, soft: 1000 });
  relay.rift(1, CLIENT, 100);
  relay.present(1, Role.Client, { sub: 'client', iat: 5, hard: 1000, soft: 1000 }, '192.0.2.1:5555');
  for (let id = 1; id <= 70; id++) relay.rift(1, SERVER, id, { size: 1000 });
  // Opens the window, but is over the hard limit: no packet from the new address was accepted yet.
  assert.equal(relay.rift(1, '192.0.2.1:5555', 200, { size: 1000 }).kind, 'drop');
  relay.pass(2000);
  assert.deepEqual(relay.rift(1, NEW_PORT, 201), UNKNOWN);
  assert.equal(relay.rift(1, '192.0.2.1:5555', 202).kind, 'forward');
  relay.pass(2000);
  assert.equal(relay.rift(1, NEW_PORT, 203).kind, 'forward');
  relay.balanced();
});

test('hijack: not twice within 5 s', () => {
  const relay = silent();
  relay.rift(1, NEW_PORT, 101);
  relay.pass(4999);
  assert.deepEqual(relay.rift(1, '192.0.2.1:6001', 102), UNKNOWN);
  relay.pass(1);
  assert.equal(relay.rift(1, '192.0.2.1:6001', 102).kind, 'forward');
  assert.equal(relay.count('nat_rebind_events'), 2);
  relay.balanced();
});

test('hijack: not when the packet could be either peer’s', () => {
  const relay = new Harness();
  relay.pair(1, '192.0.2.1:4001', '192.0.2.1:4002');
  relay.rift(1, '192.0.2.1:4001', 100);
  relay.rift(1, '192.0.2.1:4002', 100);
  relay.pass(2000);
  assert.deepEqual(relay.rift(1, '192.0.2.1:5001', 101), UNKNOWN);
  // Not even when only one of the two is silent: the packet may come from the other, whose port changed just now.
  relay.rift(1, '192.0.2.1:4001', 101);
  assert.deepEqual(relay.rift(1, '192.0.2.1:5001', 102), UNKNOWN);
  // Far apart, they can be told apart.
  relay.rift(1, '192.0.2.1:4001', 90_000);
  relay.pass(2000);
  assert.equal(relay.rift(1, '192.0.2.1:5001', 102).kind, 'forward');
  const back = relay.rift(1, '192.0.2.1:4001', 90_001);
  assert.equal(back.kind === 'forward' && back.to, '192.0.2.1:5001');
  relay.balanced();
});

test('hijack: not in a session that waits, or that has expired', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, {}, CLIENT);
  relay.rift(1, CLIENT, 100);
  relay.pass(2000);
  assert.deepEqual(relay.rift(1, NEW_PORT, 101), { kind: 'drop', counter: 'session_not_active_packets' });
  const expired = silent();
  expired.pass(900_000);
  assert.deepEqual(expired.rift(1, NEW_PORT, 101), {
    kind: 'drop',
    counter: 'session_not_active_packets',
  });
  relay.balanced();
  expired.balanced();
});

test('hijack: not from port 0 or the relay’s own endpoint', () => {
  const relay = silent();
  relay.pipeline.setOwnEndpoints(parseAddress('192.0.2.1:4000')!);
  assert.deepEqual(relay.rift(1, '192.0.2.1:0', 101), UNKNOWN);
  assert.deepEqual(relay.rift(1, '192.0.2.1:4000', 101), UNKNOWN);
  isNotMoved(relay);
});

test('--rebind-on-forward off: nobody moves by a FORWARD', () => {
  const relay = silent({ limits: { rebindOnForward: 'off' } });
  assert.deepEqual(relay.rift(1, NEW_PORT, 101), UNKNOWN);
  isNotMoved(relay);
});

test('hijack: a guesser behind the same NAT is stopped by the source limit', () => {
  const relay = silent({ limits: { ipRateLimitPps: 50 } });
  relay.pass(1000 - (relay.nowMs % 1000));
  for (let i = 0; i < 500; i++) {
    relay.rift(1, `192.0.2.1:${6000 + i}`, 1_000_000 + i * 4096, { alias: i + 100 });
  }
  assert.equal(relay.count('unknown_peer_packets'), 50);
  assert.equal(relay.count('rate_limited_packets'), 450);
  assert.deepEqual(relay.rift(1, NEW_PORT, 101), { kind: 'drop', counter: 'rate_limited_packets' });
  relay.pass(1000);
  assert.equal(relay.rift(1, NEW_PORT, 101).kind, 'forward');
  relay.balanced();
});

test('a move by FORWARD makes a waiting address forgotten', () => {
  const relay = silent({}, 1900);
  relay.present(1, Role.Client, {}, '203.0.113.3:4003');
  relay.pass(100);
  relay.rift(1, NEW_PORT, 101);
  relay.pass(10_000);
  assert.equal(relay.takeDue(), undefined);
  relay.balanced();
});

test('fault 6: a fast stream is followed too, though it is far more than 4096 packets further after 2 s', () => {
  for (const perMs of [3, 10]) {
    const relay = silent({}, 0);
    let id = 100;
    let passed = 0;
    for (let ms = 1; ms <= 2010; ms++) {
      relay.pass(1);
      for (let i = 0; i < perMs; i++) if (relay.rift(1, NEW_PORT, ++id).kind === 'forward') passed++;
    }
    assert.equal(passed, 11 * perMs);
    assert.equal(relay.count('rate_limited_packets'), 0);
    assert.equal(relay.count('nat_rebind_events'), 1);
    relay.balanced();
  }
});

test('hijack: ids are carried on from the same port only, and not once the stored address was heard', () => {
  const relay = silent({}, 1000);
  assert.deepEqual(relay.rift(1, NEW_PORT, 4000), UNKNOWN);
  relay.pass(999);
  assert.deepEqual(relay.rift(1, NEW_PORT, 8000), UNKNOWN);
  relay.pass(1);
  assert.deepEqual(relay.rift(1, '192.0.2.1:6001', 8001), UNKNOWN);
  assert.deepEqual(relay.rift(1, NEW_PORT, 8000 + 4097), UNKNOWN);
  relay.rift(1, CLIENT, 101);
  for (let i = 1; i <= 30; i++) {
    relay.pass(100);
    assert.deepEqual(relay.rift(1, NEW_PORT, 8000 + i), UNKNOWN);
  }
  isNotMoved(relay);
});

test('hijack: another port does not get to take over or break off what a first one showed', () => {
  const relay = silent({}, 500);
  for (let ms = 0; ms < 1490; ms += 10) {
    relay.pass(10);
    assert.deepEqual(relay.rift(1, NEW_PORT, 1000 + ms * 10), UNKNOWN);
    assert.deepEqual(relay.rift(1, '192.0.2.1:6001', 101 + ms / 10), UNKNOWN);
  }
  relay.pass(10);
  assert.equal(relay.rift(1, NEW_PORT, 1000 + 15_000).kind, 'forward');
  relay.balanced();
});

test('hijack: a copied token does not win the race against a NAT that changed the port', () => {
  const relay = silent({}, 0);
  let outcome: Outcome = UNKNOWN;
  for (let ms = 0; ms < 5000; ms += 100) {
    relay.pass(100);
    relay.present(1, Role.Client, { sub: 'client' }, '203.0.113.3:4003');
    assert.equal(relay.takeDue(), undefined);
    if (ms % 500 === 400) outcome = relay.rift(1, NEW_PORT, 101 + ms / 100);
  }
  assert.equal(outcome.kind, 'forward');
  const back = relay.rift(1, SERVER, 5000, { alias: 9 });
  assert.equal(back.kind === 'forward' && back.to, NEW_PORT);
  relay.balanced();
});
