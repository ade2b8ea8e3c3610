import assert from 'node:assert/strict';
import { createHash, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import * as noble from '@noble/ed25519';
import * as fc from 'fast-check';
import { masterKeyFromBytes, parseMasterKey } from '../../../relay/lease/master-key.ts';
import type { MasterKeyResult } from '../../../relay/lease/master-key.ts';
import { masterKeyId, masterKeyObject } from '../../../relay/lease/verification-key.ts';
import { ALPHA, signerOf } from './leases.ts';

noble.hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

function problemOf(result: MasterKeyResult): string {
  return 'problem' in result ? result.problem : '';
}

/** RFC 8032 section 5.1.3 and the eight points of small order, with the encodings that are not canonical. */
const UNSOUND = {
  identity: '0100000000000000000000000000000000000000000000000000000000000000',
  'order 2': 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'order 4': '0000000000000000000000000000000000000000000000000000000000000000',
  'order 4, other sign': '0000000000000000000000000000000000000000000000000000000000000080',
  'order 8': '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'order 8, other': 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'y = p': 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'y = p + 1': 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'y = 2^255 - 1': 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'x = 0 with a sign': '0100000000000000000000000000000000000000000000000000000000000080',
  'not on the curve': '0200000000000000000000000000000000000000000000000000000000000000',
};

test('hex and kid=hex, any case, blanks around', () => {
  assert.deepEqual(parseMasterKey(ALPHA.hex), { key: { hex: ALPHA.hex, kid: undefined } });
  assert.deepEqual(parseMasterKey(` ${ALPHA.hex.toUpperCase()}\n`), {
    key: { hex: ALPHA.hex, kid: undefined },
  });
  assert.deepEqual(parseMasterKey(`key-2026/02=${ALPHA.hex}`), {
    key: { hex: ALPHA.hex, kid: 'key-2026/02' },
  });
});

test('the bytes of a registration answer', () => {
  assert.deepEqual(masterKeyFromBytes(ALPHA.publicBytes, 'k1'), { key: { hex: ALPHA.hex, kid: 'k1' } });
  assert.deepEqual(masterKeyFromBytes(ALPHA.publicBytes, undefined), {
    key: { hex: ALPHA.hex, kid: undefined },
  });
  assert.match(problemOf(masterKeyFromBytes(ALPHA.publicBytes.subarray(1), 'k1')), /'k1'.* 31 bytes/);
  assert.match(problemOf(masterKeyFromBytes(ALPHA.publicBytes, '')), /master_key_id/);
  assert.match(problemOf(masterKeyFromBytes(ALPHA.publicBytes, 'a\nb')), /master_key_id/);
});

test('any key id that Master may have been given is taken, and what is none is not', () => {
  for (const kid of ['cHJvZA==', 'prod=2026', '=', 'Master key 2', 'ключ-1', '🔑'.repeat(128), '-']) {
    const key = { hex: ALPHA.hex, kid };
    assert.deepEqual(masterKeyFromBytes(ALPHA.publicBytes, kid), { key });
    assert.deepEqual(parseMasterKey(`${kid}=${ALPHA.hex}`), { key });
  }
  for (const kid of ['', ' ', '\u00a0 ', 'a\tb', 'a\u0000', 'a\u0085', 'a\u2028b', 'k'.repeat(129)]) {
    assert.match(problemOf(masterKeyFromBytes(ALPHA.publicBytes, kid)), /master_key_id.*1 to 128/);
    assert.match(problemOf(parseMasterKey(`${kid}=${ALPHA.hex}`)), /unusable key id.*1 to 128/);
  }
});

test('a key that nobody can have generated is refused, and the error says where the right one is', () => {
  for (const [what, hex] of Object.entries(UNSOUND)) {
    for (const result of [parseMasterKey(`kk=${hex}`), masterKeyFromBytes(Buffer.from(hex, 'hex'), 'kk')]) {
      assert.match(problemOf(result), /'kk'.*no usable Ed25519 public key.*well-known\/wavry-id/, what);
    }
  }
});

test('an encoding that is not canonical is refused as such', () => {
  // y = 3 is on the curve; p + 3 would be its second spelling.
  for (const hex of [UNSOUND['y = p'], `f0${'ff'.repeat(30)}7f`, `f0${'ff'.repeat(31)}`]) {
    assert.match(problemOf(parseMasterKey(hex)), /canonically/);
  }
});

test('a sound point with a small-order one added is refused', () => {
  const mixed = noble.Point.fromHex(ALPHA.hex, false)
    .add(noble.Point.fromHex(UNSOUND['order 8'], false))
    .toHex();
  assert.match(problemOf(parseMasterKey(mixed)), /prime-order/);
});

test("why it matters: for a key of small order a lenient verifier takes anybody's signature", () => {
  const message = Buffer.from('anything');
  const identity = Buffer.from(UNSOUND.identity, 'hex');
  const forged = Buffer.concat([identity, Buffer.alloc(32)]);
  assert.equal(noble.verify(forged, message, identity, { zip215: true }), true);
  assert.equal(noble.verify(forged, message, identity, { zip215: false }), false);
  for (const [what, hex] of Object.entries(UNSOUND)) {
    assert.equal(verify(null, message, masterKeyObject({ hex, kid: undefined }), forged), false, what);
  }
});

test('errors name the key, say what is wrong and never show more than eight digits of it', () => {
  for (const [text, expected] of [
    ['', /key given is not 64 hexadecimal digits \(it is empty\)/],
    ['kid=', /'kid' \(given\).*it is empty/],
    [ALPHA.hex.slice(1), /it has 63 characters/],
    [ALPHA.hex.repeat(2), /it has 128 characters/],
    [`x=${ALPHA.hex.slice(0, 63)}z`, /'x' .*other characters/],
    [`=${ALPHA.hex}`, /unusable key id/],
    [`a\tb=${ALPHA.hex}`, /unusable key id/],
    [`${'k'.repeat(129)}=${ALPHA.hex}`, /unusable key id/],
  ] as const) {
    const problem = problemOf(parseMasterKey(text));
    assert.match(problem, expected);
    assert.doesNotMatch(problem, /[0-9a-f]{9}/i);
  }
});

test("a key's id is Master's, else k and its first 16 digits", () => {
  assert.equal(masterKeyId({ hex: ALPHA.hex, kid: 'k1' }), 'k1');
  assert.equal(masterKeyId({ hex: ALPHA.hex, kid: undefined }), `k${ALPHA.hex.slice(0, 16)}`);
});

test('every generated key is sound, and its key object verifies what it signed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array(), (seed, message) => {
      const signer = signerOf(seed);
      const result = parseMasterKey(signer.hex);
      assert.ok('key' in result);
      const signature = sign(null, message, signer.privateKey);
      assert.equal(verify(null, message, masterKeyObject(result.key), signature), true);
    }),
    { numRuns: 20 },
  );
});

test('any text is a key or a problem, never thrown at', () => {
  const digits = fc.string({
    unit: fc.constantFrom('0', '9', 'a', 'f', 'F', '='),
    minLength: 60,
    maxLength: 70,
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), digits), (text) => {
      const result = parseMasterKey(text);
      assert.ok('key' in result || result.problem.length > 0);
    }),
    { numRuns: 300 },
  );
});
