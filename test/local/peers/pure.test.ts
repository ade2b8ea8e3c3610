import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';

import { nthAddress, parseEndpoint, parseRange } from '../../../local/peers/addresses.ts';
import { Histogram } from '../../../local/peers/histogram.ts';
import { bodyIsRight, fillBody, flowSeed, newDatagram } from '../../../local/peers/payload.ts';
import { Schedule } from '../../../local/peers/schedule.ts';
import { SequenceChecker } from '../../../local/peers/sequence-checker.ts';
import { TRANSPORT_OVERHEAD, sessionIdBytes } from '../../../local/peers/wire.ts';

const size = fc.integer({ min: TRANSPORT_OVERHEAD + 1, max: 1500 });
const sequence = fc.maxSafeNat();

test('a body is right for its flow, sequence and length', () => {
  fc.assert(
    fc.property(size, fc.integer(), sequence, (bytes, seed, id) => {
      const datagram = newDatagram(bytes);
      fillBody(datagram, seed, id);
      assert.ok(bodyIsRight(datagram, seed, id));
      assert.ok(
        bodyIsRight(Buffer.concat([Buffer.alloc(1), datagram]).subarray(1), seed, id),
        'at any alignment',
      );
    }),
  );
});

test('any changed bit, lost or added byte makes a body wrong', () => {
  fc.assert(
    fc.property(size, fc.integer(), sequence, fc.nat(), fc.nat(7), (bytes, seed, id, at, bit) => {
      const datagram = newDatagram(bytes);
      fillBody(datagram, seed, id);
      const bent = Buffer.from(datagram);
      bent[TRANSPORT_OVERHEAD + (at % (bytes - TRANSPORT_OVERHEAD))]! ^= 1 << bit;
      assert.ok(!bodyIsRight(bent, seed, id));
    }),
  );
  const datagram = newDatagram(1200);
  fillBody(datagram, 5, 5);
  assert.ok(!bodyIsRight(datagram.subarray(0, 1199), 5, 5));
  assert.ok(!bodyIsRight(Buffer.concat([datagram, Buffer.alloc(1)]), 5, 5));
});

test('bodies of other sessions, directions and packets differ', () => {
  const a = sessionIdBytes('550e8400-e29b-41d4-a716-446655440000');
  const b = sessionIdBytes('550e8400-e29b-41d4-a716-446655440001');
  const seeds = [flowSeed(a, 0), flowSeed(a, 1), flowSeed(b, 0), flowSeed(b, 1)];
  assert.equal(new Set(seeds).size, 4);
  const datagram = newDatagram(100);
  fillBody(datagram, seeds[0]!, 7);
  for (const seed of seeds.slice(1)) assert.ok(!bodyIsRight(datagram, seed, 7));
  for (const other of [6, 8, 7 + 2 ** 32, 7 + 2 ** 40]) assert.ok(!bodyIsRight(datagram, seeds[0]!, other));
});

test('arrivals are judged as a set of all ids would judge them', () => {
  const step = fc.oneof(
    fc.integer({ min: -20, max: 20 }),
    fc.integer({ min: -5000, max: 5000 }),
    fc.constant(1),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const checker = new SequenceChecker();
      const seen = new Set<number>();
      let highest = 0;
      let at = 0;
      for (const step of steps) {
        at = Math.max(1, at + step);
        const expected =
          at > highest
            ? 'in order'
            : at <= highest - SequenceChecker.WINDOW
              ? 'too late'
              : seen.has(at)
                ? 'duplicate'
                : 'reordered';
        assert.equal(checker.accept(at), expected, `id ${at}, highest ${highest}`);
        if (expected !== 'too late') seen.add(at);
        highest = Math.max(highest, at);
        assert.equal(checker.unique, seen.size);
        assert.equal(checker.missing, highest - seen.size);
      }
    }),
  );
});

test('quantiles are those of the sorted values, to one part in 32', () => {
  const latency = fc.oneof(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 60_000, noNaN: true }),
  );
  fc.assert(
    fc.property(
      fc.array(latency, { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const histogram = new Histogram();
        for (const value of values) histogram.recordMs(value);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1]!;
        const got = histogram.quantileMs(share);
        assert.ok(got >= exact * (1 - 1e-9) - 1e-9, `${got} is not below ${exact}`);
        assert.ok(got <= exact * (1 + 1 / 32) + 0.001 + 1e-9, `${got} is close to ${exact}`);
        assert.equal(histogram.percentiles().max, (Math.max(...values) * 1000) / 1000);
      },
    ),
  );
});

test('histograms add up, can be emptied, and take the absurd', () => {
  const a = new Histogram();
  const b = new Histogram();
  assert.deepEqual(a.percentiles(), { count: 0, p50: 0, p90: 0, p99: 0, p99_9: 0, max: 0 });
  for (let i = 1; i <= 50; i++) a.recordMs(i);
  for (let i = 51; i <= 100; i++) b.recordMs(i);
  a.add(b);
  assert.equal(a.count, 100);
  assert.ok(Math.abs(a.quantileMs(0.5) - 50) < 2);
  assert.equal(a.percentiles().max, 100);
  a.clear();
  a.recordMs(-1);
  a.recordMs(10_000_000);
  assert.equal(a.count, 2);
  assert.ok(a.quantileMs(0) <= 0.001);
  assert.equal(a.percentiles().max, 10_000_000);
});

test('a schedule sends what was asked for, everybody in turn', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { maxLength: 100 }),
      (flows, perSecond, train, waits) => {
        const schedule = new Schedule(flows, perSecond, train, 1000);
        let now = 1000;
        let turns = 0;
        for (const wait of [0, ...waits]) {
          now += wait;
          for (let flow = schedule.due(now); flow >= 0; flow = schedule.due(now)) {
            assert.equal(flow, turns % flows);
            turns++;
          }
        }
        assert.equal(schedule.skipped, 0);
        const expected = ((now - 1000) / 1000) * ((perSecond * flows) / train);
        assert.ok(Math.abs(turns - 1 - expected) <= 1 + 1e-6, `${turns} turns, ${expected} expected`);
      },
    ),
  );
});

test('a schedule that falls far behind skips, and says how much', () => {
  const schedule = new Schedule(2, 1000, 1, 0, 25);
  let turns = 0;
  while (schedule.due(1000) >= 0) turns++;
  assert.ok(turns >= 50 && turns <= 52, `${turns} turns in 25 ms of 2000/s`);
  assert.equal(turns + schedule.skipped, 2001);
  assert.equal(new Schedule(0, 10, 1, 0).due(1e9), -1);
  assert.equal(new Schedule(3, 0, 1, 0).due(1e9), -1);
});

test('endpoints are numeric', () => {
  assert.deepEqual(parseEndpoint('192.0.2.1:4000'), { family: 4, address: '192.0.2.1', port: 4000 });
  assert.deepEqual(parseEndpoint('[2001:db8::1]:4000'), { family: 6, address: '2001:db8::1', port: 4000 });
  assert.deepEqual(parseEndpoint('[fe80::1%eth0]:1'), { family: 6, address: 'fe80::1%eth0', port: 1 });
  for (const bad of ['', 'relay:4000', '1.2.3:4', '1.2.3.4', '1.2.3.4:0', '1.2.3.4:65536', '::1:4000']) {
    assert.throws(() => parseEndpoint(bad), /is not an ip:port/, bad);
  }
});

test('a range gives its addresses in turn, without the first and the last', () => {
  const range = parseRange('127.10.0.7/30');
  assert.deepEqual(
    [0, 1, 2].map((n) => nthAddress(range, n)),
    ['127.10.0.5', '127.10.0.6', '127.10.0.5'],
  );
  assert.equal(nthAddress(parseRange('127.10.0.0/16'), 256), '127.10.1.1');
  assert.equal(nthAddress(parseRange('192.0.2.9'), 5), '192.0.2.9');
  for (const bad of ['', '127.0.0.0/33', '127.0.0/8', '127.0.0.0/-1', '127.0.0.0/8/8', '::1/64']) {
    assert.throws(() => parseRange(bad), /is not an IPv4 address or range/, bad);
  }
});
