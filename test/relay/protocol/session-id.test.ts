import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  formatSessionId,
  isNilSessionId,
  parseSessionId,
  sameSessionId,
} from '../../../relay/protocol/session-id.ts';

const TEXT = '550e8400-e29b-41d4-a716-446655440000';

test('a UUID is its bytes in network order', () => {
  assert.deepEqual(Buffer.from(parseSessionId(TEXT)!).toString('hex'), TEXT.replaceAll('-', ''));
});

test('upper case is accepted, lower case comes out', () => {
  assert.equal(formatSessionId(parseSessionId(TEXT.toUpperCase())!, 0), TEXT);
});

test('any UUID survives both ways, at any offset', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(30), (text, offset) => {
      const bytes = new Uint8Array(offset + 20).fill(0x77);
      bytes.set(parseSessionId(text)!, offset);
      assert.equal(formatSessionId(bytes, offset), text);
    }),
  );
});

test('other spellings are no session ids', () => {
  for (const text of [
    '',
    TEXT.slice(1),
    `${TEXT}0`,
    ` ${TEXT}`,
    `${TEXT}\n`,
    `{${TEXT}}`,
    `urn:uuid:${TEXT}`,
    TEXT.replaceAll('-', ''),
    TEXT.replace('5', 'g'),
    TEXT.replace('-', '_'),
    TEXT.replace('5', '５'),
  ]) {
    assert.equal(parseSessionId(text), undefined, JSON.stringify(text));
  }
});

test('any text is parsed or refused, never thrown at', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const id = parseSessionId(text);
      if (id) assert.equal(formatSessionId(id, 0), text.toLowerCase());
    }),
  );
});

test('only all zeros is nil, and every byte counts when ids are compared', () => {
  assert.equal(isNilSessionId(new Uint8Array(18), 1), true);
  for (let at = 0; at < 16; at++) {
    const id = new Uint8Array(16);
    id[at] = 1;
    assert.equal(isNilSessionId(id, 0), false);
    assert.equal(sameSessionId(id, 0, new Uint8Array(16), 0), false);
    assert.equal(sameSessionId(id, 0, Uint8Array.of(9, ...id), 1), true);
  }
});
