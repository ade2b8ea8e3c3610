import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { crc16Kermit } from '../../../relay/protocol/crc16.ts';
import { guardedBytes } from './guarded-bytes.ts';

/** Bit by bit, straight from the parameters: polynomial 0x1021 reflected, initial 0, reflected in and out, no final XOR. */
function bitwise(content: Uint8Array): number {
  let crc = 0;
  for (const byte of content) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x8408 : crc >>> 1;
  }
  return crc;
}

test('the check value of CRC-16/KERMIT', () => {
  assert.equal(crc16Kermit(new TextEncoder().encode('123456789'), 0, 9), 0x2189);
});

test('no bytes have CRC 0', () => {
  assert.equal(crc16Kermit(new Uint8Array(4), 2, 2), 0);
});

test('any bytes, any length, any place: as bit by bit, without reading outside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(20), (content, start) => {
      assert.equal(
        crc16Kermit(guardedBytes(content, start), start, start + content.length),
        bitwise(content),
      );
    }),
  );
});
