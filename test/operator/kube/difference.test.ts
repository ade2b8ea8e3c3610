import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { isApplied } from '../../../operator/kube/difference.ts';

test('what the server adds makes no difference', () => {
  assert.ok(
    isApplied(
      { spec: { ports: [{ port: 1 }] } },
      { spec: { ports: [{ port: 1, protocol: 'TCP' }], x: 1 }, status: {} },
    ),
  );
  assert.ok(!isApplied({ spec: { ports: [{ port: 1 }] } }, { spec: { ports: [{ port: 1 }, { port: 2 }] } }));
  assert.ok(!isApplied({ a: 1 }, { a: '1' }));
  assert.ok(!isApplied({ a: { b: 1 } }, { a: null }));
});

test('everything is applied to itself, and a changed leaf is noticed', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value) => {
      assert.ok(isApplied(value, structuredClone(value)));
      const key = Object.keys(value)[0]!;
      assert.ok(!isApplied({ ...value, [key]: { changed: true } }, { ...value, [key]: { changed: false } }));
    }),
  );
});
