import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SEED } from '../seed.ts';
import { TARGETS } from './targets.ts';

/** The short form of `npm run fuzz`: a few batches of each target, from another place with each commit. */
const BATCHES = 4;

for (const target of TARGETS) {
  test(`fuzz ${target.name}: ${target.about}`, async () => {
    const running = await target.start();
    try {
      for (let seed = SEED; seed < SEED + BATCHES; seed++) {
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
