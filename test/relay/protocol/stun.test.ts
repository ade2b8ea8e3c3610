import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ADDRESS_WORDS, formatAddress, parseAddress } from '../../../relay/protocol/address.ts';
import { MessageType, writeHeader } from '../../../relay/protocol/header.ts';
import {
  STUN_REQUEST_BYTES,
  StunProblem,
  isStun,
  parseBindingResponse,
  writeBindingRequest,
} from '../../../relay/protocol/stun.ts';
import { guardedBytes } from './guarded-bytes.ts';
import { addressAttribute, attribute, stunMessage } from './stun-messages.ts';

const ID = Uint8Array.from({ length: 12 }, (_, i) => 0xb0 + i);
const UNTOUCHED = new Int32Array(ADDRESS_WORDS).fill(-9);

function parse(message: Uint8Array, id: Uint8Array = ID, offset = 7): { problem: number; address: string } {
  const out = new Int32Array(ADDRESS_WORDS + 1).fill(-9);
  const problem = parseBindingResponse(guardedBytes(message, offset), offset, message.length, id, out, 1);
  if (problem !== StunProblem.None) assert.deepEqual(out.slice(1), UNTOUCHED, 'a problem leaves out alone');
  return { problem, address: problem === StunProblem.None ? formatAddress(out, 1) : '' };
}

/** RFC 5769 section 2.2 and 2.3: sample responses with SOFTWARE, XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT. */
const SAMPLE_ID = Buffer.from('b7e7a701bc34d686fa87dfae', 'hex');
const SAMPLE_IPV4 = Buffer.from(
  '0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220' +
    '002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96',
  'hex',
);
const SAMPLE_IPV6 = Buffer.from(
  '010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220' +
    '002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41' +
    '80280004c8fb0b4c',
  'hex',
);

test('the sample responses of RFC 5769', () => {
  assert.deepEqual(parse(SAMPLE_IPV4, SAMPLE_ID), { problem: StunProblem.None, address: '192.0.2.1:32853' });
  assert.deepEqual(parse(SAMPLE_IPV6, SAMPLE_ID), {
    problem: StunProblem.None,
    address: '[2001:db8:1234:5678:11:2233:4455:6677]:32853',
  });
});

test("a binding request is a bare header whose last bytes are the transaction id's", () => {
  const bytes = new Uint8Array(24).fill(0xee);
  writeBindingRequest(bytes, 2, ID);
  assert.equal(
    Buffer.from(bytes).toString('hex'),
    'eeee000100002112a442' + Buffer.from(ID).toString('hex') + 'eeee',
  );
  assert.equal(isStun(bytes, 2, STUN_REQUEST_BYTES), true);
});

test('any address comes back, XORed or plain', () => {
  const address = fc
    .tuple(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6().map((ip) => `[${ip}]`),
      ),
      fc.integer({ min: 1, max: 0xffff }),
    )
    .map(([ip, port]) => parseAddress(`${ip}:${port}`)!);
  fc.assert(
    fc.property(
      address,
      fc.boolean(),
      fc.uint8Array({ minLength: 12, maxLength: 12 }),
      (words, xored, id) => {
        const { problem, address } = parse(
          stunMessage(0x0101, id, [addressAttribute(words, xored ? id : undefined)]),
          id,
        );
        if (problem === StunProblem.UnusableAddress) return;
        assert.equal(problem, StunProblem.None);
        assert.equal(address, formatAddress(words, 0));
      },
    ),
  );
});

test('XOR-MAPPED-ADDRESS counts before MAPPED-ADDRESS, the first of several, among attributes of any kind', () => {
  const plain = addressAttribute(parseAddress('198.51.100.1:1')!, undefined);
  const first = addressAttribute(parseAddress('192.0.2.1:2')!, ID);
  const second = addressAttribute(parseAddress('192.0.2.9:3')!, ID);
  const other = attribute(0x0005, Uint8Array.of(1, 2, 3, 4, 5));
  assert.equal(parse(stunMessage(0x0101, ID, [other, plain, first, second])).address, '192.0.2.1:2');
  assert.equal(parse(stunMessage(0x0101, ID, [other, plain, other])).address, '198.51.100.1:1');
});

test('an answer to another request is not taken, whatever bit of the id differs', () => {
  for (let bit = 0; bit < 96; bit++) {
    const id = Uint8Array.from(SAMPLE_ID);
    id[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(parse(SAMPLE_IPV4, id).problem, StunProblem.OtherTransaction);
  }
});

test('only a success response is one', () => {
  const good = addressAttribute(parseAddress('192.0.2.1:2')!, ID);
  for (const type of [0x0001, 0x0011, 0x0111, 0x0102]) {
    assert.equal(parse(stunMessage(type, ID, [good])).problem, StunProblem.NotSuccess);
  }
});

test('an address that nobody could be reached at is unusable', () => {
  for (const text of [
    '192.0.2.1:0',
    '0.0.0.0:5',
    '[::]:5',
    '224.0.0.1:5',
    '[ff02::1]:5',
    '255.255.255.255:5',
  ]) {
    const answer = stunMessage(0x0101, ID, [addressAttribute(parseAddress(text)!, ID)]);
    assert.equal(parse(answer).problem, StunProblem.UnusableAddress, text);
  }
});

test('no address, and addresses of a wrong size or family', () => {
  assert.equal(parse(stunMessage(0x0101, ID, [])).problem, StunProblem.NoAddress);
  assert.equal(
    parse(stunMessage(0x0101, ID, [attribute(0x8022, new Uint8Array(5))])).problem,
    StunProblem.NoAddress,
  );
  for (const value of [
    [],
    [0, 1, 0, 5],
    [0, 1, 0, 5, 1, 2, 3, 4, 5],
    [0, 2, 0, 5, 1, 2, 3, 4],
    [0, 3, 0, 5, 1, 2, 3, 4],
    [0, 1, 0, 5, ...new Uint8Array(16)],
  ]) {
    const answer = stunMessage(0x0101, ID, [attribute(0x0020, Uint8Array.from(value))]);
    assert.equal(parse(answer).problem, StunProblem.Malformed, String(value));
  }
});

test('an attribute that reaches beyond the message is malformed', () => {
  const answer = stunMessage(0x0101, ID, [addressAttribute(parseAddress('192.0.2.1:2')!, ID)]);
  for (const size of [9, 12, 0x7fff, 0xffff]) {
    answer[22] = size >> 8;
    answer[23] = size & 0xff;
    assert.equal(parse(answer).problem, StunProblem.Malformed);
  }
  for (const type of [0x0001, 0x0020, 0x8022]) {
    for (const present of [0, 4]) {
      const cut = attribute(type, new Uint8Array(8)).subarray(0, 4 + present);
      assert.equal(parse(stunMessage(0x0101, ID, [cut])).problem, StunProblem.Malformed);
    }
  }
});

test('a relay packet is never taken for STUN, a cut or padded message neither', () => {
  const relayed = new Uint8Array(100);
  writeHeader(relayed, 0, MessageType.Forward, SAMPLE_IPV4.subarray(4, 20), 0);
  assert.equal(isStun(relayed, 0, 100), false);
  for (let size = 0; size < SAMPLE_IPV4.length; size++) {
    assert.equal(parse(SAMPLE_IPV4.subarray(0, size), SAMPLE_ID).problem, StunProblem.NotStun);
  }
  assert.equal(isStun(Uint8Array.of(...SAMPLE_IPV4, 0, 0, 0, 0), 0, SAMPLE_IPV4.length + 4), false);
});

test('any bytes, and any mutation of an answer, are judged within their bounds', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (content) => void parse(content, SAMPLE_ID)));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (attributes) => {
      parse(stunMessage(0x0101, ID, [attributes.subarray(0, attributes.length & ~3)]));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(91), fc.nat(255)), { maxLength: 4 }), (changes) => {
      const answer = Uint8Array.from(SAMPLE_IPV6);
      for (const [at, value] of changes) answer[at] = value;
      parse(answer, SAMPLE_ID);
    }),
    { numRuns: 1000 },
  );
});
