import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { increaseOf, RATE_WINDOW_MS, withSample } from '../../../operator/plan/counter-rate.ts';
import type { CounterSample } from '../../../operator/plan/world.ts';

const sampled = (values: readonly number[], everyMs = 10_000): CounterSample[] =>
  values.reduce<CounterSample[]>(
    (samples, value, index) => withSample(samples, { atMs: (index + 1) * everyMs, value }),
    [],
  );

test('a rate needs two samples, the last of them recent', () => {
  assert.equal(increaseOf([], 0), undefined);
  assert.equal(increaseOf(sampled([5]), 10_000), undefined);
  assert.deepEqual(increaseOf(sampled([5, 25]), 21_000), { perSecond: 2, atMs: 20_000 });
  assert.equal(increaseOf(sampled([5, 25]), 20_000 + RATE_WINDOW_MS), undefined);
});

test('a counter that fell began at 0 again', () => {
  assert.equal(increaseOf(sampled([100, 110, 4]), 30_000)?.perSecond, 14 / 20);
});

test('a burst is over once it has left the window', () => {
  const values = [0, 0, 300, 300, 300, 300, 300, 300];
  const rates = values.map((_, index) =>
    increaseOf(sampled(values.slice(0, index + 1)), (index + 1) * 10_000),
  );
  assert.deepEqual(
    rates.map((rate) => rate?.perSecond),
    [undefined, 0, 15, 10, 10, 0, 0, 0],
  );
});

test('a clock that was set back begins anew', () => {
  const samples = withSample(sampled([1, 2, 3]), { atMs: 15_000, value: 4 });
  assert.deepEqual(samples, [{ atMs: 15_000, value: 4 }]);
});

test('whatever a relay counts: bounded memory, never negative, never above what it can have counted', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 2, maxLength: 60 }),
      fc.integer({ min: 100, max: 12_000 }),
      (values, everyMs) => {
        const samples = sampled(values, everyMs);
        assert.ok(samples.length <= RATE_WINDOW_MS / everyMs + 2);
        const rate = increaseOf(samples, values.length * everyMs);
        assert.ok(rate && rate.perSecond >= 0);
        const most = values.reduce((sum, value) => sum + value, 0);
        assert.ok((rate.perSecond * (samples.at(-1)!.atMs - samples[0]!.atMs)) / 1000 <= most + 1e-6);
      },
    ),
  );
});
