import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { Harness } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';

/** Deployed peers: a ping every 500 ms, never a present or a renew after the first. Returns how many got through. */
function talk(relay: Harness, ms: number, peers: readonly string[], firstId: number): number {
  let passed = 0;
  for (let id = firstId; id < firstId + ms / 500; id++) {
    relay.pass(500);
    relay.sweep();
    for (const peer of peers) if (relay.rift(1, peer, id).kind === 'forward') passed++;
  }
  return passed;
}

test('fault 3: two peers that present once talk for two hours and more', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  const pings = (2 * 3600 * 1000) / 500;
  assert.equal(talk(relay, 2 * 3600 * 1000, [CLIENT, SERVER], 1), 2 * pings);
  assert.equal(relay.count('cleanup_expired_sessions') + relay.count('cleanup_idle_sessions'), 0);
  relay.balanced();
});

test('fault 3: without traffic renewals the session still lives for as long as its longest token', () => {
  const relay = new Harness({ limits: { renewOnTraffic: false } });
  relay.present(1, Role.Client, { exp: 400_000 }, CLIENT);
  relay.present(1, Role.Server, { exp: 900_000 }, SERVER);
  assert.equal(talk(relay, 899_500, [CLIENT, SERVER], 1), 2 * 1799);
  assert.equal(talk(relay, 500, [CLIENT, SERVER], 5000), 0);
  talk(relay, 10_000, [], 0);
  assert.equal(relay.count('cleanup_expired_sessions'), 1);
  assert.equal(relay.pipeline.heldSessions, 0);
  relay.balanced();
});

test('one peer alone keeps no session alive: a traffic renewal takes both', () => {
  const relay = new Harness({ limits: { leaseDurationMs: 100_000, idleTimeoutMs: 1e9 } });
  relay.pair(1, CLIENT, SERVER, { exp: 50_000 });
  // Both talk until 60 s; the last renewal is at 160 s, when the server was last heard 100 s ago.
  talk(relay, 60_000, [CLIENT, SERVER], 1);
  const alone = talk(relay, 300_000, [CLIENT], 1000);
  assert.equal(alone, (200_000 - 500) / 500);
  assert.equal(relay.pipeline.heldSessions, 0);
  relay.balanced();
});

test('a renew extends by the lease duration, however short the token was', () => {
  const relay = new Harness({ limits: { renewOnTraffic: false, idleTimeoutMs: 1e9 } });
  relay.pair(1, CLIENT, SERVER, { exp: 1000 });
  for (let i = 0; i < 10; i++) {
    relay.live(299_000, 10_000);
    const ack = relay.renew(1, CLIENT);
    assert.equal(ack.kind === 'ack' && ack.expiresMs, relay.wallMs + 300_000);
  }
  relay.live(300_000, 10_000);
  assert.equal(relay.pipeline.heldSessions, 0);
  relay.balanced();
});

test('a later, shorter lease does not shorten the session', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, { exp: 900_000 }, CLIENT);
  const ack = relay.present(1, Role.Client, { exp: 400_000, iat: 10 }, CLIENT);
  assert.equal(ack.kind === 'ack' && ack.expiresMs, relay.wallMs + 900_000);
  relay.balanced();
});

test('an idle session is removed at the next clean-up after the idle timeout, and forgotten', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  relay.rift(1, CLIENT, 100);
  relay.live(59_000);
  assert.equal(relay.pipeline.heldSessions, 1);
  relay.live(11_000);
  assert.equal(relay.pipeline.heldSessions, 0);
  assert.equal(relay.pipeline.activeSessions, 0);
  assert.equal(relay.admission.held, 0);
  assert.equal(relay.count('cleanup_idle_sessions'), 1);
  assert.deepEqual(relay.removed, [0]);
  assert.deepEqual(relay.rift(1, CLIENT, 101), { kind: 'drop', counter: 'session_not_found_packets' });
  assert.equal(relay.renew(1, CLIENT).kind, 'reject');
  // The next present makes a new one: nothing of the old is left in it.
  relay.pair(1, SERVER, CLIENT);
  assert.equal(relay.rift(1, SERVER, 100).kind, 'forward');
  relay.balanced();
});

test('clean-up goes through the sessions once an interval, not more often', () => {
  const relay = new Harness({ limits: { idleTimeoutMs: 1000 } });
  relay.live(11_000);
  relay.present(1, Role.Client, {}, CLIENT);
  relay.live(8000);
  assert.equal(relay.pipeline.heldSessions, 1);
  relay.live(1000);
  assert.equal(relay.pipeline.heldSessions, 0);
  relay.balanced();
});

test('a peer that pings while it waits for the other is not idle', () => {
  const relay = new Harness();
  relay.present(1, Role.Client, {}, CLIENT);
  talk(relay, 600_000, [CLIENT], 1);
  relay.present(1, Role.Server, {}, SERVER);
  const back = relay.rift(1, SERVER, 1);
  assert.equal(back.kind === 'forward' && back.to, CLIENT);
  relay.balanced();
});

test('what strangers send keeps no session from being idle', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  for (let second = 0; second < 71; second++) {
    relay.live(1000);
    relay.rift(1, '203.0.113.3:4003', second + 1);
    relay.renew(1, '203.0.113.3:4003');
  }
  assert.equal(relay.count('cleanup_idle_sessions'), 1);
  relay.balanced();
});

test('a step of the wall clock, either way, ends no session and starts none over', () => {
  for (const step of [-86_400_000, 86_400_000]) {
    const relay = new Harness();
    relay.pair(1, CLIENT, SERVER);
    talk(relay, 30_000, [CLIENT, SERVER], 1);
    relay.wallMs += step;
    assert.equal(talk(relay, 7_200_000, [CLIENT, SERVER], 1000), 2 * 14_400);
    const ack = relay.renew(1, CLIENT);
    assert.equal(ack.kind === 'ack' && ack.expiresMs, relay.wallMs + 300_000);
    relay.balanced();
  }
});

test('clean-up gets through a large table piece by piece, and keeps what lives', () => {
  const relay = new Harness({
    maxSessions: 10_000,
    limits: { ipRateLimitPps: 1e6, identityRateLimitPps: 1e6 },
  });
  for (let session = 0; session < 10_000; session++) relay.present(session, Role.Client, {}, CLIENT);
  relay.pass(55_000);
  for (let session = 0; session < 10_000; session += 2) relay.renew(session, CLIENT);
  relay.pass(10_000);
  relay.sweep();
  assert.ok(relay.pipeline.heldSessions > 5000, 'one call does not do it all');
  for (let call = 0; call < 10; call++) relay.sweep();
  assert.equal(relay.pipeline.heldSessions, 5000);
  assert.equal(relay.count('cleanup_idle_sessions'), 5000);
  assert.equal(relay.renew(42, CLIENT).kind, 'ack');
  assert.equal(relay.renew(43, CLIENT).kind, 'reject');
  relay.balanced();
});

test('fault 20: an address that was only named by a present gets 2 s of the hard limit, at least 1 MiB, and then nothing', () => {
  for (const [hard, budget] of [
    [1000, 1_048_576],
    [40_000, 10_000_000],
  ] as const) {
    const relay = new Harness();
    relay.pair(1, CLIENT, SERVER, { hard, soft: 1000 });
    let bytes = 0;
    let dropped = 0;
    // Below the hard limit, for long.
    for (let id = 1; dropped < 1000; id++) {
      relay.pass(10);
      const outcome = relay.rift(1, SERVER, id, { size: 1000 });
      if (outcome.kind === 'forward') bytes += 1000;
      else if (outcome.kind === 'drop' && outcome.counter === 'session_not_active_packets') dropped++;
    }
    assert.equal(bytes, Math.floor(budget / 1000) * 1000);
    // Any accepted datagram of the peer opens it again.
    assert.equal(relay.renew(1, CLIENT).kind, 'ack');
    assert.equal(relay.rift(1, SERVER, 1e6).kind, 'forward');
    relay.balanced();
  }
});

test('fault 20: the budget of a silent address is exact, a dropped packet opens nothing, a forwarded one does', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 1000, soft: 1000 });
  const fill = (firstId: number): number => {
    let passed = 0;
    for (let id = firstId; id < firstId + 1100; id++) {
      relay.pass(9);
      if (relay.rift(1, SERVER, id, { size: 1024 }).kind === 'forward') passed++;
    }
    return passed;
  };
  assert.equal(fill(1), 1024);
  relay.send(new Uint8Array(30), CLIENT);
  relay.rift(1, '203.0.113.3:4003', 1);
  assert.equal(fill(2000), 0);
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'forward');
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'drop');
  assert.equal(fill(4000), 1024);
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'drop', 'a replay is not accepted');
  assert.equal(fill(6000), 0);
  relay.rift(1, CLIENT, 2);
  relay.rift(1, SERVER, 7999, { size: 1025 });
  assert.equal(fill(8000), 1022, 'one byte too many');
  relay.balanced();
});

test('fault 20: presents from ever new addresses with one token do not add up to a stream', () => {
  const relay = new Harness({ limits: { ipRateLimitPps: 1e6 } });
  relay.pair(1, CLIENT, SERVER, { hard: 1000, soft: 1000 });
  let bytes = 0;
  let id = 0;
  for (let round = 0; round < 50; round++) {
    relay.pass(2000);
    relay.present(1, Role.Client, { sub: 'client', hard: 1000, soft: 1000 }, `203.0.113.${round}:4000`);
    for (let i = 0; i < 200; i++) {
      relay.pass(10);
      if (relay.rift(1, SERVER, ++id, { size: 1000 }).kind === 'forward') bytes += 1000;
    }
  }
  assert.equal(relay.count('nat_rebind_events'), 50);
  assert.ok(bytes <= 1_048_576, `${bytes} bytes`);
  // A packet from the address, or another token, shows that somebody is there.
  assert.equal(relay.rift(1, '203.0.113.49:4000', 1).kind, 'forward');
  assert.equal(relay.rift(1, SERVER, ++id).kind, 'forward');
  relay.balanced();
});

test('a present from home, or of another token, counts as hearing', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 1000, soft: 1000 });
  let id = 0;
  const fill = (): number => {
    let passed = 0;
    for (let i = 0; i < 1100; i++) {
      relay.pass(10);
      if (relay.rift(1, SERVER, ++id, { size: 1000 }).kind === 'forward') passed++;
    }
    return passed;
  };
  assert.equal(fill(), 1048);
  assert.equal(fill(), 0);
  relay.present(1, Role.Client, { sub: 'client', hard: 1000, soft: 1000 }, CLIENT);
  assert.equal(fill(), 1048);
  relay.present(1, Role.Client, { sub: 'client', hard: 1000, soft: 1000, iat: 5 }, '203.0.113.3:4003');
  assert.equal(fill(), 1048);
  relay.balanced();
});
