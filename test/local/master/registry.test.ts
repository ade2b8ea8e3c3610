import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';

import type { Registration, RelayState } from '../../../local/master/registry.ts';
import {
  MAX_RELAYS,
  PURGE_MS,
  RELAYS_PER_ADDRESS,
  RELAY_STATES,
  Registry,
  UNHEARD_MS,
} from '../../../local/master/registry.ts';

function registration(relayId: string, ...endpoints: string[]): Registration {
  return {
    relayId,
    endpoints: endpoints.length > 0 ? endpoints : [`192.0.2.${relayId.length}:4000`],
    region: null,
    asn: null,
    maxSessions: 100,
    maxBitrateKbps: 20_000,
    features: ['ipv4'],
  };
}

function stateOf(registry: Registry, relayId: string, nowMs: number): RelayState | undefined {
  return registry.list(nowMs).find((relay) => relay.relayId === relayId)?.state;
}

test('a relay is New until its first heartbeat, then its load says what it is', () => {
  const registry = new Registry();
  registry.register(registration('a'), 0);
  assert.equal(stateOf(registry, 'a', 0), 'New');
  for (const [load, state] of [
    [0, 'Active'],
    [84.99, 'Active'],
    [85, 'Probation'],
    [94.99, 'Probation'],
    [95, 'Degraded'],
    [100, 'Degraded'],
    [10, 'Active'],
  ] as const) {
    assert.ok(registry.heartbeat('a', load, 1));
    assert.equal(stateOf(registry, 'a', 1), state, `at ${load} %`);
  }
});

test('a heartbeat of an unknown relay asks it to register again', () => {
  assert.equal(new Registry().heartbeat('nobody', 0, 0), false);
});

test('heartbeats leave the marks Draining and Banned, registering again takes them off', () => {
  for (const mark of ['Draining', 'Banned'] as const) {
    const registry = new Registry();
    registry.register(registration('a'), 0);
    assert.ok(registry.setState('a', mark, 0));
    for (const load of [0, 90, 100]) registry.heartbeat('a', load, 1);
    assert.equal(stateOf(registry, 'a', 1), mark);
    assert.equal(stateOf(registry, 'a', UNHEARD_MS + 2), mark, 'nor does silence change it');
    registry.register(registration('a'), 2);
    assert.equal(stateOf(registry, 'a', 2), 'New');
  }
});

test('a relay unheard for 120 s is Quarantined and not assigned, until it is heard again', () => {
  const registry = new Registry();
  registry.register(registration('a'), 0);
  assert.ok('relay' in registry.choose(UNHEARD_MS));
  assert.deepEqual(registry.choose(UNHEARD_MS + 1), {
    refused: 'no relay can be assigned: a is Quarantined',
  });
  assert.ok(registry.heartbeat('a', 3, UNHEARD_MS + 2));
  assert.ok('relay' in registry.choose(UNHEARD_MS + 2));
});

test('a relay unheard for 600 s is forgotten', () => {
  const registry = new Registry();
  registry.register(registration('a'), 0);
  assert.equal(registry.list(PURGE_MS).length, 1);
  assert.equal(registry.heartbeat('a', 0, PURGE_MS + 1), false);
  assert.deepEqual(registry.list(PURGE_MS + 1), []);
});

test('a sixth relay whose first endpoint has the same IP is refused', () => {
  const registry = new Registry();
  for (let i = 0; i < RELAYS_PER_ADDRESS; i++) {
    assert.equal(registry.register(registration(`r${i}`, `10.0.0.1:${4000 + i}`), 0), 'registered');
  }
  assert.equal(registry.register(registration('r5', '10.0.0.1:4999'), 0), 'too many relays at this address');
  assert.equal(registry.register(registration('other', '10.0.0.2:4000'), 0), 'registered');
});

test('the comparison is textual: 10.0.0.1 also counts 10.0.0.11, but not the other way round', () => {
  const registry = new Registry();
  for (let i = 0; i < 5; i++) registry.register(registration(`r${i}`, `10.0.0.1${i}:4000`), 0);
  assert.equal(registry.register(registration('low', '10.0.0.1:4000'), 0), 'too many relays at this address');
  const reverse = new Registry();
  for (let i = 0; i < 5; i++) reverse.register(registration(`r${i}`, `10.0.0.1:${4000 + i}`), 0);
  assert.equal(reverse.register(registration('high', '10.0.0.11:4000'), 0), 'registered');
});

test('any endpoint of a registered relay counts, and an IPv6 first endpoint counts as "["', () => {
  const registry = new Registry();
  for (let i = 0; i < 5; i++)
    registry.register(registration(`r${i}`, `192.0.2.${i}:1`, `[2001:db8::${i}]:1`), 0);
  assert.equal(
    registry.register(registration('six', '[2001:db8:ffff::1]:1'), 0),
    'too many relays at this address',
  );
  assert.equal(registry.register(registration('four', '198.51.100.1:1', '[2001:db8::1]:1'), 0), 'registered');
});

test('registering again is refused too when five entries, its own included, are at that IP', () => {
  const registry = new Registry();
  for (let i = 0; i < 5; i++) registry.register(registration(`r${i}`, `10.0.0.1:${4000 + i}`), 0);
  assert.equal(registry.register(registration('r0', '10.0.0.1:4000'), 1), 'too many relays at this address');
  assert.equal(registry.list(1).length, 5);
  const four = new Registry();
  for (let i = 0; i < 4; i++) four.register(registration(`r${i}`, `10.0.0.1:${4000 + i}`), 0);
  assert.equal(four.register(registration('r0', '10.0.0.1:5000'), 1), 'registered');
  assert.deepEqual(four.list(1).find((relay) => relay.relayId === 'r0')!.endpoints, ['10.0.0.1:5000']);
});

test('a marked relay is not assigned, and the reason names it', () => {
  const registry = new Registry();
  assert.deepEqual(registry.choose(0), { refused: 'no relay is registered' });
  registry.register(registration('a'), 0);
  for (const state of RELAY_STATES) {
    registry.setState('a', state, 0);
    const assignable = !['Draining', 'Quarantined', 'Banned'].includes(state);
    assert.equal('relay' in registry.choose(0), assignable, state);
    assert.equal('relay' in registry.choose(0, 'a'), assignable, state);
  }
  assert.deepEqual(registry.choose(0), { refused: 'no relay can be assigned: a is Banned' });
  assert.deepEqual(registry.choose(0, 'a'), { refused: 'relay a is Banned' });
  assert.deepEqual(registry.choose(0, 'b'), { refused: 'no relay b is registered' });
});

test('the least loaded relay is chosen, and a burst between heartbeats spreads', () => {
  const registry = new Registry();
  registry.register(registration('a', '192.0.2.1:1'), 0);
  registry.register(registration('b', '192.0.2.2:1'), 0);
  registry.heartbeat('a', 50, 0);
  registry.heartbeat('b', 10, 0);
  const chosen = Array.from({ length: 60 }, () => {
    const choice = registry.choose(0);
    assert.ok('relay' in choice);
    return choice.relay.relayId;
  });
  assert.ok(chosen.slice(0, 40).every((id) => id === 'b'));
  assert.equal(chosen.filter((id) => id === 'a').length, 10);
});

test('the registry has an end, but those in it can register again', () => {
  const full = new Registry();
  for (let i = 0; i < MAX_RELAYS; i++) full.register(registration(`r${i}`, `host${i}x:1`), 0);
  assert.equal(full.list(0).length, MAX_RELAYS);
  assert.equal(full.register(registration('one more', 'another:1'), 0), 'registry full');
  assert.equal(full.register(registration('r0', 'host0x:1'), 0), 'registered');
});

type Step =
  | { do: 'register'; id: number; address: number }
  | { do: 'heartbeat'; id: number; load: number }
  | { do: 'mark'; id: number; state: RelayState }
  | { do: 'wait'; ms: number };

test('after any sequence of calls: bounds hold, marks stay, and what is chosen may be chosen', () => {
  const id = fc.nat(7);
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant('register' as const), id, address: fc.nat(3) }),
    fc.record({
      do: fc.constant('heartbeat' as const),
      id,
      load: fc.double({ min: 0, max: 100, noNaN: true }),
    }),
    fc.record({ do: fc.constant('mark' as const), id, state: fc.constantFrom(...RELAY_STATES) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 60_000, UNHEARD_MS, PURGE_MS) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = new Registry();
      const heard = new Map<string, number>();
      const marks = new Map<string, RelayState>();
      let now = 0;
      for (const step of steps) {
        if (step.do === 'wait') now += step.ms;
        for (const [relayId, at] of heard) {
          if (now - at > PURGE_MS) {
            heard.delete(relayId);
            marks.delete(relayId);
          }
        }
        if (step.do === 'register') {
          const relayId = `r${step.id}`;
          const outcome = registry.register(registration(relayId, `10.0.${step.address}.1:${step.id}`), now);
          if (outcome === 'registered') {
            heard.set(relayId, now);
            marks.delete(relayId);
          }
        } else if (step.do === 'heartbeat') {
          const relayId = `r${step.id}`;
          assert.equal(registry.heartbeat(relayId, step.load, now), heard.has(relayId));
          if (heard.has(relayId)) heard.set(relayId, now);
        } else if (step.do === 'mark') {
          const relayId = `r${step.id}`;
          assert.equal(registry.setState(relayId, step.state, now), heard.has(relayId));
          if (heard.has(relayId)) marks.set(relayId, step.state);
        }
        const listed = registry.list(now);
        assert.deepEqual(new Set(listed.map((relay) => relay.relayId)), new Set(heard.keys()));
        for (const address of [0, 1, 2, 3]) {
          const at = listed.filter((relay) => relay.endpoints[0]!.startsWith(`10.0.${address}.1`));
          assert.ok(at.length <= RELAYS_PER_ADDRESS);
        }
        for (const relay of listed) {
          const mark = marks.get(relay.relayId);
          if (mark === 'Draining' || mark === 'Banned') assert.equal(relay.state, mark);
          if (now - relay.lastSeenMs > UNHEARD_MS) assert.match(relay.state, /Quarantined|Draining|Banned/);
        }
        const choice = registry.choose(now);
        const free = listed.filter((relay) => !/Quarantined|Draining|Banned/.test(relay.state));
        assert.equal('relay' in choice, free.length > 0);
        if ('relay' in choice) assert.ok(free.some((relay) => relay.relayId === choice.relay.relayId));
      }
    }),
  );
});
