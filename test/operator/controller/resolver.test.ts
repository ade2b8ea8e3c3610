import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Resolver } from '../../../operator/controller/resolver.ts';

/** Name servers that say what the test puts in; an Error is a name that doesn't resolve. */
function rig(): {
  readonly resolver: Resolver;
  readonly answers: Map<string, readonly string[]>;
  readonly asked: string[];
  readonly told: string[];
  readonly pass: (ms: number) => void;
  /** The answers that are under way have come. */
  readonly settle: () => Promise<void>;
} {
  let nowMs = 1_000_000;
  const answers = new Map<string, readonly string[]>();
  const asked: string[] = [];
  const told: string[] = [];
  const resolver = new Resolver({
    wallMs: () => nowMs,
    onChange: (key) => told.push(key),
    resolve: (name) => {
      asked.push(name);
      const found = answers.get(name);
      return found ? Promise.resolve(found) : Promise.reject(new Error('ENOTFOUND'));
    },
  });
  return {
    resolver,
    answers,
    asked,
    told,
    pass: (ms) => void (nowMs += ms),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

test('addresses come in the background, and whoever asked is told', async () => {
  const { resolver, answers, told, settle } = rig();
  answers.set('lb', ['203.0.113.2', '203.0.113.1', '203.0.113.2']);
  assert.deepEqual(resolver.addresses('lb', 'games/eu'), []);
  await settle();
  assert.deepEqual(told, ['games/eu']);
  assert.deepEqual(resolver.addresses('lb', 'games/eu'), ['203.0.113.1', '203.0.113.2']);
});

test('a name is asked for once a minute, and news only when its addresses are others', async () => {
  const { resolver, answers, asked, told, pass, settle } = rig();
  answers.set('lb', ['203.0.113.1', '203.0.113.2']);
  resolver.addresses('lb', 'a');
  await settle();
  pass(59_999);
  resolver.addresses('lb', 'a');
  assert.equal(asked.length, 1);
  pass(1);
  answers.set('lb', ['203.0.113.2', '203.0.113.1']);
  resolver.addresses('lb', 'a');
  await settle();
  assert.deepEqual([asked.length, told.length], [2, 1], 'rotated answers are no news');
  pass(60_000);
  answers.set('lb', ['203.0.113.3']);
  resolver.addresses('lb', 'a');
  await settle();
  assert.equal(told.length, 2);
  assert.deepEqual(resolver.addresses('lb', 'a'), ['203.0.113.3']);
});

test('a name that doesn’t resolve yet is asked for again after five seconds', async () => {
  const { resolver, answers, asked, told, pass, settle } = rig();
  resolver.addresses('lb', 'a');
  assert.equal(resolver.dueMs(['lb', 'unknown']), 1_060_000);
  await settle();
  assert.deepEqual([resolver.dueMs(['lb']), told], [1_005_000, ['a']]);
  pass(5000);
  answers.set('lb', ['203.0.113.1']);
  resolver.addresses('lb', 'a');
  await settle();
  assert.equal(asked.length, 2);
  assert.deepEqual(resolver.addresses('lb', 'a'), ['203.0.113.1']);
});

test('a name that stops resolving keeps its addresses', async () => {
  const { resolver, answers, told, pass, settle } = rig();
  answers.set('lb', ['203.0.113.1']);
  resolver.addresses('lb', 'a');
  await settle();
  answers.delete('lb');
  pass(60_000);
  resolver.addresses('lb', 'a');
  await settle();
  assert.deepEqual(resolver.addresses('lb', 'a'), ['203.0.113.1']);
  assert.equal(told.length, 1);
});

test('names that nobody asks for are forgotten', async () => {
  const { resolver, answers, pass, settle } = rig();
  answers.set('old', ['203.0.113.1']);
  answers.set('new', ['203.0.113.2']);
  resolver.addresses('old', 'a');
  await settle();
  pass(600_001);
  resolver.addresses('new', 'a');
  assert.equal(resolver.dueMs(['old']), undefined);
});

test('a clock that is set back puts no question off', async () => {
  const { resolver, answers, asked, pass, settle } = rig();
  answers.set('lb', ['203.0.113.1']);
  resolver.addresses('lb', 'games/eu');
  await settle();
  pass(-3_600_000);
  resolver.addresses('lb', 'games/eu');
  resolver.addresses('lb', 'games/eu');
  assert.deepEqual(asked, ['lb', 'lb']);
});
