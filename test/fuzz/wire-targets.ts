import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';

import * as fc from 'fast-check';

import { crc16Kermit } from '../../local/peers/wire.ts';
import { ADDRESS_WORDS, formatAddress, parseAddress } from '../../relay/protocol/address.ts';
import { HeaderProblem, headerProblem, MessageType } from '../../relay/protocol/header.ts';
import { readLeaseAck } from '../../relay/protocol/lease-ack.ts';
import {
  LEASE_PRESENT_ROLE,
  LEASE_PRESENT_TOKEN_LENGTH,
  LEASE_PRESENT_TOKEN_OFFSET,
  LEASE_PRESENT_WORDS,
  LeasePresentProblem,
  parseLeasePresent,
} from '../../relay/protocol/lease-present.ts';
import { readLeaseReject } from '../../relay/protocol/lease-reject.ts';
import { REPLAY_WORDS, replayAccept, replayCheck } from '../../relay/protocol/replay-window.ts';
import {
  FORWARD_ALIAS,
  FORWARD_HIGH,
  FORWARD_KIND,
  FORWARD_LOW,
  FORWARD_WORDS,
  ForwardKind,
  ForwardProblem,
  forwardSequence,
} from '../../relay/protocol/rift.ts';
import { formatSessionId, parseSessionId } from '../../relay/protocol/session-id.ts';
import { isStun, parseBindingResponse, StunProblem } from '../../relay/protocol/stun.ts';
import { guardedBytes } from '../relay/protocol/guarded-bytes.ts';
import { pairSession, STRANGERS, strangerSession, STUN_ID, stubLeases } from './cast.ts';
import { wellFormed } from './hostile-datagrams.ts';
import type { Material } from './hostile-datagrams.ts';
import { anyLength, mutated } from './mutation.ts';
import type { Random } from './random.ts';
import { bytesTarget, propertyTarget } from './target.ts';
import type { Target } from './target.ts';

const MATERIAL: Material = {
  sessions: [pairSession(0, 0), strangerSession(0), new Uint8Array(16)],
  tokens: stubLeases().tokens,
  stunId: STUN_ID,
  addresses: STRANGERS,
};
/** Where a datagram lies in its buffer. */
const AT = 5;

/** The relay's parsers of datagrams and of texts about addresses, each against a second reading of the wire reference. */
export const wireTargets: readonly Target[] = [
  bytesTarget({
    name: 'header',
    about:
      'any datagram: what is sound is what wire reference 1 says, and nothing beyond the datagram is read',
    generate: anyDatagram,
    check: (bytes) => {
      const problem = headerProblem(guardedBytes(bytes, AT, 8), AT, bytes.length);
      assert.equal(problem === HeaderProblem.None, isSound(bytes));
    },
  }),
  bytesTarget({
    name: 'lease-messages',
    about:
      'any payload of LEASE_PRESENT, ACK and REJECT: a token is within the datagram and ASCII, or there is none',
    generate: (random) => anyDatagram(random).subarray(20),
    check: checkLeaseMessages,
  }),
  bytesTarget({
    name: 'forward',
    about: 'any FORWARD payload: sequence, alias and kind are those of a second reading',
    generate: (random) => anyDatagram(random).subarray(20),
    check: checkForward,
  }),
  bytesTarget({
    name: 'stun',
    about:
      'any datagram as the answer of a STUN server: an address that can be used, or a problem and nothing touched',
    generate: anyDatagram,
    check: (bytes) => {
      const out = new Int32Array(ADDRESS_WORDS).fill(0x5a5a);
      const guarded = guardedBytes(bytes, AT, 8);
      const problem = parseBindingResponse(guarded, AT, bytes.length, STUN_ID, out, 0);
      if (problem !== StunProblem.None) assert.deepEqual([...out], Array(ADDRESS_WORDS).fill(0x5a5a));
      else assert.deepEqual(parseAddress(formatAddress(out, 0)), out);
      if (isStun(guarded, AT, bytes.length)) assert.ok(!isSound(bytes), 'both STUN and a relay packet');
    },
  }),
  bytesTarget({
    name: 'replay-window',
    about: 'any order of u64 sequences: accepted once, never 128 or more below the highest',
    generate: (random) => random.noise(random.between(2, 300)),
    check: checkReplayWindow,
  }),
  propertyTarget({
    name: 'address',
    about:
      'any text as ip:port: taken exactly when node:net takes the address, and written back as it was meant',
    runs: 1000,
    property: fc.property(addressText(), checkAddress),
  }),
  propertyTarget({
    name: 'session-id',
    about: 'any text as a session id: 16 bytes that are written as the same UUID, or undefined',
    runs: 1000,
    property: fc.property(
      fc.oneof(fc.uuid(), fc.string(), fc.stringMatching(/^[0-9a-fA-F-]{30,40}$/)),
      (text) => {
        const id = parseSessionId(text);
        if (id) assert.equal(formatSessionId(id, 0), text.toLowerCase());
        else assert.doesNotMatch(text, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
      },
    ),
  }),
];

function anyDatagram(random: Random): Uint8Array {
  if (random.oneIn(6)) return random.noise(anyLength(random));
  const datagram = wellFormed(random, MATERIAL);
  return random.oneIn(2) ? mutated(random, datagram) : datagram;
}

function isSound(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 20 &&
    bytes.length <= 1500 &&
    bytes[0] === 0x57 &&
    bytes[1] === 1 &&
    (Object.values(MessageType) as number[]).includes(bytes[2]!) &&
    bytes.subarray(4, 20).some((byte) => byte !== 0)
  );
}

function checkLeaseMessages(bytes: Uint8Array): void {
  const guarded = guardedBytes(bytes, AT, 8);
  const out = new Int32Array(LEASE_PRESENT_WORDS);
  const problem = parseLeasePresent(guarded, AT, bytes.length, out);
  const claimed = bytes.length >= 3 ? bytes[1]! * 256 + bytes[2]! : 0;
  if (problem === LeasePresentProblem.None || problem === LeasePresentProblem.EmptyToken) {
    assert.equal(out[LEASE_PRESENT_ROLE], bytes[0]);
    assert.equal(out[LEASE_PRESENT_TOKEN_OFFSET], AT + 3);
    assert.equal(out[LEASE_PRESENT_TOKEN_LENGTH], claimed);
    assert.ok(claimed <= bytes.length - 3 && claimed <= 8192);
    assert.ok(bytes.subarray(3, 3 + claimed).every((byte) => byte < 0x80));
    assert.equal(problem === LeasePresentProblem.EmptyToken, claimed === 0);
  } else {
    const sound =
      bytes.length >= 3 &&
      bytes[0]! <= 1 &&
      claimed <= Math.min(8192, bytes.length - 3) &&
      bytes.subarray(3, 3 + claimed).every((byte) => byte < 0x80);
    assert.ok(!sound, `problem ${problem}`);
  }
  assert.equal(readLeaseAck(guarded, AT, bytes.length) === undefined, bytes.length < 16);
  assert.equal(readLeaseReject(guarded, AT, bytes.length) === undefined, bytes.length < 2);
}

function checkForward(bytes: Uint8Array): void {
  const out = new Uint32Array(FORWARD_WORDS);
  const problem = forwardSequence(guardedBytes(bytes, AT, 8), AT, bytes.length, out);
  const expected = secondReading(bytes);
  const found =
    problem === ForwardProblem.None
      ? {
          kind: out[FORWARD_KIND]!,
          alias: out[FORWARD_ALIAS]!,
          sequence: (BigInt(out[FORWARD_HIGH]!) << 32n) | BigInt(out[FORWARD_LOW]!),
        }
      : undefined;
  assert.deepEqual(found, expected);
}

/** Wire reference 1, "FORWARD payload", with DataView and the peers' own CRC. */
function secondReading(bytes: Uint8Array): { kind: number; alias: number; sequence: bigint } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 8) return undefined;
  if (view.getUint16(0) !== 0x5249) {
    return { kind: ForwardKind.Plain, alias: 0, sequence: view.getBigUint64(0) };
  }
  if (bytes.length < 18 || view.getUint16(2) !== 1) return undefined;
  const alias = view.getUint32(4);
  const handshake = alias === 0 && bytes.length >= 30;
  const crcAt = handshake ? 28 : 16;
  if (crc16Kermit(bytes, 0, crcAt) !== view.getUint16(crcAt)) return undefined;
  return {
    kind: handshake ? ForwardKind.RiftHandshake : ForwardKind.RiftTransport,
    alias,
    sequence: view.getBigUint64(handshake ? 20 : 8),
  };
}

/** Each byte is a sequence: a step from the highest so far, or a place in the whole range. */
function checkReplayWindow(bytes: Uint8Array): void {
  const state = new Int32Array(REPLAY_WORDS + 2).fill(0x77, REPLAY_WORDS);
  const seen = new Set<bigint>();
  let highest = -1n;
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    const kind = bytes[i]!;
    let sequence = BigInt(bytes[i + 1]!);
    if (kind < 180) sequence += highest - 160n;
    else if (kind < 200) sequence = (1n << 64n) - 1n - sequence;
    else if (kind < 220) sequence += (1n << 32n) - 100n;
    else if (kind < 240) sequence = highest + (sequence << 24n);
    if (sequence < 0n || sequence >= 1n << 64n) continue;
    const fresh = !seen.has(sequence) && (highest < 0n || sequence > highest - 128n);
    const [high, low] = [Number(sequence >> 32n), Number(sequence & 0xffff_ffffn)];
    assert.equal(replayCheck(state, 0, high, low), fresh, `sequence ${sequence} after ${highest}`);
    assert.equal(replayAccept(state, 0, high, low), fresh, `sequence ${sequence} after ${highest}`);
    seen.add(sequence);
    if (sequence > highest) highest = sequence;
    else if (!fresh && sequence <= highest - 128n) seen.delete(sequence);
  }
  assert.deepEqual([...state.subarray(REPLAY_WORDS)], [0x77, 0x77], 'wrote beyond its words');
}

function addressText(): fc.Arbitrary<string> {
  const host = fc.oneof(
    fc.ipV4(),
    fc.array(fc.nat({ max: 300 }), { minLength: 3, maxLength: 5 }).map((octets) => octets.join('.')),
    fc.ipV6().map((ip) => `[${ip}]`),
    fc.stringMatching(/^\[?[0-9a-fA-F:.%]{0,24}\]?$/),
    fc.constantFrom('[::ffff:1.2.3.4]', '[fe80::1%2]', '[::]', '01.2.3.4', '1.2.3', '0x7f.0.0.1', '::1', ''),
  );
  const port = fc.oneof(
    fc.nat({ max: 70_000 }).map(String),
    fc.constantFrom('', '-1', '+1', '1e3', ' 1', '00080'),
  );
  return fc.oneof(
    { weight: 6, arbitrary: fc.tuple(host, port).map(([left, right]) => `${left}:${right}`) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  );
}

function checkAddress(text: string): void {
  const words = parseAddress(text);
  const match = /^(?:\[(?<v6>[^\]%]*)\]|(?<v4>[^:[\]%]*)):(?<port>\d{1,5})$/.exec(text);
  const { v4 = '', v6 = '', port = '' } = match?.groups ?? {};
  const known = (isIPv4(v4) || isIPv6(v6)) && Number(port) <= 65_535;
  if (known) assert.ok(words, `${text} is refused`);
  if (!words) return;
  if (!text.includes('%')) assert.ok(known, `${text} is taken`);
  const written = formatAddress(words, 0);
  assert.deepEqual(parseAddress(written), words, `${text} is written ${written}`);
}
