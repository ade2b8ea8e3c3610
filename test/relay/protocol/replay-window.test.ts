import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  REPLAY_WINDOW,
  REPLAY_WORDS,
  replayAccept,
  replayCheck,
  replayReset,
  replayStarted,
  sequenceAbove,
} from '../../../relay/protocol/replay-window.ts';

const U64_MAX = 2n ** 64n - 1n;

/** The rule as the wire reference words it, with a set of all that was seen. */
class Model {
  readonly seen = new Set<bigint>();
  highest: bigint | undefined;

  accept(sequence: bigint): boolean {
    if (this.highest !== undefined && sequence <= this.highest) {
      if (this.highest - sequence >= BigInt(REPLAY_WINDOW) || this.seen.has(sequence)) return false;
    } else this.highest = sequence;
    this.seen.add(sequence);
    return true;
  }
}

class Window {
  readonly state: Uint32Array | Int32Array;
  readonly base: number;

  constructor(base = 0, state: Uint32Array | Int32Array = new Uint32Array(base + REPLAY_WORDS)) {
    this.base = base;
    this.state = state;
  }

  accept(sequence: bigint): boolean {
    return replayAccept(this.state, this.base, ...words(sequence));
  }

  check(sequence: bigint): boolean {
    return replayCheck(this.state, this.base, ...words(sequence));
  }

  above(sequence: bigint): number {
    return sequenceAbove(this.state, this.base, ...words(sequence));
  }
}

function words(sequence: bigint): [number, number] {
  return [Number(sequence >> 32n), Number(sequence & 0xffff_ffffn)];
}

/** Sequences that stay near each other, near the edges of 32 and 64 bits, with jumps in between. */
const sequences = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, U64_MAX),
      fc.bigInt({ min: 0n, max: U64_MAX }),
    ),
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constant(1n) },
        { weight: 8, arbitrary: fc.bigInt({ min: -140n, max: 140n }) },
        { weight: 1, arbitrary: fc.bigInt({ min: -(2n ** 33n), max: 2n ** 33n }) },
      ),
      { maxLength: 300 },
    ),
  )
  .map(([start, steps]) => {
    let at = start;
    return [start, ...steps.map((step) => (at = clamp(at + step)))];
  });

function clamp(sequence: bigint): bigint {
  if (sequence < 0n) return 0n;
  return sequence > U64_MAX ? U64_MAX : sequence;
}

test('any order of sequences is judged as the reference words it, over the full u64 range', () => {
  fc.assert(
    fc.property(sequences, (order) => {
      const window = new Window();
      const model = new Model();
      for (const sequence of order) {
        const free = window.check(sequence);
        const accepted = window.accept(sequence);
        assert.equal(accepted, model.accept(sequence), `sequence ${sequence}`);
        assert.equal(free, accepted, 'checking says what accepting then does');
        assert.equal(window.check(sequence), false, 'a sequence just judged is never free');
      }
    }),
    { numRuns: 500 },
  );
});

test('state in an Int32Array is judged alike', () => {
  fc.assert(
    fc.property(sequences, (order) => {
      const unsigned = new Window();
      const signed = new Window(2, new Int32Array(REPLAY_WORDS + 4).fill(-1));
      replayReset(signed.state, signed.base);
      for (const sequence of order) assert.equal(signed.accept(sequence), unsigned.accept(sequence));
      assert.deepEqual([...signed.state.slice(0, 2), ...signed.state.slice(-2)], [-1, -1, -1, -1]);
    }),
  );
});

test('words may come signed', () => {
  const window = new Window();
  assert.equal(replayAccept(window.state, 0, -1, -2), true);
  assert.equal(window.accept(U64_MAX - 1n), false);
  assert.equal(window.accept(U64_MAX), true);
});

test('fault 14: the last 128 sequences of u64 are no replays', () => {
  const window = new Window();
  for (let i = 127n; i >= 0n; i--) assert.equal(window.accept(U64_MAX - i), true, `2^64-1-${i}`);
  for (let i = 127n; i >= 0n; i--) assert.equal(window.accept(U64_MAX - i), false);
});

test('the first sequence opens the window, 0 and the greatest included', () => {
  for (const first of [0n, 1n, 2n ** 32n, U64_MAX]) {
    const window = new Window();
    assert.equal(replayStarted(window.state, 0), false);
    assert.equal(window.check(first), true);
    assert.equal(window.accept(first), true);
    assert.equal(replayStarted(window.state, 0), true);
    assert.equal(window.accept(first), false);
  }
});

test('127 below the highest is inside, 128 below outside', () => {
  for (const highest of [1000n, 2n ** 32n + 5n, U64_MAX]) {
    const window = new Window();
    window.accept(highest);
    assert.equal(window.check(highest - 128n), false);
    assert.equal(window.accept(highest - 128n), false);
    assert.equal(window.accept(highest - 127n), true);
    assert.equal(window.accept(highest - 127n), false);
  }
});

test("a jump of the window's size or more forgets all bits, a smaller one just those it passes", () => {
  for (const jump of [1n, 2n, 31n, 32n, 33n, 127n, 128n, 129n, 2n ** 40n]) {
    const window = new Window();
    for (let i = 0n; i < 128n; i++) window.accept(1000n + i);
    const highest = 1127n + jump;
    assert.equal(window.accept(highest), true);
    for (let i = 0n; i < 128n; i++) {
      const sequence = highest - i;
      const seen = sequence === highest || (sequence >= 1000n && sequence <= 1127n);
      assert.equal(window.check(sequence), !seen, `jump ${jump}, ${i} below`);
    }
  }
});

test('checking marks nothing', () => {
  const window = new Window();
  window.accept(50n);
  const before = [...window.state];
  window.check(51n);
  window.check(49n);
  window.check(U64_MAX);
  assert.deepEqual([...window.state], before);
});

test('a reset window is as new', () => {
  const window = new Window();
  window.accept(U64_MAX);
  replayReset(window.state, 0);
  assert.equal(window.accept(1n), true);
});

test('windows side by side do not touch each other', () => {
  const state = new Uint32Array(3 * REPLAY_WORDS);
  const middle = new Window(REPLAY_WORDS, state);
  fc.assert(
    fc.property(sequences, (order) => {
      for (const sequence of order) middle.accept(sequence);
      assert.ok(
        [...state.slice(0, REPLAY_WORDS), ...state.slice(2 * REPLAY_WORDS)].every((word) => word === 0),
      );
    }),
    { numRuns: 20 },
  );
});

test('how far a sequence is above the highest', () => {
  const window = new Window();
  assert.equal(window.above(5n), 0, 'nothing accepted yet');
  window.accept(2n ** 32n - 1n);
  assert.equal(window.above(2n ** 32n - 1n), 0);
  assert.equal(window.above(0n), 0);
  assert.equal(window.above(2n ** 32n), 1);
  assert.equal(window.above(2n ** 32n + 4095n), 4096);
  assert.equal(window.above(2n ** 32n + 4096n), 4097);
  assert.ok(window.above(U64_MAX) > 2 ** 53);
});

test('the distance above is right for any two sequences', () => {
  const u64 = fc.bigInt({ min: 0n, max: U64_MAX });
  fc.assert(
    fc.property(u64, fc.oneof(u64, fc.bigInt({ min: -5000n, max: 5000n })), (highest, other) => {
      const sequence = other < 5001n ? clamp(highest + other) : other;
      const window = new Window();
      window.accept(highest);
      const above = window.above(sequence);
      const exact = sequence > highest ? sequence - highest : 0n;
      if (exact <= 2n ** 53n) assert.equal(above, Number(exact));
      else assert.ok(above > 2 ** 52);
    }),
  );
});
