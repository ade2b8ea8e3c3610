import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ApiError } from '../../../operator/metricsapi/api-error.ts';
import { parseSelector, selectorObject, selects } from '../../../operator/metricsapi/label-selector.ts';

const LABELS = { tier: 'gold', 'wavry.dev/fleet': 'games', rank: '7', empty: '' };

for (const [text, picks] of [
  ['', true],
  ['tier=gold', true],
  ['tier==gold,wavry.dev/fleet = games', true],
  ['tier!=gold', false],
  ['none!=gold', true],
  ['tier in (silver, gold)', true],
  ['tier notin (silver,gold),rank', false],
  ['none notin (a)', true],
  ['rank,!none', true],
  ['!rank', false],
  ['rank>6,rank<8', true],
  ['rank>7', false],
  ['tier>1', false],
  ['empty=', true],
  ['empty in (,a)', true],
  ['toString', false],
] as const) {
  test(`"${text}" ${picks ? 'selects' : 'does not select'}`, () => {
    assert.equal(selects(parseSelector(text), LABELS), picks);
  });
}

for (const text of [
  '=a',
  'a=b=c',
  'a in b',
  'a in (b',
  'a in (b))',
  'a,,b',
  'a>x',
  'a b',
  '-a',
  `a=${'b'.repeat(64)}`,
  'x'.repeat(5000),
]) {
  test(`"${text.slice(0, 20)}" is refused`, () => {
    assert.throws(
      () => parseSelector(text),
      (error) => error instanceof ApiError && error.code === 400 && error.message.includes('label selector'),
    );
  });
}

test('a selector goes back as a metav1.LabelSelector', () => {
  assert.equal(selectorObject(parseSelector('')), null);
  assert.deepEqual(selectorObject(parseSelector('a=b,c in (d,e),!f,g>1')), {
    matchExpressions: [
      { key: 'a', operator: 'In', values: ['b'] },
      { key: 'c', operator: 'In', values: ['d', 'e'] },
      { key: 'f', operator: 'DoesNotExist' },
    ],
  });
});

test('whatever text comes: a selector, or a refusal, and quickly', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab/.-_=!<>(), in1'.split('')), maxLength: 200 }),
      (text) => {
        try {
          selects(parseSelector(text), LABELS);
        } catch (error) {
          assert.ok(error instanceof ApiError);
        }
      },
    ),
    { numRuns: 1000 },
  );
});
