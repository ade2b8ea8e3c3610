import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LeaseQueue } from '../../../relay/pipeline/lease-queue.ts';

interface Waiting {
  readonly tag: number;
  readonly length: number;
}

function push(queue: LeaseQueue, { tag, length }: Waiting, known: boolean): boolean {
  const bytes = new Uint8Array(length + 3).fill(tag);
  const source = Int32Array.of(0, 0, 0, 0, 0xffff, tag, 4000, 0);
  return queue.push(bytes, 3, length, source, 2, known);
}

test('the queue hands out what was pushed, in order within each kind, the kinds by turns', () => {
  const step = fc.oneof(
    fc.record({ push: fc.boolean(), tag: fc.nat(255), length: fc.integer({ min: 23, max: 1500 }) }),
    fc.constant('shift' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 9 }), (steps, capacity) => {
      const queue = new LeaseQueue(capacity);
      const known: Waiting[] = [];
      const strangers: Waiting[] = [];
      let strangersNext = false;
      let held = 0;
      for (const one of steps) {
        if (one === 'shift') {
          held = 0;
          const fromStrangers: boolean = known.length === 0 || (strangersNext && strangers.length > 0);
          const expected: Waiting | undefined = (fromStrangers ? strangers : known).shift();
          assert.equal(queue.shift(), expected !== undefined);
          if (!expected) continue;
          held = 1;
          strangersNext = !fromStrangers;
          assert.equal(queue.length, expected.length);
          const bytes = queue.bytes.subarray(queue.offset, queue.offset + queue.length);
          assert.ok(bytes.every((byte) => byte === expected.tag));
          const source = queue.sources.subarray(queue.sourceBase, queue.sourceBase + 6);
          assert.deepEqual([...source], [0, 0, 0xffff, expected.tag, 4000, 0]);
        } else {
          const room = known.length + strangers.length + held < capacity;
          const allowed = one.push || strangers.length < Math.max(1, capacity >> 1);
          assert.equal(push(queue, one, one.push), room && allowed);
          if (room && allowed) (one.push ? known : strangers).push(one);
        }
        assert.equal(queue.size, known.length + strangers.length);
      }
    }),
  );
});

test('flood: invented ids fill half of the queue at most; second peers still find a place and are served by turns', () => {
  const queue = new LeaseQueue(2048);
  let accepted = 0;
  for (let i = 0; i < 50_000; i++) if (push(queue, { tag: 1, length: 700 }, false)) accepted++;
  assert.equal(accepted, 1024);
  for (let i = 0; i < 1024; i++) assert.ok(push(queue, { tag: 2, length: 700 }, true));
  assert.equal(push(queue, { tag: 2, length: 700 }, true), false);
  const served = [0, 0, 0];
  for (let i = 0; i < 100; i++) {
    assert.ok(queue.shift());
    const tag = queue.bytes[queue.offset]!;
    served[tag] = served[tag]! + 1;
  }
  assert.deepEqual(served, [0, 50, 50]);
});
