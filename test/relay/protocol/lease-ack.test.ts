import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LEASE_ACK_BYTES, readLeaseAck, writeLeaseAck } from '../../../relay/protocol/lease-ack.ts';
import { guardedBytes } from './guarded-bytes.ts';

test('expires u64, soft u32, hard u32, big-endian', () => {
  const bytes = new Uint8Array(18).fill(0xee);
  writeLeaseAck(bytes, 1, 0x0123_4567_89ab, 50_000, 0xffff_ffff);
  assert.equal(Buffer.from(bytes).toString('hex'), 'ee00000123456789ab0000c350ffffffffee');
  assert.equal(LEASE_ACK_BYTES, 36);
});

test('what is written is read back', () => {
  const u32 = fc.nat(0xffff_ffff);
  fc.assert(
    fc.property(
      fc.nat(Number.MAX_SAFE_INTEGER),
      u32,
      u32,
      fc.nat(30),
      (expiresMs, softKbps, hardKbps, offset) => {
        const bytes = new Uint8Array(offset + 16);
        writeLeaseAck(bytes, offset, expiresMs, softKbps, hardKbps);
        assert.deepEqual(readLeaseAck(bytes, offset, 16), { expiresMs, softKbps, hardKbps });
      },
    ),
  );
});

test('a fraction of a millisecond is cut off', () => {
  const bytes = new Uint8Array(16);
  writeLeaseAck(bytes, 0, 2 ** 32 + 0.75, 1, 2);
  assert.equal(readLeaseAck(bytes, 0, 16)?.expiresMs, 2 ** 32);
});

test('any bytes are read within their bounds; fewer than 16 are no LEASE_ACK', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (content, offset) => {
      const read = readLeaseAck(guardedBytes(content, offset), offset, content.length);
      assert.equal(read === undefined, content.length < 16);
    }),
  );
});
