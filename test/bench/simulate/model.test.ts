import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { clairvoyantOf } from '../../../bench/simulate/clairvoyant.ts';
import { SimMaster } from '../../../bench/simulate/master.ts';
import { Random } from '../../../bench/simulate/random.ts';
import { demandAt, trafficOf } from '../../../bench/simulate/traffic.ts';
import { findScenario } from '../../../bench/simulate/shipped.ts';
import { VirtualClock } from '../../../bench/simulate/virtual-clock.ts';
import { Registry } from '../../../local/master/registry.ts';

test('the clock runs everything in order, first come first served', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), (times) => {
      const clock = new VirtualClock(0);
      const ran: [number, number][] = [];
      for (const [index, atMs] of times.entries()) clock.at(atMs, () => ran.push([clock.nowMs, index]));
      clock.runUntil(100);
      const expected = times
        .map((atMs, index) => [atMs, index] as [number, number])
        .toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
      assert.deepEqual(ran, expected);
      assert.equal(clock.nowMs, 100);
    }),
  );
});

test('what comes due while the clock runs is run, and what lies beyond stays', () => {
  const clock = new VirtualClock(0);
  const ran: number[] = [];
  clock.after(10, () => clock.after(5, () => ran.push(clock.nowMs)));
  clock.after(30, () => ran.push(clock.nowMs));
  clock.runUntil(20);
  assert.deepEqual(ran, [15]);
  clock.runUntil(40);
  assert.deepEqual(ran, [15, 30]);
});

test('the simulated Master does what the development Master does', () => {
  const call = fc.oneof(
    fc.record({ kind: fc.constant('register' as const), relay: fc.nat(9), load: fc.nat(3) }),
    fc.record({ kind: fc.constant('heartbeat' as const), relay: fc.nat(9), load: fc.nat(100) }),
    fc.record({ kind: fc.constant('drain' as const), relay: fc.nat(9), load: fc.nat(1) }),
    fc.record({ kind: fc.constant('choose' as const), relay: fc.nat(9), load: fc.nat(1) }),
    fc.record({ kind: fc.constant('wait' as const), relay: fc.nat(9), load: fc.nat(400) }),
  );
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      const ours = new SimMaster();
      const theirs = new Registry();
      let nowMs = 1_000_000;
      for (const { kind, relay, load } of calls) {
        // Between two sweeps of ours, which are a second apart, a relay may be unheard for too long.
        nowMs += 1001;
        const relayId = `relay-${relay}`;
        if (kind === 'wait') nowMs += load * 1000;
        if (kind === 'register') {
          const endpoint = `10.100.100.${100 + load}:${4000 + relay}`;
          const outcome = theirs.register(
            {
              relayId,
              endpoints: [endpoint],
              region: null,
              asn: null,
              maxSessions: 100,
              maxBitrateKbps: 20_000,
              features: [],
            },
            nowMs,
          );
          assert.equal(ours.register(relayId, endpoint, 100, nowMs), outcome === 'registered');
        }
        if (kind === 'heartbeat') {
          assert.equal(ours.heartbeat(relayId, load, nowMs), theirs.heartbeat(relayId, load, nowMs));
        }
        if (kind === 'drain') {
          const state = load === 0 ? 'Draining' : 'Active';
          theirs.list(nowMs);
          ours.list(nowMs);
          assert.equal(ours.setState(relayId, state), theirs.setState(relayId, state, nowMs));
        }
        if (kind === 'choose') {
          const choice = theirs.choose(nowMs);
          assert.equal(ours.choose(nowMs), 'relay' in choice ? choice.relay.relayId : undefined);
        }
        assert.deepEqual(
          ours.list(nowMs).map(({ relayId: id, state, lastSeenMs }) => ({ id, state, lastSeenMs })),
          theirs.list(nowMs).map(({ relayId: id, state, lastSeenMs }) => ({ id, state, lastSeenMs })),
        );
      }
    }),
    { numRuns: 300 },
  );
});

test('the clairvoyant packs by ends, and never beats what cannot be beaten', () => {
  const hour = 3_600_000;
  const of = (sessions: readonly (readonly [number, number])[], target: number) =>
    clairvoyantOf(
      {
        arrivalMs: Float64Array.from(sessions, ([at]) => at * hour),
        lengthMs: Float64Array.from(sessions, ([, length]) => length * hour),
      },
      target,
      10 * hour,
    );
  assert.deepEqual(of([[1, 2]], 2), { relayHours: 2, floorRelayHours: 2 });
  // Two long and two short ones at a time: by ends, one relay of four hours and one of one.
  const pairs = of(
    [
      [1, 4],
      [1, 1],
      [1.0001, 1],
      [1.0002, 4],
    ].toSorted((a, b) => a[0]! - b[0]!) as [number, number][],
    2,
  );
  assert.ok(pairs.relayHours >= pairs.floorRelayHours);
  // What goes on after the end of the run isn't counted.
  assert.equal(of([[9, 5]], 1).relayHours, 1);

  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(fc.double({ min: -2, max: 9, noNaN: true }), fc.double({ min: 0.1, max: 6, noNaN: true })),
        {
          minLength: 1,
          maxLength: 60,
        },
      ),
      fc.integer({ min: 1, max: 5 }),
      (sessions, target) => {
        const alive = sessions.filter(([at, length]) => at + length > 0).toSorted((a, b) => a[0] - b[0]);
        const { relayHours, floorRelayHours } = of(alive, target);
        const one = of(alive, alive.length + 1);
        const whole = alive.reduce(
          (sum, [at, length]) => sum + Math.min(10, at + length) - Math.max(0, at),
          0,
        );
        assert.ok(relayHours >= floorRelayHours - 1e-9);
        assert.ok(relayHours <= whole + 1e-9, 'never worse than a relay a session');
        assert.ok(one.relayHours >= one.floorRelayHours - 1e-9);
      },
    ),
  );
});

test('demand lies on lines between its points', () => {
  const points = [
    [0, 10],
    [100, 20],
    [200, 0],
  ] as const;
  assert.deepEqual(
    [-5, 0, 50, 100, 150, 200, 300].map((atMs) => demandAt(points, atMs)),
    [10, 10, 15, 20, 10, 0, 0],
  );
});

test('traffic holds as many sessions as the scenario asks for', () => {
  const scenario = { ...findScenario('zone-loss', 100), incidents: [] };
  const { arrivalMs, lengthMs } = trafficOf(scenario, new Random(3));
  const atMs = scenario.durationMs / 2;
  const held = arrivalMs.reduce(
    (sum, arrival, index) => sum + Number(arrival <= atMs && arrival + lengthMs[index]! > atMs),
    0,
  );
  const wanted = demandAt(scenario.demand, atMs);
  assert.ok(Math.abs(held / wanted - 1) < 0.05, `${held} of ${wanted}`);
});

test('draws are what they say', () => {
  const random = new Random(11);
  const values = Array.from({ length: 20_001 }, () => random.lognormal(30, 1)).toSorted((a, b) => a - b);
  assert.ok(Math.abs(values[10_000]! - 30) < 1.5);
  assert.ok(Math.abs(values[16_827]! / (30 * Math.E) - 1) < 0.06, 'one deviation above the median');
  const mean =
    Array.from({ length: 20_000 }, () => random.exponential(5)).reduce((a, b) => a + b, 0) / 20_000;
  assert.ok(Math.abs(mean - 5) < 0.2);
  const flat = Array.from({ length: 20_000 }, () => random.next());
  assert.ok(flat.every((value) => value >= 0 && value < 1));
});
