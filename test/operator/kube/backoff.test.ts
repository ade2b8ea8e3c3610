import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff } from '../../../operator/kube/backoff.ts';

test('waits double up to the longest, and begin anew after a reset or a long peace', () => {
  let nowMs = 0;
  const backoff = new Backoff({
    firstMs: 800,
    mostMs: 30_000,
    jitter: 1,
    random: () => 0.5,
    nowMs: () => nowMs,
    resetAfterMs: 120_000,
  });
  const waits = (): number[] =>
    Array.from({ length: 7 }, () => {
      const wait = backoff.next();
      nowMs += wait;
      return wait;
    });
  const growing = [1200, 2400, 4800, 9600, 19_200, 38_400, 45_000];
  assert.deepEqual(waits(), growing);
  assert.equal(backoff.next(), 45_000);
  nowMs += 120_000;
  assert.equal(backoff.next(), 45_000);
  nowMs += 120_001;
  assert.deepEqual(waits(), growing);
  backoff.reset();
  assert.equal(backoff.next(), 1200);
});
