import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';

import { TARGETS } from './targets.ts';

/** The short form of `npm run fuzz`: a few batches of each target, from a new place every time. */
const BATCHES = 4;

for (const target of TARGETS) {
  test(`fuzz ${target.name}: ${target.about}`, async () => {
    const running = await target.start();
    const firstSeed = randomInt(2 ** 32 - BATCHES);
    try {
      for (let seed = firstSeed; seed < firstSeed + BATCHES; seed++) {
        const { failure } = await running.batch(seed);
        assert.equal(
          failure,
          undefined,
          `${failure?.error}\n${failure?.input}\nagain: npm run fuzz -- --seed ${seed} --only ${target.name}`,
        );
      }
    } finally {
      await running.stop?.();
    }
  });
}
