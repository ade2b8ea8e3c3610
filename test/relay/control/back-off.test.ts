import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { backOffMs } from '../../../relay/control/back-off.ts';

const options = { firstMs: 1000, maxMs: 60_000 };

test('doubles from 1 s to 60 s', () => {
  const most = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => backOffMs(failures, options, () => 1));
  assert.deepEqual(most, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test('is jittered between half and all of it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failures, random) => {
        const whole = backOffMs(failures, options, () => 1);
        const delay = backOffMs(failures, options, () => random);
        assert.ok(delay >= whole / 2 && delay <= whole);
      },
    ),
  );
});
