import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { Overload } from '../../../relay/control/overload.ts';

/** Feeds one sample a second of these busy ratios (and Mbit/s); says after each whether it sheds. */
function feed(
  overload: Overload,
  seconds: readonly { busy: readonly number[]; mbps?: number }[],
  start = { nowMs: 0, bytes: 0 },
): boolean[] {
  let { nowMs, bytes } = start;
  overload.sample({ nowMs, busyRatios: [], bytesForwarded: bytes });
  return seconds.map(({ busy, mbps = 0 }) => {
    nowMs += 1000;
    bytes += (mbps * 1e6) / 8;
    return overload.sample({ nowMs, busyRatios: busy, bytesForwarded: bytes });
  });
}

const seconds = (
  count: number,
  busy: readonly number[],
  mbps = 0,
): { busy: readonly number[]; mbps: number }[] => Array.from({ length: count }, () => ({ busy, mbps }));

test('sheds from 90 % busy over 10 s, until 80 %', () => {
  const overload = new Overload({ maxThroughputMbps: undefined, shedThresholdPct: 95 });
  const sheds = feed(overload, [...seconds(10, [0.91]), ...seconds(10, [0.85]), ...seconds(10, [0.79])]);
  assert.equal(sheds.indexOf(true), 9, 'not before ten seconds have passed');
  assert.equal(sheds[19], true, '85 % is still too much');
  assert.equal(sheds.at(-1), false);
  assert.equal(overload.reason, undefined);
});

test('the busiest worker counts, not the mean of all', () => {
  const overload = new Overload({ maxThroughputMbps: undefined, shedThresholdPct: 95 });
  assert.equal(feed(overload, seconds(10, [0.1, 0.95, 0.1])).at(-1), true);
  assert.ok(Math.abs(overload.busyRatio - 0.95) < 1e-9);
  assert.match(overload.reason!, /busiest worker.*95 %/);
});

test('work that moves from worker to worker is no overload', () => {
  const overload = new Overload({ maxThroughputMbps: undefined, shedThresholdPct: 95 });
  const turns = Array.from({ length: 20 }, (_, i) => ({ busy: i % 2 === 0 ? [1, 0] : [0, 1] }));
  assert.ok(!feed(overload, turns).includes(true));
});

test('sheds at the threshold of --max-throughput-mbps, when that is set', () => {
  const limited = new Overload({ maxThroughputMbps: 1000, shedThresholdPct: 90 });
  const sheds = feed(limited, [
    ...seconds(10, [0.1], 899),
    ...seconds(10, [0.1], 901),
    ...seconds(10, [0.1], 10),
  ]);
  assert.equal(sheds[9], false);
  assert.equal(sheds[19], true);
  assert.equal(sheds.at(-1), false);
  const unlimited = new Overload({ maxThroughputMbps: undefined, shedThresholdPct: 90 });
  assert.ok(!feed(unlimited, seconds(20, [0.1], 100_000)).includes(true));
});

test('a pause of the whole process counts as the idle time that it was', () => {
  const overload = new Overload({ maxThroughputMbps: undefined, shedThresholdPct: 95 });
  feed(overload, seconds(10, [0.99]));
  assert.equal(overload.sample({ nowMs: 70_000, busyRatios: [0.02], bytesForwarded: 0 }), false);
});

test('ratios stay within what was fed, whatever the spacing of the samples', () => {
  const sample = fc.record({
    afterMs: fc.integer({ min: 0, max: 20_000 }),
    busy: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(sample, { minLength: 1 }), (samples) => {
      const overload = new Overload({ maxThroughputMbps: 10, shedThresholdPct: 50 });
      let nowMs = 5;
      for (const { afterMs, busy } of samples) {
        nowMs += afterMs;
        overload.sample({ nowMs, busyRatios: [busy], bytesForwarded: 0 });
        const most = Math.max(...samples.map((other) => other.busy));
        assert.ok(overload.busyRatio >= 0 && overload.busyRatio <= most + 1e-9);
        assert.equal(overload.throughputMbps, 0);
      }
    }),
  );
});
