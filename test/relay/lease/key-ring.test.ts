import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import * as fc from 'fast-check';
import {
  KeyRing,
  MAX_KEYS_PER_LEASE,
  PREVIOUS_KEY_MS,
  keyMismatch,
  newKeyRing,
  withAnswer,
  withPinnedKeys,
} from '../../../relay/lease/key-ring.ts';
import type { KeyRingState } from '../../../relay/lease/key-ring.ts';
import type { MasterKey } from '../../../relay/lease/verification-key.ts';
import { ALPHA, BETA, keyOf, signerOf } from './leases.ts';
import type { Signer } from './leases.ts';

const GAMMA = signerOf(new Uint8Array(32).fill(3));
const T = 1_000_000;

/** The keys tried for a kid, as `signer/known kid`. */
function tried(state: KeyRingState, kid: string | undefined, nowMs = T): string[] {
  const names = new Map([ALPHA, BETA, GAMMA].map((signer, i) => [signer.hex, 'ABC'[i]!]));
  return new KeyRing(state).keysFor(kid, nowMs).map((key) => {
    const hex = Buffer.from(key.publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
    return `${names.get(hex) ?? '?'}/${key.kid ?? ''}`;
  });
}

function answered(...answers: readonly MasterKey[]): KeyRingState {
  return answers.reduce((state, key) => withAnswer(state, key, T), newKeyRing([]));
}

function derivedId(signer: Signer): string {
  return `k${signer.hex.slice(0, 16)}`;
}

test('no key is known: nothing to try', () => {
  assert.deepEqual(tried(newKeyRing([]), 'k1'), []);
});

test('pinned with a kid: a lease with that kid is held against that key alone', () => {
  const ring = newKeyRing([keyOf(ALPHA, 'k1'), keyOf(BETA, 'k2')]);
  assert.deepEqual(tried(ring, 'k2'), ['B/k2']);
});

test('pinned with kids: a lease with another kid or none is tried with all, to be called a key id mismatch', () => {
  const ring = newKeyRing([keyOf(ALPHA, 'k1'), keyOf(BETA, 'k2')]);
  assert.deepEqual(tried(ring, 'k3'), ['A/k1', 'B/k2']);
  assert.deepEqual(tried(ring, undefined), ['A/k1', 'B/k2']);
});

test('pinned without a kid, nothing learned: any kid is tried with every such key, the derived id with its own', () => {
  const ring = newKeyRing([keyOf(ALPHA), keyOf(BETA)]);
  assert.deepEqual(tried(ring, 'k1'), ['A/', 'B/']);
  assert.deepEqual(tried(ring, undefined), ['A/', 'B/']);
  assert.deepEqual(tried(ring, derivedId(BETA)), ['B/']);
});

test('pinned without a kid: the registration answer with the same key gives it one', () => {
  const ring = withAnswer(newKeyRing([keyOf(ALPHA), keyOf(BETA)]), keyOf(ALPHA, 'k1'), T);
  assert.deepEqual(tried(ring, 'k1'), ['A/k1']);
  assert.deepEqual(tried(ring, 'k9'), ['B/', 'A/k1']);
  assert.deepEqual(tried(ring, derivedId(ALPHA)), ['B/', 'A/k1'], "a known id takes the derived one's place");
  assert.equal(keyMismatch(ring), undefined);
});

test('an answer without a key id teaches none', () => {
  const ring = withAnswer(newKeyRing([keyOf(ALPHA)]), keyOf(ALPHA), T);
  assert.deepEqual(tried(ring, 'whatever'), ['A/']);
});

test('Master knows a pinned key by another id: both ids stand for the key', () => {
  const ring = withAnswer(newKeyRing([keyOf(ALPHA, 'mine')]), keyOf(ALPHA, 'k1'), T);
  assert.deepEqual(tried(ring, 'mine'), ['A/mine']);
  assert.deepEqual(tried(ring, 'k1'), ['A/k1']);
  assert.equal(keyMismatch(ring), undefined);
  const same = withAnswer(newKeyRing([keyOf(ALPHA, 'k1')]), keyOf(ALPHA, 'k1'), T);
  assert.deepEqual(tried(same, 'k1'), ['A/k1'], 'tried once');
});

test('Master renames a pinned key: the former id holds for an hour more', () => {
  const first = withAnswer(newKeyRing([keyOf(ALPHA)]), keyOf(ALPHA, 'k1'), T - 5000);
  const ring = withAnswer(first, keyOf(ALPHA, 'k2'), T);
  assert.deepEqual(tried(ring, 'k2', T + 2 * PREVIOUS_KEY_MS), ['A/k2']);
  assert.deepEqual(tried(ring, 'k1', T + PREVIOUS_KEY_MS - 1), ['A/k1']);
  assert.deepEqual(tried(ring, 'k1', T + PREVIOUS_KEY_MS), ['A/k2'], 'only a mismatch is left');
});

test('a rotation among pinned keys needs nothing: the key left behind keeps its id', () => {
  const pinned = newKeyRing([keyOf(ALPHA), keyOf(BETA)]);
  const ring = withAnswer(withAnswer(pinned, keyOf(ALPHA, 'k1'), T), keyOf(BETA, 'k2'), T);
  const later = T + 2 * PREVIOUS_KEY_MS;
  assert.deepEqual(tried(ring, 'k1', later), ['A/k1']);
  assert.deepEqual(tried(ring, 'k2', later), ['B/k2']);
});

test('Master names a key that is not pinned: it is never used, and the mismatch names both ids', () => {
  const ring = withAnswer(newKeyRing([keyOf(ALPHA, 'k1'), keyOf(BETA)]), keyOf(GAMMA, 'k3'), T);
  assert.deepEqual(keyMismatch(ring), { masterKeyId: 'k3', pinnedKeyIds: ['k1', derivedId(BETA)] });
  assert.deepEqual(tried(ring, 'k3'), ['B/', 'A/k1']);
  assert.deepEqual(tried(ring, 'k1'), ['A/k1'], 'leases of the pinned keys go on');
  assert.equal(keyMismatch(withPinnedKeys(ring, [keyOf(GAMMA)])), undefined, 'pinning it is the cure');
  assert.equal(
    keyMismatch(withAnswer(ring, keyOf(BETA, 'k2'), T)),
    undefined,
    'Master going back is another',
  );
});

test('fault 13: nothing pinned, the newest key of Master and for an hour the one before', () => {
  const ring = withAnswer(withAnswer(newKeyRing([]), keyOf(ALPHA, 'k1'), T - 9000), keyOf(BETA, 'k2'), T);
  assert.deepEqual(tried(ring, 'k2'), ['B/k2']);
  assert.deepEqual(tried(ring, 'k1', T + PREVIOUS_KEY_MS - 1), ['A/k1']);
  assert.deepEqual(tried(ring, 'k1', T + PREVIOUS_KEY_MS), ['B/k2']);
  assert.equal(keyMismatch(ring), undefined);
  const third = withAnswer(ring, keyOf(GAMMA, 'k3'), T + 1);
  assert.deepEqual(tried(third, 'k1'), ['C/k3', 'B/k2'], 'only the one before');
});

test('the hour runs from the first answer that replaced a key, not from the last', () => {
  const ring = withAnswer(answered(keyOf(ALPHA, 'k1'), keyOf(BETA, 'k2')), keyOf(BETA, 'k2'), T + 1000);
  assert.deepEqual(tried(ring, 'k1', T + PREVIOUS_KEY_MS), ['B/k2']);
  const renamed = withAnswer(
    withAnswer(newKeyRing([keyOf(ALPHA)]), keyOf(ALPHA, 'k1'), T),
    keyOf(ALPHA, 'k2'),
    T,
  );
  const later = withAnswer(renamed, keyOf(BETA, 'k3'), T + 1000);
  assert.deepEqual(tried(later, 'k1', T + PREVIOUS_KEY_MS), ['A/k2']);
});

test('a key that comes back is the newest again', () => {
  const ring = answered(keyOf(ALPHA, 'k1'), keyOf(BETA, 'k2'), keyOf(ALPHA, 'k1'));
  assert.deepEqual(tried(ring, 'k1', T + 2 * PREVIOUS_KEY_MS), ['A/k1']);
  assert.deepEqual(tried(ring, 'k2', T + PREVIOUS_KEY_MS - 1), ['B/k2']);
});

test('an answer that says nothing new gives back the very same state', () => {
  const ring = answered(keyOf(ALPHA, 'k1'));
  assert.equal(withAnswer(ring, keyOf(ALPHA, 'k1'), T + 1), ring);
  assert.notEqual(withAnswer(ring, keyOf(ALPHA, 'k2'), T + 1), ring);
});

test('pinning replaces what Master said, and pinning nothing again brings it back', () => {
  const ring = answered(keyOf(ALPHA, 'k1'));
  const pinned = withPinnedKeys(ring, [keyOf(BETA, 'k2')]);
  assert.deepEqual(tried(pinned, 'k1'), ['B/k2']);
  assert.deepEqual(tried(withPinnedKeys(pinned, []), 'k1'), ['A/k1']);
});

test('a state goes to a worker as it is', () => {
  const ring = withAnswer(newKeyRing([keyOf(ALPHA), keyOf(BETA, 'k2')]), keyOf(ALPHA, 'k1'), T);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(ring);
  const received = (receiveMessageOnPort(port2) as { message: KeyRingState }).message;
  port1.close();
  assert.deepEqual(received, ring);
  assert.deepEqual(tried(received, 'k1'), ['A/k1']);
});

test('whatever is pinned and answered: few keys are tried, none twice, and only trusted ones', () => {
  const kid = fc.constantFrom(undefined, 'k1', 'k2', 'k3');
  const pool = Array.from({ length: 12 }, (_, i) => signerOf(new Uint8Array(32).fill(10 + i)));
  const key = fc.tuple(fc.constantFrom(...pool), kid).map(([signer, kid]) => keyOf(signer, kid));
  const answers = fc.array(fc.tuple(key, fc.nat(2 * PREVIOUS_KEY_MS)), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(key, { maxLength: 10 }), answers, kid, (pinned, answers, asked) => {
      let now = T;
      let state = newKeyRing(pinned);
      for (const [key, later] of answers) state = withAnswer(state, key, (now += later));
      assert.ok(state.answers.length <= 8);
      const keys = new KeyRing(state).keysFor(asked, now);
      assert.ok(keys.length <= MAX_KEYS_PER_LEASE);
      const spellings = keys.map((key) => `${key.publicKey.export({ format: 'jwk' }).x} ${key.kid}`);
      assert.equal(new Set(spellings).size, spellings.length);
      const trusted = pinned.length > 0 ? pinned : answers.map(([key]) => key);
      const allowed = new Set(trusted.map(({ hex }) => Buffer.from(hex, 'hex').toString('base64url')));
      assert.ok(keys.every((key) => allowed.has(key.publicKey.export({ format: 'jwk' }).x!)));
      assert.equal(keys.length === 0, trusted.length === 0);
    }),
  );
});
