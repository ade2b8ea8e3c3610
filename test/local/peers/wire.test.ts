import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';

import {
  MAX_DATAGRAM,
  TRANSPORT_OVERHEAD,
  crc16Kermit,
  emptyReceived,
  leasePresent,
  leaseRenew,
  readDatagram,
  sessionIdBytes,
  writeHandshakeHeader,
  writeHeader,
  writeTransportHeader,
} from '../../../local/peers/wire.ts';
import {
  HEADER_BYTES,
  HeaderProblem,
  MessageType,
  headerProblem,
  writeHeader as writeRelayHeader,
} from '../../../relay/protocol/header.ts';
import { LEASE_ACK_BYTES, writeLeaseAck } from '../../../relay/protocol/lease-ack.ts';
import { leasePresentDatagram } from '../../../relay/protocol/lease-present.ts';
import { LEASE_REJECT_BYTES, writeLeaseReject } from '../../../relay/protocol/lease-reject.ts';
import { leaseRenewDatagram } from '../../../relay/protocol/lease-renew.ts';
import {
  FORWARD_ALIAS,
  FORWARD_HIGH,
  FORWARD_KIND,
  FORWARD_LOW,
  FORWARD_WORDS,
  ForwardKind,
  ForwardProblem,
  forwardSequence,
} from '../../../relay/protocol/rift.ts';

const ID = sessionIdBytes('00112233-4455-6677-8899-aabbccddeeff');

test('the CRC has the check value of CRC-16/KERMIT', () => {
  assert.equal(crc16Kermit(Buffer.from('123456789'), 0, 9), 0x2189);
});

test('messages are on the wire as the reference draws them', () => {
  assert.equal(leaseRenew(ID).toString('hex'), '5701040000112233445566778899aabbccddeeff');
  assert.equal(
    leasePresent(ID, 1, Buffer.from('abc')).toString('hex'),
    '5701010000112233445566778899aabbccddeeff010003616263',
  );
  const transport = Buffer.alloc(TRANSPORT_OVERHEAD);
  writeHeader(transport, 0x10, ID);
  writeTransportHeader(transport, 0xa1b2c3d4, 0x1f_0000_0002);
  assert.equal(
    transport.toString('hex', 0, 36),
    '5701100000112233445566778899aabbccddeeff52490001a1b2c3d40000001f00000002',
  );
  const handshake = Buffer.alloc(60, 0xee);
  writeHeader(handshake, 0x10, ID);
  writeHandshakeHeader(handshake, ID);
  assert.equal(handshake.toString('hex', 20, 48), '5249000100000000445566778899aabbccddeeff0000000000000000');
});

test('the relay reads what peers write', () => {
  const found = new Uint32Array(FORWARD_WORDS);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((id) => id.some((byte) => byte !== 0)),
      fc.integer({ min: 1, max: 0xffff_ffff }),
      fc.maxSafeNat(),
      fc.integer({ min: TRANSPORT_OVERHEAD, max: MAX_DATAGRAM }),
      (id, alias, sequence, size) => {
        const packet = Buffer.alloc(size, 0xa5);
        writeHeader(packet, 0x10, id);
        writeTransportHeader(packet, alias, sequence);
        assert.equal(headerProblem(packet, 0, size), HeaderProblem.None);
        assert.equal(forwardSequence(packet, HEADER_BYTES, size - HEADER_BYTES, found), ForwardProblem.None);
        assert.equal(found[FORWARD_KIND], ForwardKind.RiftTransport);
        assert.equal(found[FORWARD_ALIAS], alias);
        assert.equal(found[FORWARD_HIGH]! * 2 ** 32 + found[FORWARD_LOW]!, sequence);

        const hello = Buffer.alloc(64);
        writeHeader(hello, 0x10, id);
        writeHandshakeHeader(hello, id);
        assert.equal(forwardSequence(hello, HEADER_BYTES, 44, found), ForwardProblem.None);
        assert.equal(found[FORWARD_KIND], ForwardKind.RiftHandshake);
        assert.deepEqual([found[FORWARD_HIGH], found[FORWARD_LOW]], [0, 0]);
        assert.deepEqual(leaseRenew(id), Buffer.from(leaseRenewDatagram(id)));
      },
    ),
  );
  for (const role of [0, 1] as const) {
    assert.deepEqual(
      leasePresent(ID, role, Buffer.from('v4.public.x')),
      Buffer.from(leasePresentDatagram(ID, role, 'v4.public.x')),
    );
  }
});

test('peers read what the relay writes', () => {
  fc.assert(
    fc.property(
      fc.maxSafeNat(),
      fc.nat(0xffff_ffff),
      fc.nat(0xffff_ffff),
      fc.integer({ min: 1, max: 6 }),
      (expires, soft, hard, reason) => {
        const ack = Buffer.alloc(LEASE_ACK_BYTES);
        writeRelayHeader(ack, 0, MessageType.LeaseAck, ID, 0);
        writeLeaseAck(ack, HEADER_BYTES, expires, soft, hard);
        const received = emptyReceived();
        readDatagram(ack, ID, received);
        assert.deepEqual(
          [received.kind, received.expiresMs, received.softKbps, received.hardKbps],
          ['ack', expires, soft, hard],
        );
        const reject = Buffer.alloc(LEASE_REJECT_BYTES);
        writeRelayHeader(reject, 0, MessageType.LeaseReject, ID, 0);
        writeLeaseReject(reject, HEADER_BYTES, reason as 1);
        readDatagram(reject, ID, received);
        assert.deepEqual([received.kind, received.reason], ['reject', reason]);
      },
    ),
  );
});

test('one changed byte in any header is corruption, or shows in what is read', () => {
  const packet = Buffer.alloc(TRANSPORT_OVERHEAD + 4);
  writeHeader(packet, 0x10, ID);
  writeTransportHeader(packet, 7, 1000);
  fc.assert(
    fc.property(fc.nat(TRANSPORT_OVERHEAD - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      fc.pre(at !== 3); // reserved: receivers ignore it
      const changed = Buffer.from(packet);
      changed[at]! ^= change;
      const received = emptyReceived();
      readDatagram(changed, ID, received);
      assert.notEqual(received.kind, 'transport');
    }),
  );
});

test('no bytes make the reader throw', () => {
  const received = emptyReceived();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1600 }), fc.boolean(), (bytes, dressed) => {
      const datagram = Buffer.from(bytes);
      if (dressed && datagram.length >= 24) {
        writeHeader(datagram, [2, 3, 0x10][datagram.length % 3]!, ID);
        datagram.write('RI', 20, 'latin1');
      }
      readDatagram(datagram, ID, received);
    }),
  );
});

test('a session id is a UUID', () => {
  assert.throws(() => sessionIdBytes('nonsense'), /nonsense is not a UUID/);
});
