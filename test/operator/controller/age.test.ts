import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ageMs } from '../../../operator/controller/age.ts';
import { statusDue } from '../../../operator/controller/status-writer.ts';

test('what happened at a time to come counts as old: the clock was set back', () => {
  assert.equal(ageMs(1000, 1000), 0);
  assert.equal(ageMs(1000, 4000), 3000);
  assert.equal(ageMs(-Infinity, 0), Infinity);
  assert.equal(ageMs(3_600_000, 0), Infinity);
});

test('counts are written although they were last written at a time to come', () => {
  assert.equal(statusDue({ totalSessions: 1 }, { totalSessions: 2 }, 3_600_000, 0).write, true);
});
