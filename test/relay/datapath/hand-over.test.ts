import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ADDRESS_WORDS } from '../../../relay/protocol/address.ts';
import { HandOver, Pushed } from '../../../relay/datapath/hand-over.ts';
import { loadLibc } from '../../../relay/datapath/libc.ts';
import { NativeBlock } from '../../../relay/datapath/native-block.ts';

const libc = loadLibc();
const SLOTS = 256;

function pair(workers: number, from: number, to: number): { producer: HandOver; consumer: HandOver } {
  const rings = HandOver.allocate(workers);
  return {
    producer: new HandOver(libc, rings, from, workers),
    consumer: new HandOver(libc, rings, to, workers),
  };
}

/** A datagram whose bytes and source all tell its number. */
function put(producer: HandOver, to: number, number: number): Pushed {
  const length = 20 + (number % 1481);
  const block = new NativeBlock(1500);
  block.bytes.fill(number & 0xff, 0, length);
  const source = new Int32Array(ADDRESS_WORDS).fill(number);
  return producer.push(to, block.address, length, source, 0);
}

function checkFirst(consumer: HandOver, from: number, n: number, number: number): void {
  const length = consumer.length(from, n);
  assert.equal(length, 20 + (number % 1481));
  const offset = consumer.offset(from, n);
  const bytes = consumer.bytes.subarray(offset, offset + length);
  assert.ok(bytes.every((byte) => byte === (number & 0xff)));
  const source = new Int32Array(ADDRESS_WORDS);
  consumer.source(from, n, source, 0);
  assert.ok(source.every((word) => word === number));
}

test('what goes in comes out, in order, whatever the interleaving; a full ring takes no more', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -300, max: 300 }), { maxLength: 60 }), (steps) => {
      const { producer, consumer } = pair(3, 2, 1);
      let next = 0;
      let first = 0;
      for (const step of steps) {
        for (let i = 0; i < step; i++) {
          const waiting = next - first;
          const expected = waiting === SLOTS ? Pushed.Full : waiting === 0 ? Pushed.First : Pushed.Behind;
          assert.equal(put(producer, 1, next), expected);
          if (expected !== Pushed.Full) next++;
        }
        assert.equal(consumer.waiting(2), next - first);
        const take = Math.min(-step, next - first);
        for (let n = 0; n < take; n++) checkFirst(consumer, 2, n, first + n);
        if (take > 0) {
          consumer.release(2, take);
          first += take;
        }
      }
    }),
    { numRuns: 20 },
  );
});

test('rings of other pairs are not touched', () => {
  const rings = HandOver.allocate(3);
  const at = [0, 1, 2].map((worker) => new HandOver(libc, rings, worker, 3));
  put(at[0]!, 1, 7);
  for (const consumer of at) {
    for (let from = 0; from < 3; from++) {
      assert.equal(consumer.waiting(from), consumer.worker === 1 && from === 0 ? 1 : 0);
    }
  }
});

test('positions wrap around 32 bits', () => {
  const { producer, consumer } = pair(2, 0, 1);
  const ints = new Int32Array(consumer.bytes.buffer);
  // Head and tail of ring 0 → 1, 128 bytes apart at the start of the second ring.
  const ring = (256 + SLOTS * 1536) / 4;
  ints[ring] = 2 ** 31 - 3;
  ints[ring + 32] = 2 ** 31 - 3;
  for (let number = 0; number < SLOTS; number++) assert.notEqual(put(producer, 1, number), Pushed.Full);
  assert.equal(put(producer, 1, 0), Pushed.Full);
  assert.equal(consumer.waiting(0), SLOTS);
  for (let n = 0; n < SLOTS; n++) checkFirst(consumer, 0, n, n);
});

test('a datagram that no slot holds is an error, not a corruption', () => {
  const { producer } = pair(2, 0, 1);
  const block = new NativeBlock(2000);
  assert.throws(() => producer.push(1, block.address, 1501, new Int32Array(ADDRESS_WORDS), 0), RangeError);
});
