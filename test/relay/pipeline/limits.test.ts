import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '../../../relay/protocol/role.ts';
import { Harness, presentOf, riftOf } from './harness.ts';
import type { Outcome } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const STRANGER = '203.0.113.3:4003';
const LIMITED: Outcome = { kind: 'drop', counter: 'rate_limited_packets' };
const LIMITED_AND_TOLD: Outcome = { kind: 'reject', reason: 6, counter: 'rate_limited_packets' };

/** At the start of a second of the one-second counters. */
function onTheSecond(relay: Harness): Harness {
  relay.pass(1000 - (relay.nowMs % 1000));
  return relay;
}

test('fault 4: the source limit does not count what known peers of an active session send', () => {
  const relay = new Harness({ limits: { ipRateLimitPps: 10 } });
  relay.pair(1, CLIENT, SERVER, { hard: 4_000_000, soft: 4_000_000 });
  onTheSecond(relay);
  for (let id = 1; id <= 5000; id++) assert.equal(relay.rift(1, CLIENT, id).kind, 'forward');
  // Ten strangers behind the same NAT still have all of their limit.
  for (let i = 0; i < 10; i++) {
    assert.equal(relay.rift(2, `192.0.2.1:${7000 + i}`, 1).kind, 'drop');
  }
  assert.equal(relay.count('session_not_found_packets'), 10);
  assert.equal(relay.count('rate_limited_packets'), 0);
  relay.balanced();
});

test('flood: leases of a known peer count against the source limit when they have to be verified', () => {
  const relay = new Harness({ limits: { ipRateLimitPps: 10, identityRateLimitPps: 1000 } });
  relay.pair(1, CLIENT, SERVER);
  onTheSecond(relay);
  const invented = (i: number): Uint8Array =>
    presentOf(1, Role.Client, { problem: 'bad-signature', note: `${i}` });
  const outcomes = Array.from({ length: 40 }, (_, i) => relay.arrive(invented(i), CLIENT));
  assert.ok(outcomes.slice(0, 10).every((outcome) => outcome.kind === 'waits'));
  assert.deepEqual(
    outcomes.slice(10, 20),
    Array.from({ length: 10 }, () => LIMITED_AND_TOLD),
  );
  assert.deepEqual(
    outcomes.slice(20),
    Array.from({ length: 20 }, () => LIMITED),
  );
  // The token that the relay knows costs next to nothing, and the session goes on.
  assert.equal(relay.present(1, Role.Client, { sub: 'client' }, CLIENT).kind, 'ack');
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'forward');
  while (relay.waiting > 0) relay.verify();
  relay.balanced();
});

test('flood: FORWARD from strangers beyond the source limit is rate limited, and never answered', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 100 } }));
  for (let i = 0; i < 1000; i++) {
    const outcome = relay.rift(i, `203.0.113.3:${1024 + i}`, 1);
    assert.deepEqual(
      outcome,
      i < 100 ? { kind: 'drop', counter: 'session_not_found_packets' } : LIMITED,
      `packet ${i}`,
    );
  }
  // Another source is not concerned, and the next second is a new one.
  assert.deepEqual(relay.rift(1, CLIENT, 1), { kind: 'drop', counter: 'session_not_found_packets' });
  relay.pass(1000);
  assert.deepEqual(relay.rift(1, STRANGER, 1), { kind: 'drop', counter: 'session_not_found_packets' });
  relay.balanced();
});

test('reflection: over the source limit leases get reject 6 for as many again, then silence', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 10, identityRateLimitPps: 1000 } }));
  const outcomes = Array.from({ length: 40 }, (_, i) =>
    relay.present(i, Role.Client, {}, `203.0.113.3:${1024 + i}`),
  );
  assert.ok(outcomes.slice(0, 10).every((outcome) => outcome.kind === 'ack'));
  assert.deepEqual(
    outcomes.slice(10, 20),
    Array.from({ length: 10 }, () => LIMITED_AND_TOLD),
  );
  assert.deepEqual(
    outcomes.slice(20),
    Array.from({ length: 20 }, () => LIMITED),
  );
  assert.equal(relay.verifications, 10);
  assert.equal(relay.count('rate_limited_packets'), 30);
  assert.equal(relay.count('identity_rate_limited_packets'), 0);
  relay.balanced();
});

test('reflection: a LEASE_PRESENT too small to be one is never answered, not even beyond the rate', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 1 } }));
  const runt = presentOf(1, Role.Client, {}).slice(0, 21);
  assert.deepEqual(relay.send(runt, STRANGER), { kind: 'drop', counter: 'invalid_packets' });
  assert.deepEqual(relay.send(runt, STRANGER), LIMITED);
  relay.balanced();
});

test('renews count and are answered like presents, and FORWARDs use up the same limit', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 2 } }));
  relay.rift(1, STRANGER, 1);
  assert.equal(relay.renew(1, STRANGER).kind, 'reject');
  assert.deepEqual(relay.renew(1, STRANGER), LIMITED_AND_TOLD);
  assert.deepEqual(relay.rift(1, STRANGER, 1), LIMITED);
  assert.deepEqual(relay.renew(1, STRANGER), LIMITED);
  relay.balanced();
});

test('IPv6 sources are one by their /64', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 5 } }));
  for (let i = 0; i < 20; i++) relay.rift(1, `[2001:db8:1:2:${i + 1}::${i}]:4000`, 1);
  assert.equal(relay.count('rate_limited_packets'), 15);
  assert.equal(relay.rift(1, '[2001:db8:1:3::1]:4000', 1).kind, 'drop');
  assert.equal(relay.count('rate_limited_packets'), 15);
  relay.balanced();
});

test('link-local sources are one by their scope', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 5 } }));
  for (let i = 0; i < 10; i++) relay.rift(1, `[fe80::${i + 1}%1]:4000`, 1);
  assert.equal(relay.count('rate_limited_packets'), 5);
  for (let i = 0; i < 5; i++) relay.rift(1, `[fe80::${i + 1}%2]:4000`, 1);
  assert.equal(relay.count('rate_limited_packets'), 5);
  relay.balanced();
});

test('leases of known peers of an active session do not use up their source’s limit', () => {
  const relay = new Harness({ limits: { ipRateLimitPps: 3 } });
  relay.pair(1, CLIENT, SERVER);
  onTheSecond(relay);
  for (let i = 0; i < 20; i++) {
    assert.equal(relay.renew(1, CLIENT).kind, 'ack');
    assert.equal(relay.present(1, Role.Client, { sub: 'client' }, CLIENT).kind, 'ack');
  }
  assert.equal(relay.renew(2, CLIENT).kind, 'reject');
  assert.equal(relay.count('rate_limited_packets'), 0);
  relay.balanced();
});

test('peers of a waiting session are limited like strangers', () => {
  const relay = onTheSecond(new Harness({ limits: { ipRateLimitPps: 5 } }));
  relay.present(1, Role.Client, {}, CLIENT);
  for (let id = 1; id <= 10; id++) relay.rift(1, CLIENT, id);
  assert.equal(relay.count('session_not_active_packets'), 4);
  assert.equal(relay.count('rate_limited_packets'), 6);
  relay.balanced();
});

test('flood: an identity over its rate gets reject 6 for as many again, wherever it comes from', () => {
  const relay = onTheSecond(new Harness({ limits: { identityRateLimitPps: 5 } }));
  const outcomes = Array.from({ length: 15 }, (_, i) =>
    relay.present(i, Role.Client, { sub: 'greedy' }, `203.0.113.${i}:4000`),
  );
  assert.ok(outcomes.slice(0, 5).every((outcome) => outcome.kind === 'ack'));
  assert.deepEqual(
    outcomes.slice(5, 10),
    Array.from({ length: 5 }, () => LIMITED_AND_TOLD),
  );
  assert.deepEqual(
    outcomes.slice(10),
    Array.from({ length: 5 }, () => LIMITED),
  );
  assert.equal(relay.count('identity_rate_limited_packets'), 10);
  assert.equal(relay.count('rate_limited_packets'), 10);
  assert.equal(relay.present(50, Role.Client, { sub: 'other' }, STRANGER).kind, 'ack');
  relay.balanced();
});

test('the identity’s rate is asked after its claims and before the session’s roles', () => {
  const relay = onTheSecond(new Harness({ limits: { identityRateLimitPps: 1 } }));
  relay.present(1, Role.Client, {}, CLIENT);
  // A bad lease of the same identity does not use the rate up, and is told what is wrong with it.
  assert.equal(
    relay.present(2, Role.Client, { sub: 'mallory', problem: 'expired' }, STRANGER).kind,
    'reject',
  );
  assert.deepEqual(relay.present(1, Role.Client, { sub: 'mallory' }, STRANGER), {
    kind: 'reject',
    reason: 2,
    counter: 'auth_reject_packets',
  });
  assert.deepEqual(relay.present(1, Role.Client, { sub: 'mallory' }, STRANGER), LIMITED_AND_TOLD);
  relay.balanced();
});

test('repetitions and renews of a known peer count against its identity', () => {
  const relay = new Harness({ limits: { identityRateLimitPps: 4 } });
  relay.pair(1, CLIENT, SERVER);
  onTheSecond(relay);
  const present = (): Outcome => relay.present(1, Role.Client, { sub: 'client' }, CLIENT);
  assert.deepEqual(
    [present(), present(), relay.renew(1, CLIENT), relay.renew(1, CLIENT)].map(({ kind }) => kind),
    ['ack', 'ack', 'ack', 'ack'],
  );
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(present(), LIMITED_AND_TOLD);
    assert.deepEqual(relay.renew(1, CLIENT), LIMITED_AND_TOLD);
  }
  assert.deepEqual(present(), LIMITED);
  assert.deepEqual(relay.renew(1, CLIENT), LIMITED);
  assert.equal(relay.renew(1, SERVER).kind, 'ack');
  relay.balanced();
});

test('fault 5: the hard limit is a bucket of 250 ms: a key frame passes, a flood gets the limit and no more', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 8000, soft: 8000 });
  // 8000 kbps are 1000 bytes a millisecond; 250 ms are 250,000 bytes.
  let passed = 0;
  for (let id = 1; id <= 300; id++) {
    if (relay.rift(1, CLIENT, id, { size: 1000 }).kind === 'forward') passed++;
  }
  assert.equal(passed, 250);
  // Both directions share it.
  assert.deepEqual(relay.rift(1, SERVER, 1, { size: 1000 }), LIMITED);
  passed = 0;
  for (let ms = 0; ms < 2000; ms++) {
    relay.pass(1);
    for (let i = 0; i < 3; i++) {
      if (relay.rift(1, CLIENT, 1000 + ms * 3 + i, { size: 1000 }).kind === 'forward') passed++;
    }
  }
  // The receiver never answers, but 2 s of the limit is what a silent address gets.
  assert.equal(passed, 2000 - 250);
  relay.balanced();
});

test('fault 5: a slow session has at least 64 KiB to burst', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 1000, soft: 1000 });
  for (let id = 1; id <= 64; id++) assert.equal(relay.rift(1, CLIENT, id, { size: 1024 }).kind, 'forward');
  assert.deepEqual(relay.rift(1, CLIENT, 65, { size: 20 + 18 }), LIMITED);
  relay.pass(8);
  assert.equal(relay.rift(1, CLIENT, 66, { size: 1000 }).kind, 'forward');
  assert.deepEqual(relay.rift(1, CLIENT, 67, { size: 1000 }), LIMITED);
  relay.balanced();
});

test('fault 5: what is above the soft limit is counted, and forwarded', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 80_000, soft: 1000 });
  for (let id = 1; id <= 100; id++) {
    assert.equal(relay.rift(1, CLIENT, id, { size: 1024 }).kind, 'forward');
  }
  assert.equal(relay.count('soft_limit_exceeded_packets'), 36);
  relay.balanced();
});

test('presenting again fills no bucket; a lower limit applies at once', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 8000, soft: 8000 });
  for (let id = 1; id <= 250; id++) relay.rift(1, CLIENT, id, { size: 1000 });
  relay.present(1, Role.Client, { sub: 'client', hard: 8000, soft: 8000, note: 'again' }, CLIENT);
  assert.deepEqual(relay.rift(1, CLIENT, 1, { size: 1000 }), LIMITED);
  relay.present(1, Role.Client, { sub: 'client', hard: 1_000_000, soft: 1000, note: 'more' }, CLIENT);
  assert.deepEqual(relay.rift(1, CLIENT, 1, { size: 1000 }), LIMITED);
  relay.pass(1000);
  relay.present(1, Role.Client, { sub: 'client', hard: 1000, soft: 1000, note: 'less' }, CLIENT);
  let passed = 0;
  for (let id = 1; id <= 100; id++)
    if (relay.rift(1, CLIENT, id, { size: 1024 }).kind === 'forward') passed++;
  assert.equal(passed, 64);
  relay.balanced();
});

test('the largest limits that fit the claims are no trouble', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER, { hard: 0xffff_ffff, soft: 0xffff_ffff });
  for (let id = 1; id <= 2000; id++) {
    assert.equal(relay.rift(1, CLIENT, id, { size: 1500 }).kind, 'forward');
  }
  const ack = relay.renew(1, CLIENT);
  assert.deepEqual(ack.kind === 'ack' && [ack.soft, ack.hard], [0xffff_ffff, 0xffff_ffff]);
  relay.balanced();
});

test('flood: a million packets with invented sessions and addresses leave nothing behind', () => {
  const relay = new Harness();
  relay.pair(1, CLIENT, SERVER);
  const packet = riftOf(2, 1);
  const source = new Int32Array(6);
  source[2] = 0xffff;
  source[4] = 4000;
  for (let i = 0; i < 1_000_000; i++) {
    packet[4] = i;
    packet[5] = i >> 8;
    packet[6] = i >> 16;
    source[3] = 0x0a00_0000 + i;
    relay.pipeline.receive(packet, 0, packet.length, source, 0, relay.nowMs + i / 100);
  }
  assert.equal(relay.pipeline.heldSessions, 1);
  assert.equal(relay.count('session_not_found_packets') + relay.count('rate_limited_packets'), 1_000_000);
  // Two rows of counters and the smaller of the two: strangers hardly ever stand in each other's way.
  assert.ok(relay.count('rate_limited_packets') < 1000, `${relay.count('rate_limited_packets')}`);
  assert.equal(relay.rift(1, CLIENT, 1).kind, 'forward');
  relay.balanced();
});
