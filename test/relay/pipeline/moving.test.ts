import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { forwardOf, Harness, START_WALL_MS } from './harness.ts';
import type { Outcome, TestToken } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const STRANGER = '203.0.113.3:4003';
const OTHER = '203.0.113.4:4004';
const NOT_ANSWERED: Outcome = { kind: 'drop', counter: 'unknown_peer_packets' };

/** An active session whose peers both were heard just now; tokens were issued 1000 ms after the start. */
function active(token: TestToken = {}): Harness {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { iat: 1000, ...token });
  relay.rift(1, CLIENT, 100);
  relay.rift(1, SERVER, 100);
  return relay;
}

function clientIsAt(relay: Harness): string {
  relay.pass(100);
  const probe = relay.rift(1, SERVER, relay.nowMs);
  assert.equal(probe.kind, 'forward');
  return probe.kind === 'forward' ? probe.to : '';
}

test('fault 20: a token copied off the wire takes nobody’s place while the peer talks', () => {
  const relay = active();
  for (let second = 0; second < 60; second++) {
    assert.deepEqual(relay.present(1, Role.Client, { iat: 1000 }, STRANGER), NOT_ANSWERED);
    for (let ping = 0; ping < 2; ping++) {
      relay.pass(500);
      assert.equal(relay.takeDue(), undefined);
      assert.equal(relay.rift(1, CLIENT, 1000 + second * 10 + ping).kind, 'forward');
    }
  }
  assert.equal(clientIsAt(relay), CLIENT);
  assert.equal(relay.count('nat_rebind_events'), 0);
  relay.balanced();
});

test('a same token from a new address waits until the old address was silent for 2 s, then gets the one answer', () => {
  const relay = active();
  relay.pass(500);
  assert.deepEqual(relay.present(1, Role.Client, { iat: 1000 }, STRANGER), NOT_ANSWERED);
  relay.pass(1499);
  assert.equal(relay.takeDue(), undefined);
  assert.equal(clientIsAt(relay), CLIENT);
  const due = relay.takeDue();
  assert.deepEqual(due, {
    kind: 'ack',
    to: STRANGER,
    expiresMs: due?.kind === 'ack' ? due.expiresMs : 0,
    soft: 50_000,
    hard: 100_000,
  });
  assert.equal(relay.takeDue(), undefined);
  assert.equal(clientIsAt(relay), STRANGER);
  assert.equal(relay.count('nat_rebind_events'), 1);
  relay.balanced();
});

test('any packet from the old address makes a waiting one forgotten, even a replay or a broken one', () => {
  const packets: ((relay: Harness) => Outcome)[] = [
    (relay) => relay.rift(1, CLIENT, 101),
    (relay) => relay.rift(1, CLIENT, 100),
    (relay) => relay.send(forwardOf(1, new Uint8Array(3)), CLIENT),
    (relay) => relay.renew(1, CLIENT),
    (relay) => relay.present(1, Role.Client, { iat: 1000 }, CLIENT),
  ];
  for (const [i, packet] of packets.entries()) {
    const relay = active();
    relay.present(1, Role.Client, { iat: 1000 }, STRANGER);
    relay.pass(1900);
    packet(relay);
    relay.pass(1900);
    assert.equal(relay.takeDue(), undefined, `packet ${i}`);
    relay.pass(60_000);
    assert.equal(relay.takeDue(), undefined, `packet ${i}`);
    relay.balanced();
  }
});

test('after 2 s of silence a same token moves the peer at once', () => {
  const relay = active();
  relay.pass(2000);
  const moved = relay.present(1, Role.Client, { iat: 1000 }, STRANGER);
  assert.equal(moved.kind === 'ack' && moved.to, STRANGER);
  assert.equal(clientIsAt(relay), STRANGER);
  assert.deepEqual(relay.rift(1, CLIENT, 101), NOT_ANSWERED);
  relay.balanced();
});

test('a newer token moves at once, an older one never', () => {
  const relay = active();
  assert.equal(relay.present(1, Role.Client, { iat: 1001 }, STRANGER).kind, 'ack');
  assert.equal(clientIsAt(relay), STRANGER);
  relay.pass(59_000);
  assert.deepEqual(relay.present(1, Role.Client, { iat: 1000 }, CLIENT), NOT_ANSWERED);
  assert.deepEqual(relay.present(1, Role.Client, { iat: 1000 }, OTHER), NOT_ANSWERED);
  relay.pass(500);
  assert.equal(relay.takeDue(), undefined);
  assert.equal(clientIsAt(relay), STRANGER);
  assert.equal(relay.count('nat_rebind_events'), 1);
  relay.balanced();
});

test('an older token from the peer’s own address does not make room for a newer one that was copied', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 2000 }, CLIENT);
  relay.rift(1, CLIENT, 100);
  // The attacker forges the peer's address to present its first token, then presents the copy of the second.
  assert.equal(relay.present(1, Role.Client, { iat: 1000, hard: 1000, soft: 1000 }, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(1, Role.Client, { iat: 2000 }, STRANGER), NOT_ANSWERED);
  assert.equal(clientIsAt(relay), CLIENT);
  const limits = relay.renew(1, CLIENT);
  assert.equal(limits.kind === 'ack' && limits.hard, 100_000, 'nor does it lower the limits');
  // Nor does it open the replay window.
  assert.deepEqual(relay.rift(1, CLIENT, 100), { kind: 'drop', counter: 'replay_dropped_packets' });
  relay.balanced();
});

test('a token without iat is neither newer nor older: it waits, and does not make old ones look new', () => {
  const relay = active();
  assert.deepEqual(relay.present(1, Role.Client, { iat: null }, STRANGER), NOT_ANSWERED);
  assert.equal(relay.present(1, Role.Client, { iat: null }, CLIENT).kind, 'ack');
  assert.deepEqual(relay.present(1, Role.Client, { iat: 1000 }, STRANGER), NOT_ANSWERED);
  relay.rift(1, CLIENT, 5000);
  relay.pass(5000);
  assert.deepEqual(relay.present(1, Role.Client, { iat: 999 }, STRANGER), NOT_ANSWERED);
  assert.equal(relay.takeDue(), undefined);
  assert.equal(clientIsAt(relay), CLIENT);
  relay.balanced();
});

test('a clock that steps back while an address waits gives its token no longer a life', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 1000, exp: 1_500_000 }, STRANGER);
  relay.pass(2000);
  relay.wallMs -= 7000;
  const due = relay.takeDue();
  const judgedAt = relay.wallMs + 7000 - 2000;
  assert.equal(due?.kind === 'ack' && due.expiresMs - relay.wallMs, 1_500_000 + START_WALL_MS - judgedAt);
  relay.balanced();
});

test('of several waiting addresses the latest wins, and only it is answered', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 1000 }, STRANGER);
  relay.pass(100);
  relay.present(1, Role.Client, { iat: 1000 }, OTHER);
  relay.pass(1900);
  const due = relay.takeDue();
  assert.equal(due?.kind === 'ack' && due.to, OTHER);
  assert.equal(relay.takeDue(), undefined);
  relay.balanced();
});

test('each role has its own waiting address', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 1000 }, STRANGER);
  relay.present(1, Role.Server, { iat: 1000 }, OTHER);
  relay.pass(2000);
  const answered = [relay.takeDue(), relay.takeDue()].map((due) => due?.kind === 'ack' && due.to);
  assert.deepEqual(new Set(answered), new Set([STRANGER, OTHER]));
  assert.equal(relay.takeDue(), undefined);
  relay.balanced();
});

test('two roles that wait for one address do not both get it', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 1000 }, STRANGER);
  relay.present(1, Role.Server, { iat: 1000 }, STRANGER);
  relay.pass(2000);
  assert.equal(relay.takeDue()?.kind, 'ack');
  assert.equal(relay.takeDue(), undefined);
  assert.equal(relay.count('nat_rebind_events'), 1);
  relay.balanced();
});

test('a session that ends takes its waiting addresses along', () => {
  const relay = new Harness({ limits: { idleTimeoutMs: 1000, cleanupIntervalMs: 1000 } });
  relay.pair(1, CLIENT, SERVER);
  relay.present(1, Role.Client, {}, STRANGER);
  relay.pass(1500);
  relay.sweep();
  assert.equal(relay.pipeline.heldSessions, 0);
  relay.pair(2, OTHER, SERVER);
  relay.pass(10_000);
  assert.equal(relay.takeDue(), undefined);
  relay.balanced();
});

test('the replay window starts afresh for a new address and for another token, not for the same one', () => {
  const relay = active();
  relay.present(1, Role.Client, { sub: 'client', iat: 1000 }, CLIENT);
  assert.deepEqual(relay.rift(1, CLIENT, 100), { kind: 'drop', counter: 'replay_dropped_packets' });
  relay.present(1, Role.Client, { iat: 1000, note: 'restarted' }, CLIENT);
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'forward');
  relay.rift(1, CLIENT, 500);
  relay.present(1, Role.Client, { iat: 3000 }, STRANGER);
  assert.equal(relay.rift(1, STRANGER, 2).kind, 'forward');
  // The other peer's window is its own.
  assert.deepEqual(relay.rift(1, SERVER, 100), { kind: 'drop', counter: 'replay_dropped_packets' });
  relay.balanced();
});

test('a peer that comes back to its first address with a newer token is at home there again', () => {
  const relay = active();
  relay.present(1, Role.Client, { iat: 2000 }, STRANGER);
  relay.present(1, Role.Client, { iat: 3000 }, CLIENT);
  assert.equal(clientIsAt(relay), CLIENT);
  assert.equal(relay.count('nat_rebind_events'), 2);
  relay.balanced();
});
