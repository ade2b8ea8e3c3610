import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseRfc3339 } from '../../../relay/lease/rfc3339.ts';

const NOON = Date.UTC(2026, 1, 13, 12);

test('what Master writes', () => {
  assert.equal(parseRfc3339('2026-02-13T12:00:00.123456789+00:00'), NOON + 123.456789);
  assert.equal(parseRfc3339('2026-02-13T12:00:00+00:00'), NOON);
});

test('the examples of RFC 3339 section 5.8', () => {
  assert.equal(parseRfc3339('1985-04-12T23:20:50.52Z'), Date.UTC(1985, 3, 12, 23, 20, 50, 520));
  assert.equal(parseRfc3339('1996-12-19T16:39:57-08:00'), Date.UTC(1996, 11, 20, 0, 39, 57));
  assert.equal(parseRfc3339('1990-12-31T23:59:60Z'), Date.UTC(1991, 0, 1));
  assert.equal(parseRfc3339('1990-12-31T15:59:60-08:00'), Date.UTC(1991, 0, 1));
  assert.equal(parseRfc3339('1937-01-01T12:00:27.87+00:20'), Date.UTC(1937, 0, 1, 11, 40, 27, 870));
});

test('one to nine fractional digits, offsets to 23:59, either case, -00:00', () => {
  assert.equal(parseRfc3339('2026-02-13T12:00:00.5Z'), NOON + 500);
  assert.equal(parseRfc3339('2026-02-13T12:00:00.000000001Z'), NOON, 'a nanosecond is below the resolution');
  assert.equal(parseRfc3339('2026-02-13T12:00:00.000001Z'), NOON + 0.001);
  assert.equal(parseRfc3339('2026-02-13t12:00:00z'), NOON);
  assert.equal(parseRfc3339('2026-02-13T12:00:00-00:00'), NOON);
  assert.equal(parseRfc3339('2026-02-14T11:59:00+23:59'), NOON);
  assert.equal(parseRfc3339('2026-02-12T12:01:00-23:59'), NOON);
});

test('microseconds keep their order', () => {
  const time = (micros: number): number =>
    parseRfc3339(`2026-02-13T12:00:00.${String(micros).padStart(6, '0')}+00:00`)!;
  fc.assert(
    fc.property(fc.nat(999_998), (micros) => assert.ok(time(micros) < time(micros + 1))),
    { numRuns: 1000 },
  );
});

test('what Date writes is read as what Date meant, in any zone', () => {
  const date = fc.date({
    min: new Date('0001-01-02T00:00:00Z'),
    max: new Date('9999-12-30T00:00:00Z'),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(date, fc.integer({ min: -1439, max: 1439 }), (date, offset) => {
      const local = new Date(date.getTime() + offset * 60_000).toISOString();
      const two = (number: number): string => String(number).padStart(2, '0');
      const zone = `${offset < 0 ? '-' : '+'}${two(Math.trunc(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
      assert.equal(parseRfc3339(local.replace('Z', zone)), date.getTime());
      assert.equal(parseRfc3339(date.toISOString()), date.getTime());
    }),
    { numRuns: 500 },
  );
});

test('year 0000 and the first century are years like others', () => {
  assert.equal(parseRfc3339('0000-01-01T00:00:00Z'), Date.parse('0000-01-01T00:00:00Z'));
  assert.equal(parseRfc3339('0099-12-31T23:59:59Z'), Date.parse('0099-12-31T23:59:59Z'));
  assert.equal(parseRfc3339('0000-02-29T00:00:00Z'), Date.parse('0000-02-29T00:00:00Z'));
});

test('days that the calendar has, and none beside', () => {
  for (let year = 1890; year <= 2110; year++) {
    for (let month = 1; month <= 13; month++) {
      for (const day of [0, 1, 28, 29, 30, 31, 32]) {
        const date = new Date(Date.UTC(year, month - 1, day));
        const real = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && month <= 12;
        const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}T00:00:00Z`;
        assert.equal(parseRfc3339(text), real ? date.getTime() : undefined, text);
      }
    }
  }
});

test('a leap second only where one can be', () => {
  assert.equal(parseRfc3339('2016-12-31T23:59:60.5Z'), Date.UTC(2017, 0, 1) + 500);
  assert.equal(parseRfc3339('2017-01-01T08:59:60+09:00'), Date.UTC(2017, 0, 1));
  for (const text of [
    '2016-12-31T23:58:60Z',
    '2016-12-31T22:59:60Z',
    '2017-01-01T00:00:60Z',
    '2016-12-30T23:59:60Z',
    '2016-12-31T23:59:61Z',
    '2016-12-31T23:59:60+01:00',
  ]) {
    assert.equal(parseRfc3339(text), undefined, text);
  }
});

test('all else is refused', () => {
  for (const text of [
    '',
    '2026-02-13',
    '2026-02-13T12:00:00',
    '2026-02-13T12:00Z',
    '2026-02-13 12:00:00Z',
    '2026-02-13T12:00:00.Z',
    '2026-02-13T12:00:00,5Z',
    '2026-02-13T12:00:00.1234567890Z',
    '2026-02-13T24:00:00Z',
    '2026-02-13T12:60:00Z',
    '2026-02-13T12:00:00+24:00',
    '2026-02-13T12:00:00+00:60',
    '2026-02-13T12:00:00+0000',
    '2026-02-13T12:00:00+00',
    '2026-02-13T12:00:00ZZ',
    '2026-2-13T12:00:00Z',
    '+002026-02-13T12:00:00Z',
    '20260213T120000Z',
    ' 2026-02-13T12:00:00Z',
    '2026-02-13T12:00:00Z\n',
    '２026-02-13T12:00:00Z',
    '1770984000',
    'now',
  ]) {
    assert.equal(parseRfc3339(text), undefined, JSON.stringify(text));
  }
});

test('any text, and any mutation of a time, is a finite number or refused', () => {
  const good = '2026-02-13T12:00:00.123456789+00:00';
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.string({ maxLength: 2 }))
    .map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1));
  fc.assert(
    fc.property(fc.oneof(fc.string(), mutated), (text) => {
      const ms = parseRfc3339(text);
      assert.ok(ms === undefined || Number.isFinite(ms));
    }),
    { numRuns: 1000 },
  );
});
