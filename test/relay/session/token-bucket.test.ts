import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bucketDepth,
  fillBuckets,
  refillBuckets,
  takeHard,
  takeSoft,
} from '../../../relay/session/token-bucket.ts';

const packets = fc.array(
  fc.record({
    passMs: fc.double({ min: 0, max: 500, noNaN: true }),
    bytes: fc.integer({ min: 20, max: 1500 }),
  }),
  { maxLength: 500, size: 'max' },
);

test('depth: 250 ms of the limit, 64 KiB at least', () => {
  assert.equal(bucketDepth(1000), 65_536);
  assert.equal(bucketDepth(2097.152), 65_536);
  assert.equal(bucketDepth(8000), 250_000);
  assert.equal(bucketDepth(100_000), 3_125_000);
});

test('no stretch of time lets more through than the limit and one depth', () => {
  fc.assert(
    fc.property(packets, fc.integer({ min: 1000, max: 20_000 }), (packets, kbps) => {
      const floats = new Float64Array(5);
      let nowMs = 1000;
      fillBuckets(floats, 1, kbps, kbps, nowMs);
      const passed: { atMs: number; bytes: number }[] = [];
      for (const { passMs, bytes } of packets) {
        // Bursts, so that the limit is met at all.
        if (bytes % 8 === 0) nowMs += passMs;
        refillBuckets(floats, 1, kbps, kbps, nowMs);
        for (let i = 0; i < 20; i++) if (takeHard(floats, 1, bytes)) passed.push({ atMs: nowMs, bytes });
      }
      let sum = 0;
      for (const { atMs, bytes } of passed) {
        sum += bytes;
        assert.ok(sum <= bucketDepth(kbps) + ((atMs - 1000) * kbps) / 8 + 1e-6);
      }
      assert.deepEqual([floats[0], floats[4]], [0, 0]);
    }),
    { numRuns: 50 },
  );
});

test('who keeps to the limit is never refused', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 20, max: 1500 }), { maxLength: 500 }), (sizes) => {
      const kbps = 1000;
      const floats = new Float64Array(3);
      let nowMs = 0;
      fillBuckets(floats, 0, 10 * kbps, kbps, nowMs);
      for (const bytes of sizes) {
        nowMs += bytes / (kbps / 8) + 1e-9;
        refillBuckets(floats, 0, 10 * kbps, kbps, nowMs);
        assert.ok(takeSoft(floats, 0, bytes) && takeHard(floats, 0, bytes));
      }
    }),
  );
});
