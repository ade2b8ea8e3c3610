import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as noble from '@noble/ed25519';
import * as fc from 'fast-check';
import { masterKeyObject } from '../../../relay/lease/verification-key.ts';
import { parseV4Public, preAuthEncode, verifyV4Public } from '../../../relay/lease/paseto.ts';
import { ALPHA, BETA, signV4Public, signerOf } from './leases.ts';

noble.hashes.sha512 = (message) => new Uint8Array(createHash('sha512').update(message).digest());

interface Vector {
  readonly name: string;
  readonly 'expect-fail': boolean;
  readonly 'public-key'?: string;
  readonly 'secret-key-seed'?: string;
  readonly token: string;
  readonly payload: string | null;
  readonly footer: string;
  readonly 'implicit-assertion': string;
}

const vectors = (
  JSON.parse(readFileSync(new URL('./paseto-v4-vectors.json', import.meta.url), 'utf8')) as {
    tests: readonly Vector[];
  }
).tests;
const VECTOR_KEY = vectors[0]!['public-key']!;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (content: Uint8Array): string => Buffer.from(content).toString();

/** The second opinion: @noble/ed25519 over the same encoding, strict (RFC 8032). */
function nobleVerifies(
  message: Uint8Array,
  footer: Uint8Array,
  signature: Uint8Array,
  key: Uint8Array,
): boolean {
  const signed = preAuthEncode([bytes('v4.public.'), message, footer, new Uint8Array(0)]);
  return noble.verify(signature, signed, key, { zip215: false });
}

test('all official vectors are there', () => {
  assert.deepEqual(
    vectors.map((vector) => vector.name),
    ['4-S-1', '4-S-2', '4-S-3', '4-F-1', '4-F-2', '4-F-3', '4-F-4'],
  );
});

for (const vector of vectors) {
  test(`official vector ${vector.name}`, () => {
    const key = masterKeyObject({ hex: vector['public-key'] ?? VECTOR_KEY, kid: undefined });
    const implicit = bytes(vector['implicit-assertion']);
    const token = parseV4Public(vector.token);
    const verified = token !== undefined && verifyV4Public(token, key, implicit);
    assert.equal(verified, !vector['expect-fail']);
    if (!verified) return;
    assert.equal(text(token.message), vector.payload);
    assert.equal(text(token.footer), vector.footer);
    const seed = Buffer.from(vector['secret-key-seed']!, 'hex');
    const signed = signV4Public(
      vector.payload!,
      signerOf(seed).privateKey,
      vector.footer,
      vector['implicit-assertion'],
    );
    assert.equal(signed, vector.token, 'the signer of these tests makes the very same token');
  });
}

test('pre-authentication encoding, with the examples of the specification', () => {
  const hex = (...pieces: string[]): string => Buffer.from(preAuthEncode(pieces.map(bytes))).toString('hex');
  assert.equal(hex(), '0000000000000000');
  assert.equal(hex(''), '01000000000000000000000000000000');
  assert.equal(hex('test'), '0100000000000000040000000000000074657374');
  assert.notEqual(hex('ab', 'c'), hex('a', 'bc'));
});

test('any message and footer verify, by node:crypto and by @noble/ed25519; another key verifies nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 20 }), (message, footer) => {
      const token = parseV4Public(signV4Public(message, ALPHA.privateKey, footer))!;
      assert.deepEqual([text(token.message), text(token.footer)], [text(message), footer]);
      assert.equal(verifyV4Public(token, ALPHA.publicKey), true);
      assert.equal(verifyV4Public(token, BETA.publicKey), false);
      assert.equal(verifyV4Public(token, ALPHA.publicKey, bytes('x')), false, 'implicit assertion');
      assert.equal(nobleVerifies(token.message, token.footer, token.signature, ALPHA.publicBytes), true);
    }),
    { numRuns: 40 },
  );
});

test('node:crypto and @noble/ed25519 agree on signatures that were mutated or made up', () => {
  const signature = parseV4Public(signV4Public('message', ALPHA.privateKey))!.signature;
  const candidates = fc.oneof(
    fc.uint8Array({ minLength: 64, maxLength: 64 }),
    fc.tuple(fc.nat(511), fc.boolean()).map(([bit, flip]) => {
      const mutated = Uint8Array.from(signature);
      if (flip) mutated[bit >> 3]! ^= 1 << (bit & 7);
      return mutated;
    }),
  );
  fc.assert(
    fc.property(candidates, (candidate) => {
      const token = { message: bytes('message'), footer: new Uint8Array(0), signature: candidate };
      assert.equal(
        verifyV4Public(token, ALPHA.publicKey),
        nobleVerifies(token.message, token.footer, candidate, ALPHA.publicBytes),
      );
    }),
    { numRuns: 60 },
  );
});

test('a signature has one spelling: S + L is refused by both', () => {
  const token = parseV4Public(signV4Public('message', ALPHA.privateKey))!;
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(token.signature.subarray(32)).reverse().toString('hex')}`);
  const malleated = Uint8Array.from(token.signature);
  malleated.set(Buffer.from((s + order).toString(16).padStart(64, '0'), 'hex').reverse(), 32);
  assert.equal(verifyV4Public({ ...token, signature: malleated }, ALPHA.publicKey), false);
  assert.equal(nobleVerifies(token.message, token.footer, malleated, ALPHA.publicBytes), false);
});

test('signatures of small order or with a non-canonical R are refused by both', () => {
  const points = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  ];
  for (const point of points) {
    const signature = new Uint8Array(64);
    signature.set(Buffer.from(point, 'hex'));
    const token = { message: bytes('message'), footer: new Uint8Array(0), signature };
    assert.equal(verifyV4Public(token, ALPHA.publicKey), false, point);
    assert.equal(nobleVerifies(token.message, token.footer, signature, ALPHA.publicBytes), false, point);
  }
});

test('the form is strict: prefix, one canonical unpadded base64url, at most one footer, nothing empty', () => {
  const good = signV4Public('{}', ALPHA.privateKey);
  const footed = signV4Public('{}', ALPHA.privateKey, 'foot');
  assert.ok(parseV4Public(good) && parseV4Public(footed));
  for (const token of [
    '',
    'v4.public.',
    'v4.public',
    good.replace('v4', 'v3'),
    good.replace('public', 'local'),
    good.replace('v4', 'V4'),
    ` ${good}`,
    `${good} `,
    `${good}\n`,
    `${good}.`,
    `${good}=`,
    `${good}==`,
    `${footed}=`,
    `${footed}.`,
    `${footed}.Zm9v`,
    `${good}..Zm9v`,
    `${good}.Zm9v\u0000`,
    `${good.slice(0, 30)}\n${good.slice(30)}`,
    `${good.slice(0, 30)} ${good.slice(30)}`,
    `${good.slice(0, 30)}+${good.slice(31)}`,
    `${good.slice(0, 30)}/${good.slice(31)}`,
    `v4.public.${Buffer.alloc(63).toString('base64url')}`,
  ]) {
    assert.equal(parseV4Public(token), undefined, JSON.stringify(token));
  }
});

test('surplus bits in the last character are a second spelling and refused', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('');
  // 64 bytes leave four bits of the last character to spare, 65 bytes two, 66 bytes none.
  for (const [size, spellings] of [
    [64, 4],
    [65, 16],
    [66, 64],
  ] as const) {
    const start = `v4.public.${Buffer.alloc(size, 0x5a).toString('base64url').slice(0, -1)}`;
    assert.equal(alphabet.filter((last) => parseV4Public(start + last)).length, spellings);
  }
});

test('8192 characters are the most', () => {
  const token = (length: number): string => `v4.public.${'A'.repeat(length - 10)}`;
  assert.ok(parseV4Public(token(8192)));
  assert.equal(parseV4Public(token(8193)), undefined);
});

test('any text and any mutation of a token is taken apart or refused, and verifies only when it is the token', () => {
  const good = signV4Public('{"sub":"x"}', ALPHA.privateKey, 'foot');
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.base64String()), (text) => void parseV4Public(`v4.public.${text}`)),
  );
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(127), (at, code) => {
      const mutated = good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1);
      const token = parseV4Public(mutated);
      assert.equal(token !== undefined && verifyV4Public(token, ALPHA.publicKey), mutated === good);
    }),
    { numRuns: 300 },
  );
});
