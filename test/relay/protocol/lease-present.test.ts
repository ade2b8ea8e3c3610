import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { HEADER_BYTES, HeaderProblem, headerProblem } from '../../../relay/protocol/header.ts';
import {
  LEASE_PRESENT_ROLE,
  LEASE_PRESENT_TOKEN_LENGTH,
  LEASE_PRESENT_TOKEN_OFFSET,
  LEASE_PRESENT_WORDS,
  LeasePresentProblem,
  leasePresentDatagram,
  parseLeasePresent,
} from '../../../relay/protocol/lease-present.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { guardedBytes } from './guarded-bytes.ts';

const SESSION = new Uint8Array(16).fill(3);

function parse(...content: number[]): number {
  const out = new Int32Array(LEASE_PRESENT_WORDS);
  return parseLeasePresent(guardedBytes(Uint8Array.from(content), 5), 5, content.length, out);
}

test('what a peer sends is what the relay reads', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(Role.Client, Role.Server),
      fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1477 }),
      fc.uint8Array({ maxLength: 3 }),
      (role, token, behind) => {
        const datagram = Uint8Array.of(...leasePresentDatagram(SESSION, role, token), ...behind);
        assert.equal(headerProblem(datagram, 0, Math.min(datagram.length, 1500)), HeaderProblem.None);
        const out = new Int32Array(LEASE_PRESENT_WORDS);
        const bytes = guardedBytes(datagram.subarray(HEADER_BYTES), 20);
        assert.equal(
          parseLeasePresent(bytes, 20, datagram.length - HEADER_BYTES, out),
          LeasePresentProblem.None,
        );
        assert.equal(out[LEASE_PRESENT_ROLE], role);
        const start = out[LEASE_PRESENT_TOKEN_OFFSET]!;
        const read = datagram.subarray(start, start + out[LEASE_PRESENT_TOKEN_LENGTH]!);
        assert.equal(Buffer.from(read).toString('latin1'), token);
      },
    ),
  );
});

test('the layout is role, length, token', () => {
  assert.deepEqual(
    [...leasePresentDatagram(SESSION, Role.Server, 'v4').subarray(HEADER_BYTES)],
    [1, 0, 2, 0x76, 0x34],
  );
});

test('invalid forms, which get no answer', () => {
  assert.equal(parse(), LeasePresentProblem.TooShort);
  assert.equal(parse(0, 0), LeasePresentProblem.TooShort);
  assert.equal(parse(2, 0, 1, 0x61), LeasePresentProblem.UnknownRole);
  assert.equal(parse(255, 0, 0), LeasePresentProblem.UnknownRole);
  assert.equal(parse(0, 0, 2, 0x61), LeasePresentProblem.TokenBeyondDatagram);
  assert.equal(parse(0, 0xff, 0xff, 0x61), LeasePresentProblem.TokenBeyondDatagram);
  assert.equal(parse(0, 0, 2, 0x61, 0x80), LeasePresentProblem.TokenNotAscii);
});

test('a token over 8192 bytes is refused even where it would fit', () => {
  const content = new Uint8Array(3 + 8193).fill(0x61);
  content.set([0, 0x20, 0x01]);
  const out = new Int32Array(LEASE_PRESENT_WORDS);
  assert.equal(parseLeasePresent(content, 0, content.length, out), LeasePresentProblem.TokenBeyondDatagram);
  content.set([0, 0x20, 0x00]);
  assert.equal(parseLeasePresent(content, 0, content.length, out), LeasePresentProblem.None);
});

test('an empty token is a matter of authentication, for a role that exists', () => {
  assert.equal(parse(0, 0, 0), LeasePresentProblem.EmptyToken);
  assert.equal(parse(1, 0, 0, 0xff), LeasePresentProblem.EmptyToken);
});

test('bytes behind the token are ignored, whatever they are', () => {
  assert.equal(parse(1, 0, 1, 0x61, 0xff, 0x00), LeasePresentProblem.None);
});

test('any bytes are judged without reading outside of the payload, and offsets stay inside of it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(40), (content, offset) => {
      const out = new Int32Array(LEASE_PRESENT_WORDS);
      const problem = parseLeasePresent(guardedBytes(content, offset), offset, content.length, out);
      if (problem !== LeasePresentProblem.None) return;
      const [role, start, length] = out as unknown as [number, number, number];
      assert.ok(role === 0 || role === 1);
      assert.ok(start === offset + 3 && length > 0 && start + length <= offset + content.length);
    }),
  );
});
