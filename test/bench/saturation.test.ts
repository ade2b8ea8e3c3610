import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { findSaturation } from '../../bench/datapath/saturation.ts';

test('the search ends within its precision below the real limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 5000, max: 2_000_000 }),
      fc.integer({ min: 2000, max: 200_000 }),
      async (limit, start) => {
        let probes = 0;
        const found = await findSaturation(
          (rate) => {
            probes++;
            return Promise.resolve({ offered: rate, loss: rate > limit ? 0.5 : 0, busy: rate / limit });
          },
          start,
          1.5,
        );
        assert.equal(found.generatorLimited, false);
        assert.ok(found.rate <= limit, `${found.rate} is above the limit of ${limit}`);
        assert.ok(found.rate >= limit / 1.05, `${found.rate} is far below the limit of ${limit}`);
        assert.ok(probes < 40, `${probes} probes`);
      },
    ),
  );
});

test('one disturbed probe does not end the search', async () => {
  let probes = 0;
  const found = await findSaturation(
    (rate) => {
      probes++;
      const disturbed = probes % 3 === 1;
      return Promise.resolve({ offered: rate, loss: disturbed || rate > 400_000 ? 0.01 : 0, busy: 0.5 });
    },
    80_000,
    1.5,
  );
  assert.ok(found.rate > 380_000, `${found.rate}`);
});

test('a generator that can no more is named, with what it offered', async () => {
  const found = await findSaturation(
    (rate) => Promise.resolve({ offered: Math.min(rate, 300_000), loss: 0, busy: 0.8 }),
    80_000,
    1.5,
  );
  assert.deepEqual(found, { rate: 300_000, generatorLimited: true, busy: 0.8 });
});

test('a subject that always loses packets is given up, not searched for ever', async () => {
  const found = await findSaturation(
    (rate) => Promise.resolve({ offered: rate, loss: 1, busy: 1 }),
    80_000,
    1.5,
  );
  assert.deepEqual(found, { rate: 0, generatorLimited: false, busy: 0 });
});
