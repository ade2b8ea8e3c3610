import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { median, pairedRatios, quartiles } from '../../bench/datapath/statistics.ts';

test('quartiles interpolate between the nearest ranks', () => {
  assert.deepEqual(quartiles([4, 1, 3, 2]), { low: 1.75, median: 2.5, high: 3.25, count: 4 });
  assert.deepEqual(quartiles([7]), { low: 7, median: 7, high: 7, count: 1 });
  assert.equal(quartiles([]), undefined);
});

test('quartiles are ordered, inside of the values and do not depend on their order', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
      const found = quartiles(values)!;
      assert.ok(Math.min(...values) <= found.low);
      assert.ok(found.low <= found.median && found.median <= found.high);
      assert.ok(found.high <= Math.max(...values));
      assert.deepEqual(quartiles(values.toReversed()), found);
      assert.equal(median(values), found.median);
    }),
  );
});

test('a ratio is taken within each round, so a slow round does not count', () => {
  const a = new Map([
    [0, 100],
    [1, 1000],
    [2, 120],
  ]);
  const b = new Map([
    [0, 50],
    [1, 500],
    [2, 60],
  ]);
  assert.deepEqual(pairedRatios(a, b), { low: 2, median: 2, high: 2, count: 3 });
});

test('rounds in which one of the two is missing make no ratio', () => {
  assert.deepEqual(
    pairedRatios(
      new Map([
        [0, 3],
        [1, 9],
      ]),
      new Map([
        [1, 3],
        [2, 1],
      ]),
    ),
    { low: 3, median: 3, high: 3, count: 1 },
  );
  assert.equal(pairedRatios(new Map([[0, 1]]), new Map()), undefined);
  assert.equal(pairedRatios(new Map([[0, 1]]), new Map([[0, 0]])), undefined);
});
