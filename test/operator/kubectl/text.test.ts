import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { styleText } from 'node:util';

import fc from 'fast-check';

import { age } from '../../../operator/kubectl/age.ts';
import { paintFor } from '../../../operator/kubectl/paint.ts';
import { harmless, table } from '../../../operator/kubectl/table.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

test('ages are written as kubectl writes them', () => {
  // k8s.io/apimachinery/pkg/util/duration/duration_test.go, TestHumanDuration
  for (const [ms, text] of [
    [second, '1s'],
    [70 * second, '70s'],
    [190 * second, '3m10s'],
    [70 * minute, '70m'],
    [47 * hour, '47h'],
    [49 * hour, '2d1h'],
    [8 * day + 2 * hour, '8d'],
    [367 * day, '367d'],
    [365 * 2 * day + 25 * hour, '2y1d'],
    [365 * 8 * day + 2 * hour, '8y'],
    [2 * minute, '2m'],
    [7 * hour + 30 * minute, '7h30m'],
    [-500, '0s'],
    [-5 * second, '<invalid>'],
    [Number.NaN, '<invalid>'],
  ] as const) {
    assert.equal(age(ms), text);
  }
});

test('columns line up, whatever the colours, and nothing trails', () => {
  const rows = [
    [styleText('green', 'a', { validateStream: false }), 'x'],
    ['long', ''],
  ];
  const text = table(['H', 'WIDER'], rows);
  assert.equal(
    text.replaceAll('\u001b[32m', '').replaceAll('\u001b[39m', ''),
    'H      WIDER\na      x\nlong\n',
  );
  assert.equal(table(['H'], [['v']], { noHeaders: true }), 'v\n');
});

test('a message can’t steer the terminal', () => {
  assert.equal(harmless('a\u001b[2J\u001b]0;title\u0007b\r\nc\u009b31m\u202ed'), 'ab c d');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0x10ffff })), (points) => {
      const text = String.fromCodePoint(...points);
      assert.doesNotMatch(harmless(text), /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
    }),
  );
});

test('colours are for terminals, and not where NO_COLOR forbids them', () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  assert.equal(paintFor(terminal, {})('red', 'x'), '\u001b[31mx\u001b[39m');
  assert.equal(paintFor(terminal, { NO_COLOR: '1' })('red', 'x'), 'x');
  assert.equal(paintFor(terminal, { TERM: 'dumb' })('red', 'x'), 'x');
  assert.equal(paintFor(new PassThrough(), {})('red', 'x'), 'x');
});
