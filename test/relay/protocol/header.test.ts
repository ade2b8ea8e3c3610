import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  HEADER_BYTES,
  HeaderProblem,
  MAGIC,
  MAX_DATAGRAM,
  MIN_DATAGRAM,
  MessageType,
  TYPE_OFFSET,
  VERSION,
  headerProblem,
  writeHeader,
} from '../../../relay/protocol/header.ts';
import { guardedBytes } from './guarded-bytes.ts';

const SESSION = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const types = Object.values(MessageType);

function datagram(size: number = HEADER_BYTES, type: MessageType = MessageType.Forward): Uint8Array {
  const bytes = new Uint8Array(Math.max(size, HEADER_BYTES));
  writeHeader(bytes, 0, type, SESSION, 0);
  return bytes.subarray(0, size);
}

test('a header is written as the wire reference lays it out', () => {
  const bytes = new Uint8Array(24).fill(0xee);
  writeHeader(bytes, 2, MessageType.LeaseRenew, Uint8Array.of(0xaa, ...SESSION), 1);
  assert.deepEqual([...bytes], [0xee, 0xee, 0x57, 0x01, 0x04, 0x00, ...SESSION, 0xee, 0xee]);
});

test('the numbers of the wire reference', () => {
  assert.deepEqual([HEADER_BYTES, MIN_DATAGRAM, MAX_DATAGRAM, MAGIC, VERSION], [20, 20, 1500, 0x57, 1]);
  assert.deepEqual(types, [1, 2, 3, 4, 0x10]);
});

test('every message type passes', () => {
  assert.deepEqual(
    types.map((type) => headerProblem(datagram(HEADER_BYTES, type), 0, HEADER_BYTES)),
    types.map(() => HeaderProblem.None),
  );
});

test('flags are ignored', () => {
  const bytes = datagram();
  bytes[3] = 0xff;
  assert.equal(headerProblem(bytes, 0, HEADER_BYTES), HeaderProblem.None);
});

test('sizes of 20 to 1500 bytes are valid, the next ones are not (fault 14)', () => {
  for (const [size, problem] of [
    [0, HeaderProblem.TooShort],
    [19, HeaderProblem.TooShort],
    [MIN_DATAGRAM, HeaderProblem.None],
    [MAX_DATAGRAM, HeaderProblem.None],
    [1501, HeaderProblem.TooLong],
    [65_507, HeaderProblem.TooLong],
  ] as const) {
    assert.equal(headerProblem(datagram(size), 0, size), problem, `${size} bytes`);
  }
});

test('magic and version have one value', () => {
  fc.assert(
    fc.property(fc.nat(1), fc.nat(255), (at, value) => {
      const bytes = datagram();
      const right = bytes[at] === value;
      bytes[at] = value;
      const wrong = at === 0 ? HeaderProblem.BadMagic : HeaderProblem.BadVersion;
      assert.equal(headerProblem(bytes, 0, HEADER_BYTES), right ? HeaderProblem.None : wrong);
    }),
  );
});

test('a type that the reference does not list is unknown', () => {
  for (let type = 0; type < 256; type++) {
    const bytes = datagram();
    bytes[TYPE_OFFSET] = type;
    const known = (types as readonly number[]).includes(type);
    assert.equal(
      headerProblem(bytes, 0, HEADER_BYTES),
      known ? HeaderProblem.None : HeaderProblem.UnknownType,
    );
  }
});

test('the nil session id is invalid, one bit anywhere in it is enough', () => {
  const bytes = datagram();
  bytes.fill(0, 4, 20);
  assert.equal(headerProblem(bytes, 0, HEADER_BYTES), HeaderProblem.NilSession);
  for (let bit = 0; bit < 128; bit++) {
    const at = 4 + (bit >> 3);
    bytes[at] = 1 << (bit & 7);
    assert.equal(headerProblem(bytes, 0, HEADER_BYTES), HeaderProblem.None, `bit ${bit}`);
    bytes[at] = 0;
  }
});

test('any bytes are judged without reading outside of the datagram', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(40), (content, offset) => {
      headerProblem(guardedBytes(content, offset), offset, content.length);
    }),
  );
});

test('a header that was mutated in one byte is judged as a reading of the reference would', () => {
  fc.assert(
    fc.property(fc.nat(19), fc.nat(255), fc.nat(9), (at, value, offset) => {
      const content = datagram(60);
      content[at] = value;
      const sound =
        content[0] === 0x57 &&
        content[1] === 1 &&
        [1, 2, 3, 4, 16].includes(content[2]!) &&
        content.subarray(4, 20).some((byte) => byte !== 0);
      assert.equal(headerProblem(guardedBytes(content, offset), offset, 60) === HeaderProblem.None, sound);
    }),
  );
});
