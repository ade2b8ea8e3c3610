import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { forwardOf, handshakeOf, Harness, plainOf, presentOf, riftOf, sessionId } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const STRANGER = '203.0.113.3:4003';

function active(): Harness {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  return relay;
}

test('a packet goes to the other peer, in both directions, with a flow each', () => {
  const relay = active();
  const there = relay.rift(1, CLIENT, 1);
  const back = relay.rift(1, SERVER, 1);
  assert.equal(there.kind === 'forward' && there.to, SERVER);
  assert.equal(back.kind === 'forward' && back.to, CLIENT);
  assert.ok(there.kind === 'forward' && back.kind === 'forward');
  assert.equal(there.flow >> 1, back.flow >> 1);
  assert.equal(there.flow & 1, 0);
  assert.equal(back.flow & 1, 1);
  relay.balanced();
});

test('sessions do not mix', () => {
  const relay = active();
  relay.pair(2, '192.0.2.9:1', '192.0.2.9:2');
  const other = relay.rift(2, '192.0.2.9:1', 1);
  assert.equal(other.kind === 'forward' && other.to, '192.0.2.9:2');
  assert.deepEqual(relay.rift(2, CLIENT, 1), { kind: 'drop', counter: 'unknown_peer_packets' });
  relay.balanced();
});

test('an IPv4 peer seen through a v4-mapped address is the same peer', () => {
  const relay = active();
  assert.equal(relay.rift(1, '[::ffff:192.0.2.1]:4001', 1).kind, 'forward');
  relay.balanced();
});

test('IPv6 peers with link-local scope are told apart by it', () => {
  const relay = new Harness();
  relay.pair(1, '[fe80::1%2]:4000', '[2001:db8::2]:4000');
  const back = relay.rift(1, '[2001:db8::2]:4000', 1);
  assert.equal(back.kind === 'forward' && back.to, '[fe80::1%2]:4000');
  assert.equal(relay.rift(1, '[fe80::1%3]:4000', 1).kind, 'drop');
  relay.balanced();
});

test('the order of checks: session, active, sender, payload and CRC, replay, hard limit', () => {
  const relay = new Harness();
  const bad = riftOf(1, 1);
  bad[20 + 16] = bad[36]! ^ 1;
  // Everything is wrong; each step removes the fault that was named.
  assert.deepEqual(relay.send(bad, STRANGER), { kind: 'drop', counter: 'session_not_found_packets' });
  relay.present(1, Role.Client, { hard: 1000, soft: 1000 }, CLIENT);
  assert.deepEqual(relay.send(bad, STRANGER), { kind: 'drop', counter: 'session_not_active_packets' });
  relay.present(1, Role.Server, { hard: 1000, soft: 1000 }, SERVER);
  assert.deepEqual(relay.send(bad, STRANGER), { kind: 'drop', counter: 'unknown_peer_packets' });
  assert.deepEqual(relay.send(bad, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  for (let id = 1; id <= 65_536 / 1024; id++) relay.rift(1, CLIENT, id, { size: 1024 });
  assert.deepEqual(relay.rift(1, CLIENT, 1), { kind: 'drop', counter: 'replay_dropped_packets' });
  assert.deepEqual(relay.rift(1, CLIENT, 100), { kind: 'drop', counter: 'rate_limited_packets' });
  // It was marked as seen by then.
  assert.deepEqual(relay.rift(1, CLIENT, 100), { kind: 'drop', counter: 'replay_dropped_packets' });
  relay.balanced();
});

test('a session with one peer forwards nothing, not even to that peer', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, {}, CLIENT);
  assert.deepEqual(relay.rift(1, CLIENT, 1), { kind: 'drop', counter: 'session_not_active_packets' });
  relay.balanced();
});

test('a session that has expired but is not cleaned up yet does not forward', () => {
  const relay = active();
  relay.pass(900_000);
  assert.equal(relay.pipeline.heldSessions, 1);
  assert.deepEqual(relay.rift(1, CLIENT, 1), { kind: 'drop', counter: 'session_not_active_packets' });
  relay.balanced();
});

test('fault 14: sizes from 20 to 1500 bytes are valid, all others are invalid', () => {
  const relay = active();
  assert.equal(relay.rift(1, CLIENT, 1, { size: 1500 }).kind, 'forward');
  const oversized = new Uint8Array(65_507);
  oversized.set(riftOf(1, 2));
  for (const size of [0, 1, 19, 1501, 2000, 65_507]) {
    const outcome = relay.send(oversized.slice(0, size), CLIENT);
    assert.deepEqual(outcome, { kind: 'drop', counter: 'invalid_packets' }, `${size} bytes`);
  }
  // A FORWARD without any payload has the size, but no sequence.
  assert.deepEqual(relay.send(riftOf(1, 2).slice(0, 20), CLIENT), {
    kind: 'drop',
    counter: 'invalid_packets',
  });
  assert.equal(
    relay.count('bytes_rx'),
    1500 + 0 + 1 + 19 + 1501 + 2000 + 65_507 + 20 + 2 * (20 + 3 + 140 + 64),
  );
  relay.balanced();
});

test('headers that are not a peer’s are invalid: magic, version, type, nil session', () => {
  const relay = active();
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = riftOf(1, 1);
    bytes[at] = value;
    return bytes;
  };
  const nil = riftOf(1, 1).fill(0, 4, 20);
  const wrong = [changed(0, 0x58), changed(1, 2), nil];
  for (const type of [0, 2, 3, 5, 0x0f, 0x11, 0x20, 0x21, 0xff]) wrong.push(changed(2, type));
  for (const bytes of wrong) {
    assert.deepEqual(relay.send(bytes, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  }
  relay.balanced();
});

test('the flags byte does not matter', () => {
  const relay = active();
  const bytes = riftOf(1, 1);
  bytes[3] = 0xa5;
  assert.equal(relay.send(bytes, CLIENT).kind, 'forward');
  relay.balanced();
});

test('a copy of a packet is a replay, and so is one that is 128 behind', () => {
  const relay = active();
  assert.equal(relay.rift(1, CLIENT, 500).kind, 'forward');
  assert.deepEqual(relay.rift(1, CLIENT, 500), { kind: 'drop', counter: 'replay_dropped_packets' });
  assert.equal(relay.rift(1, CLIENT, 373).kind, 'forward');
  assert.deepEqual(relay.rift(1, CLIENT, 372), { kind: 'drop', counter: 'replay_dropped_packets' });
  // The other direction has a window of its own.
  assert.equal(relay.rift(1, SERVER, 372).kind, 'forward');
  relay.balanced();
});

test('fault 14: the last sequences of u64 are as good as any', () => {
  const relay = active();
  const last = 2n ** 64n - 1n;
  for (const sequence of [last - 200n, last - 1n, last, last - 127n]) {
    assert.equal(relay.send(plainOf(1, sequence), CLIENT).kind, 'forward', `${sequence}`);
  }
  for (const sequence of [last, last - 128n, 0n, 5n]) {
    const outcome = relay.send(plainOf(1, sequence), CLIENT);
    assert.deepEqual(outcome, { kind: 'drop', counter: 'replay_dropped_packets' }, `${sequence}`);
  }
  relay.balanced();
});

test('fault 12: handshake messages all carry packet id 0 and get through, 20 a second for each sender', () => {
  const relay = active();
  relay.pass(1000 - (relay.nowMs % 1000));
  relay.rift(1, CLIENT, 1000);
  for (let i = 0; i < 20; i++) assert.equal(relay.send(handshakeOf(1), CLIENT).kind, 'forward', `${i}`);
  assert.deepEqual(relay.send(handshakeOf(1), CLIENT), {
    kind: 'drop',
    counter: 'replay_dropped_packets',
  });
  assert.equal(relay.send(handshakeOf(1), SERVER).kind, 'forward');
  // They did not move the window.
  assert.equal(relay.rift(1, CLIENT, 999).kind, 'forward');
  relay.pass(1000);
  assert.equal(relay.send(handshakeOf(1), CLIENT).kind, 'forward');
  relay.balanced();
});

test('fault 12: packet id 0 of a transport header counts as handshake too, a handshake header with another id does not', () => {
  const relay = active();
  assert.equal(relay.rift(1, CLIENT, 0).kind, 'forward');
  assert.equal(relay.rift(1, CLIENT, 0).kind, 'forward');
  assert.equal(relay.send(handshakeOf(1, 9), CLIENT).kind, 'forward');
  assert.deepEqual(relay.send(handshakeOf(1, 9), CLIENT), {
    kind: 'drop',
    counter: 'replay_dropped_packets',
  });
  relay.balanced();
});

test('sequence 0 of a payload that is not RIFT is a sequence like any other', () => {
  const relay = active();
  assert.equal(relay.send(plainOf(1, 0n), CLIENT).kind, 'forward');
  assert.equal(relay.send(plainOf(1, 0n), CLIENT).kind, 'drop');
  relay.balanced();
});

test('payloads that hold no sequence are invalid', () => {
  const relay = active();
  const short = forwardOf(1, new Uint8Array(7));
  const wrongVersion = riftOf(1, 1);
  wrongVersion[23] = 2;
  const shortRift = riftOf(1, 1).slice(0, 20 + 17);
  const brokenHandshake = handshakeOf(1);
  brokenHandshake[20 + 28] = brokenHandshake[48]! ^ 0x80;
  for (const bytes of [short, wrongVersion, shortRift, brokenHandshake]) {
    assert.deepEqual(relay.send(bytes, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  }
  relay.balanced();
});

test('packets that only the relay sends are invalid when it gets them, and are not answered', () => {
  const relay = active();
  for (const type of [2, 3]) {
    const bytes = presentOf(1, Role.Client, {});
    bytes[2] = type;
    assert.deepEqual(relay.send(bytes, CLIENT), { kind: 'drop', counter: 'invalid_packets' });
  }
  relay.balanced();
});

test('what the kernel refused, and what found a ring full, is in the books', () => {
  const relay = active();
  const packet = riftOf(1, 1);
  relay.send(packet, CLIENT);
  relay.pipeline.handOverFull(2, 200);
  relay.balanced();
  assert.equal(relay.count('backpressure_dropped_packets'), 2);
  assert.equal(relay.count('packets_rx'), 5);
  // Forward, but not sent.
  const before = relay.count('packets_forwarded');
  relay.send(riftOf(1, 2), CLIENT);
  relay.pipeline.forwarded(-1, -100);
  relay.pipeline.sendFailed(1);
  assert.equal(relay.count('packets_forwarded'), before);
  assert.equal(relay.count('send_failed_packets'), 1);
  relay.balanced();
});

test('an id that differs in any one bit is another session', () => {
  const relay = active();
  for (let bit = 0; bit < 128; bit++) {
    const bytes = riftOf(1, 1);
    bytes[4 + (bit >> 3)] = bytes[4 + (bit >> 3)]! ^ (1 << (bit & 7));
    relay.pass(10);
    assert.deepEqual(
      relay.send(bytes, CLIENT),
      { kind: 'drop', counter: 'session_not_found_packets' },
      `bit ${bit} of ${sessionId(1).toString()}`,
    );
  }
  relay.balanced();
});
