import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaseRenewDatagram } from '../../../relay/protocol/lease-renew.ts';

test('a renew is a bare header', () => {
  const session = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
  assert.deepEqual([...leaseRenewDatagram(session)], [0x57, 1, 4, 0, ...session]);
});
