import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ExpiringCache } from '../../../operator/metricsapi/expiring-cache.ts';

test('an answer is shared and remembered until it is old; a failure isn’t', async () => {
  let nowMs = 0;
  let asked = 0;
  const cache = new ExpiringCache<number>({ most: 10, ttlMs: 100, nowMs: () => nowMs });
  const ask = (): Promise<number> => Promise.resolve((asked += 1));
  assert.deepEqual(await Promise.all([cache.get('a', ask), cache.get('a', ask)]), [1, 1]);
  nowMs = 99;
  assert.equal(await cache.get('a', ask), 1);
  nowMs = 100;
  assert.equal(await cache.get('a', ask), 2);
  await assert.rejects(cache.get('b', () => Promise.reject(new Error('no'))));
  assert.equal(await cache.get('b', ask), 3);
});

test('strangers can’t make it grow', async () => {
  const cache = new ExpiringCache<number>({ most: 10, ttlMs: 1e9, nowMs: () => 0 });
  for (let key = 0; key < 1000; key += 1) await cache.get(String(key), () => Promise.resolve(key));
  assert.equal(cache.size, 10);
  assert.equal(await cache.get('999', () => Promise.resolve(-1)), 999);
  assert.equal(await cache.get('0', () => Promise.resolve(-1)), -1);
});

test('an answer isn’t remembered for longer when the clock is set back', async () => {
  let nowMs = 3_600_000;
  const cache = new ExpiringCache<number>({ most: 10, ttlMs: 100, nowMs: () => nowMs });
  assert.equal(await cache.get('a', () => Promise.resolve(1)), 1);
  nowMs = 0;
  assert.equal(await cache.get('a', () => Promise.resolve(2)), 2);
  assert.equal(await cache.get('a', () => Promise.resolve(3)), 2);
});
