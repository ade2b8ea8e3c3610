import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_JSON_DEPTH, parseJsonObject } from '../../../relay/lease/json-object.ts';

function parse(text: string): Record<string, unknown> | undefined {
  const members = parseJsonObject(new TextEncoder().encode(text));
  return members && Object.fromEntries(members);
}

test('the members of an object', () => {
  assert.deepEqual(parse('{"sid":"a","slimit":5,"x":[1,{"sid":2}],"n":null}'), {
    sid: 'a',
    slimit: 5,
    x: [1, { sid: 2 }],
    n: null,
  });
  assert.deepEqual(parse(' {} '), {});
});

test('a name that occurs twice is refused, however it is written', () => {
  for (const text of [
    '{"sid":1,"sid":2}',
    '{"sid":1,"sid":1}',
    String.raw`{"sid":1,"\u0073id":2}`,
    String.raw`{"\u0073\u0069d":1,"s\u0069d":2}`,
    String.raw`{"a\/b":1,"a/b":2}`,
    '{"a":{},"b":[],"a":{}}',
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
    '{"1":1,"b":2,"1":3}',
  ]) {
    assert.equal(parse(text), undefined, text);
  }
});

test('equal names at other depths, and names in strings, are no second occurrence', () => {
  assert.ok(parse('{"a":{"a":1,"b":{"a":2}},"b":[{"a":3}]}'));
  assert.ok(parse(String.raw`{"a":"\",\"a\":1","b":"{:}","c":"\\"}`));
  assert.ok(parse('{"a:":1,"b":":"}'));
});

test('__proto__ is a member like others', () => {
  const members = parseJsonObject(new TextEncoder().encode('{"__proto__":{"sid":"x"},"constructor":1}'));
  assert.equal(members?.get('sid'), undefined);
  assert.deepEqual([...members!.keys()], ['__proto__', 'constructor']);
});

test('JSON that is no object, and what is no JSON', () => {
  for (const text of [
    '',
    'null',
    '[]',
    '["a"]',
    '"{}"',
    '1',
    '{',
    '{}{}',
    '{} x',
    "{'a':1}",
    '{"a":1,}',
    '{a:1}',
    '{"a":01}',
    '{"a":NaN}',
    '{"a":"\n"}',
    '\u00a0{}',
    '{"a":1}\u0000',
  ]) {
    assert.equal(parse(text), undefined, JSON.stringify(text));
  }
});

test('a byte order mark, and bytes that are no UTF-8', () => {
  assert.equal(parseJsonObject(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b, 0x7d)), undefined);
  assert.equal(parseJsonObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), undefined);
  assert.equal(parseJsonObject(Buffer.from('{"\ud800":1}', 'utf16le')), undefined);
});

test('nesting has a bound, in objects and arrays', () => {
  const nested = (depth: number, open: string, close: string): string =>
    `{"a":${open.repeat(depth - 1)}1${close.repeat(depth - 1)}}`;
  assert.ok(parse(nested(MAX_JSON_DEPTH, '[', ']')));
  assert.ok(parse(nested(MAX_JSON_DEPTH, '{"b":', '}')));
  assert.equal(parse(nested(MAX_JSON_DEPTH + 1, '[', ']')), undefined);
  assert.equal(parse(nested(MAX_JSON_DEPTH + 1, '{"b":', '}')), undefined);
  assert.equal(parse(`{"a":${'['.repeat(100_000)}`), undefined);
  assert.ok(parse(`{"a":"${'['.repeat(1000)}"}`), "brackets in strings don't nest");
});

/** Another reader: a reviver that is called once for each name of the last value can't see doubles, so it writes them itself. */
const member = fc.tuple(fc.string({ unit: 'binary', maxLength: 4 }), fc.jsonValue({ maxDepth: 3 }));

function written(members: readonly (readonly [string, unknown])[], escape: boolean): string {
  const name = (text: string): string =>
    escape
      ? `"${text
          .split('')
          .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
          .join('')}"`
      : JSON.stringify(text);
  return `{${members.map(([key, value]) => `${name(key)} : ${JSON.stringify(value)}`).join(' ,\n')}}`;
}

test('any members come out as JSON.parse has them, unless a name was written twice', () => {
  fc.assert(
    fc.property(fc.array(member, { maxLength: 12 }), fc.boolean(), (members, escape) => {
      const text = written(members, escape);
      const twice = new Set(members.map(([key]) => key)).size < members.length;
      const parsed = parseJsonObject(new TextEncoder().encode(text));
      if (twice) assert.equal(parsed, undefined);
      else assert.deepEqual([...parsed!], Object.entries(JSON.parse(text) as object));
    }),
    { numRuns: 500 },
  );
});

test('a double is found among any members, wherever it stands', () => {
  fc.assert(
    fc.property(
      fc.array(member, { minLength: 1, maxLength: 8 }),
      fc.nat(),
      fc.nat(),
      fc.boolean(),
      (members, from, to, escape) => {
        const copy = members[from % members.length]!;
        const doubled = members.toSpliced(to % (members.length + 1), 0, [copy[0], 0]);
        assert.equal(parseJsonObject(new TextEncoder().encode(written(doubled, escape))), undefined);
      },
    ),
    { numRuns: 300 },
  );
});

test('any bytes, and any mutation of an object, are read or refused, and nothing is read that JSON.parse would not', () => {
  const characters = fc.array(
    fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'a', '1', 'u', ' ', 'null'),
    {
      maxLength: 30,
    },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => void parseJsonObject(bytes)));
  fc.assert(
    fc.property(
      characters.map((all) => `{${all.join('')}}`),
      (text) => {
        let reference: unknown;
        try {
          reference = JSON.parse(text);
        } catch {
          assert.equal(parse(text), undefined);
          return;
        }
        const parsed = parse(text);
        if (parsed) assert.deepEqual(parsed, reference);
      },
    ),
    { numRuns: 3000 },
  );
});
