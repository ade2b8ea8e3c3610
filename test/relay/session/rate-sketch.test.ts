import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../../relay/protocol/address.ts';
import { RateSketch } from '../../../relay/session/rate-sketch.ts';

test('a key is never counted too low, and within its second only', () => {
  const step = fc.record({ key: fc.nat(30), passMs: fc.nat(400) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.array(fc.integer(), { minLength: 2, maxLength: 2 }),
      (steps, seed) => {
        const sketch = new RateSketch(Uint32Array.from(seed), 0);
        const counts = new Map<string, number>();
        let nowMs = 5_000_000;
        for (const { key, passMs } of steps) {
          nowMs += passMs;
          const name = `${key} in ${Math.floor(nowMs / 1000)}`;
          counts.set(name, (counts.get(name) ?? 0) + 1);
          const address = parseAddress(`10.0.0.${key}:1`)!;
          assert.ok(sketch.addAddress(address, 0, nowMs) >= counts.get(name)!);
        }
      },
    ),
  );
});

test('with 10,000 other keys in the same second, hardly any key is counted too high', () => {
  const sketch = new RateSketch(Uint32Array.of(1, 2), 0);
  const address = parseAddress('10.0.0.0:1')!;
  let wrong = 0;
  for (let key = 0; key < 10_000; key++) {
    address[3] = 0x0a000000 + key;
    for (let times = 1; times <= 3; times++) if (sketch.addAddress(address, 0, 1000) !== times) wrong++;
  }
  assert.ok(wrong < 1500, `${wrong} of 30,000`);
});

test('a counter that nobody touched for any time starts at nothing', () => {
  const sketch = new RateSketch(Uint32Array.of(1, 2), 0);
  const address = parseAddress('10.0.0.0:1')!;
  let nowMs = 0;
  for (const pause of [1000, 256_000, 65_536_000, 2 ** 22 * 1000, 2 ** 30 * 1000]) {
    for (let i = 1; i <= 10; i++) assert.equal(sketch.addAddress(address, 0, nowMs), i);
    nowMs += pause;
    assert.equal(sketch.addAddress(address, 0, nowMs), 1, `after ${pause} ms`);
    nowMs += 1000;
  }
});

test('counts that go on for ever stop short of running into the next second', () => {
  const sketch = new RateSketch(Uint32Array.of(1, 2), 0);
  const address = parseAddress('10.0.0.0:1')!;
  let count = 0;
  for (let i = 0; i < 2 ** 22 + 10; i++) count = sketch.addAddress(address, 0, 7000);
  assert.equal(count, 2 ** 22 - 1);
  assert.equal(sketch.addAddress(address, 0, 8000), 1);
});

test('identities are counted apart from each other', () => {
  const sketch = new RateSketch(Uint32Array.of(1, 2), 0);
  const digests = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 9);
  assert.equal(sketch.addDigest(digests, 0, 1000), 1);
  assert.equal(sketch.addDigest(digests, 8, 1000), 1);
  assert.equal(sketch.addDigest(digests, 0, 1000), 2);
});
