import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  LEASE_REJECT_BYTES,
  RejectReason,
  readLeaseReject,
  writeLeaseReject,
} from '../../../relay/protocol/lease-reject.ts';
import { guardedBytes } from './guarded-bytes.ts';

test('reasons have the numbers of the wire reference, as u16', () => {
  assert.deepEqual(
    { ...RejectReason },
    { Expired: 1, InvalidSignature: 2, WrongRelay: 3, SessionFull: 4, Banned: 5, RateLimited: 6 },
  );
  assert.equal(LEASE_REJECT_BYTES, 22);
  for (const reason of Object.values(RejectReason)) {
    const bytes = new Uint8Array(4).fill(0xee);
    writeLeaseReject(bytes, 1, reason);
    assert.deepEqual([...bytes], [0xee, 0, reason, 0xee]);
    assert.equal(readLeaseReject(bytes, 1, 2), reason);
  }
});

test('any bytes are read within their bounds; fewer than 2 are no LEASE_REJECT', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10 }), fc.nat(9), (content, offset) => {
      const read = readLeaseReject(guardedBytes(content, offset), offset, content.length);
      assert.equal(read, content.length < 2 ? undefined : content[0]! * 256 + content[1]!);
    }),
  );
});
