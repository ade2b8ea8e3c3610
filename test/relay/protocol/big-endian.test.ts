import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readI32, readU16, readU32, writeU16, writeU32 } from '../../../relay/protocol/big-endian.ts';

test('integers are read and written as DataView does big-endian', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), fc.nat(9), (value, offset) => {
      const bytes = new Uint8Array(offset + 4);
      const view = new DataView(bytes.buffer);
      writeU32(bytes, offset, value);
      assert.equal(view.getUint32(offset), value);
      assert.equal(readU32(bytes, offset), value);
      assert.equal(readI32(bytes, offset), view.getInt32(offset));
      assert.equal(readU16(bytes, offset), view.getUint16(offset));
      writeU16(bytes, offset, value & 0xffff);
      assert.equal(view.getUint16(offset), value & 0xffff);
    }),
  );
});

test('a signed word is written as its bits', () => {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, -2);
  assert.deepEqual([...bytes], [255, 255, 255, 254]);
});
