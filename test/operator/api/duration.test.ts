import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { durationSeconds } from '../../../operator/api/duration.ts';

test('durations are those of Go', () => {
  assert.equal(durationSeconds('90s'), 90);
  assert.equal(durationSeconds('1h30m'), 5400);
  assert.equal(durationSeconds('1.5h'), 5400);
  assert.equal(durationSeconds('500ms'), 0.5);
});

test('anything else is refused with an example', () => {
  for (const text of ['', '5', 'm', '-5s', '5 s', '1d', 'abc'])
    assert.throws(() => durationSeconds(text), /90s, 5m/);
});

test('parts add up', () => {
  fc.assert(
    fc.property(fc.nat(99), fc.nat(59), fc.nat(59), (hours, minutes, seconds) => {
      assert.equal(durationSeconds(`${hours}h${minutes}m${seconds}s`), hours * 3600 + minutes * 60 + seconds);
    }),
  );
});
