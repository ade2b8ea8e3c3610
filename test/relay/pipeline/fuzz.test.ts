import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyRing, newKeyRing } from '../../../relay/lease/key-ring.ts';
import { verifyLease } from '../../../relay/lease/verify-lease.ts';
import { MessageType } from '../../../relay/protocol/header.ts';
import { ALPHA, keyOf } from '../lease/leases.ts';
import { handshakeOf, Harness, plainOf, presentOf, RELAY_ID, riftOf, sessionId } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '[2001:db8::2]:4002';

const address = fc.oneof(
  fc.constantFrom(CLIENT, SERVER),
  fc.tuple(fc.ipV4(), fc.nat(65_535)).map(([ip, port]) => `${ip}:${port}`),
  fc.tuple(fc.ipV6(), fc.nat(65_535)).map(([ip, port]) => `[${ip}]:${port}`),
);

/** Any bytes; any bytes behind a sound header; and sound packets with a few bytes changed, or cut, or grown. */
const datagram = fc.oneof(
  fc.uint8Array({ maxLength: 65_507, size: 'large' }),
  fc
    .tuple(fc.constantFrom(...Object.values(MessageType)), fc.uint8Array({ maxLength: 1600, size: 'max' }))
    .map(([type, payload]) => Uint8Array.from([0x57, 1, type, 0, ...sessionId(1), ...payload])),
  fc
    .tuple(
      fc.constantFrom(riftOf(1, 5), handshakeOf(1), plainOf(1, 7n), presentOf(1, 0, {}), presentOf(1, 1, {})),
      fc.array(fc.tuple(fc.nat(230), fc.nat(255)), { maxLength: 4 }),
      fc.nat(300),
    )
    .map(([packet, changes, length]) => {
      const bytes = new Uint8Array(Math.max(length, 20));
      bytes.set(packet.subarray(0, bytes.length));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
);

test('no datagram from anywhere throws, unbalances the books, or gets more than it brought', () => {
  const keyRing = new KeyRing(newKeyRing([keyOf(ALPHA, 'k1')]));
  fc.assert(
    fc.property(fc.array(fc.tuple(datagram, address, fc.nat(3000)), { maxLength: 30 }), (datagrams) => {
      const relay = new Harness({ maxSessions: 4 });
      // From here on, what Harness.send asserts of answers holds for genuine verification, too.
      const strict = new Harness({
        verify: (token, id, role, nowMs, insecureIdentity) =>
          verifyLease(token, id, role, { relayId: RELAY_ID, keyRing, nowMs, insecureIdentity }),
      });
      relay.pair(1, CLIENT, SERVER);
      for (const [bytes, from, ms] of datagrams) {
        for (const one of [relay, strict]) {
          one.pass(ms);
          one.sweep();
          one.takeDue();
          const outcome = one.send(bytes, from);
          if (outcome.kind === 'forward') assert.ok(from === CLIENT || from === SERVER);
          one.balanced();
        }
        assert.equal(strict.pipeline.heldSessions, 0);
      }
    }),
    { numRuns: 150 },
  );
});
