import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyedHash } from '../../../relay/session/keyed-hash.ts';

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** HalfSipHash-c-d, straight from the reference's description: little-endian words, 64 bits of result. */
function halfSipHash(key: Uint8Array, input: Uint8Array, c: number, d: number): Uint8Array {
  const keyView = new DataView(key.buffer, key.byteOffset);
  const [k0, k1] = [keyView.getInt32(0, true), keyView.getInt32(4, true)];
  let [v0, v1, v2, v3] = [k0, k1 ^ 0xee, k0 ^ 0x6c796765, k1 ^ 0x74656462];
  const rounds = (n: number): void => {
    for (let i = 0; i < n; i++) {
      v0 = (v0 + v1) | 0;
      v1 = rotate(v1, 5) ^ v0;
      v0 = rotate(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotate(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotate(v3, 7) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotate(v1, 13) ^ v2;
      v2 = rotate(v2, 16);
    }
  };
  const padded = new Uint8Array(Math.floor(input.length / 4) * 4 + 4);
  padded.set(input);
  padded[padded.length - 1] = input.length;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4) {
    const word = view.getInt32(at, true);
    v3 ^= word;
    rounds(c);
    v0 ^= word;
  }
  const out = new DataView(new ArrayBuffer(8));
  v2 ^= 0xee;
  rounds(d);
  out.setInt32(0, v1 ^ v3, true);
  v1 ^= 0xdd;
  rounds(d);
  out.setInt32(4, v1 ^ v3, true);
  return new Uint8Array(out.buffer);
}

test('the reference below is HalfSipHash: the first official vectors of HalfSipHash-2-4 with 64 bits', () => {
  const count = Uint8Array.from({ length: 9 }, (_, i) => i);
  const vectors = ['218d1f59b9b83cc8', 'be552412f8387315', '064f39ef7c50eb57', 'ce0f1a45f7060679'];
  vectors.push(
    'd5e78a175be52ea1',
    'cb9d7c3f2f3db580',
    'ce3e91358aa2bc25',
    'ff202728b07bc684',
    'edfee820bce4858c',
  );
  for (const [length, vector] of vectors.entries()) {
    const hash = halfSipHash(count.slice(0, 8), count.slice(0, length), 2, 4);
    assert.equal(Buffer.from(hash).toString('hex'), vector, `${length} bytes`);
  }
});

test('it is HalfSipHash-1-3 of the words', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer(), { minLength: 2, maxLength: 2 }),
      fc.array(fc.integer(), { maxLength: 8 }),
      (key, words) => {
        const hash = new KeyedHash(Uint32Array.from([0, ...key]), 1);
        hash.hash(Int32Array.from([9, ...words, 9]), 1, words.length);
        const bytes = (values: readonly number[]): Uint8Array =>
          new Uint8Array(Int32Array.from(values).buffer);
        const expected = halfSipHash(bytes(key), bytes(words), 1, 3);
        assert.deepEqual(new Uint8Array(Int32Array.of(hash.first, hash.second).buffer), expected);
      },
    ),
  );
});
