import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { STATE, wordsAt } from '../../../relay/session/layout.ts';
import { SessionTable } from '../../../relay/session/table.ts';

function idOf(key: number): Uint8Array {
  return new Uint8Array(createHash('sha256').update(`${key}`).digest().subarray(0, 16));
}

function insert(table: SessionTable, key: number): number {
  const slot = table.insert(idOf(key), 0);
  if (slot >= 0) table.words[wordsAt(slot) + STATE] = 1;
  return slot;
}

test('the table says what a Map says, over any inserting, removing and looking up', () => {
  const step = fc.record({ key: fc.nat(40), action: fc.constantFrom('insert', 'remove', 'find') });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.array(fc.integer(), { minLength: 4, maxLength: 4 }),
      fc.integer({ min: 1, max: 24 }),
      (steps, seed, capacity) => {
        const table = new SessionTable(capacity, Uint32Array.from(seed));
        const model = new Map<number, number>();
        for (const { key, action } of steps) {
          const known = model.get(key);
          if (action === 'insert' && known === undefined) {
            const slot = insert(table, key);
            assert.equal(slot >= 0, model.size < capacity);
            if (slot >= 0) {
              assert.ok(slot < capacity);
              assert.ok(![...model.values()].includes(slot), 'a slot for two');
              model.set(key, slot);
            }
          } else if (action === 'remove' && known !== undefined) {
            table.remove(known);
            model.delete(key);
          }
          assert.equal(table.size, model.size);
          for (let other = 0; other <= 40; other++) {
            assert.equal(table.find(idOf(other), 0), model.get(other) ?? -1);
          }
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('it stays quick to look through after any number of sessions came and went', () => {
  const table = new SessionTable(64, Uint32Array.of(1, 2, 3, 4));
  for (let key = 0; key < 200_000; key++) {
    if (key >= 64) table.remove(table.find(idOf(key - 64), 0));
    assert.ok(insert(table, key) >= 0);
  }
  assert.equal(table.size, 64);
  assert.equal(table.usedSlots, 64);
  // No tombstones: as many entries are used as there are sessions, or a lookup of a stranger would never end.
  for (let key = 300_000; key < 301_000; key++) assert.equal(table.find(idOf(key), 0), -1);
});

test('ids of one home place are told apart by all of their 128 bits', () => {
  const table = new SessionTable(128, Uint32Array.of(1, 2, 3, 4));
  const id = idOf(1);
  const slots = new Set([table.insert(id, 0)]);
  for (let bit = 0; bit < 127; bit++) {
    const other = id.slice();
    other[bit >> 3] = other[bit >> 3]! ^ (1 << (bit & 7));
    assert.equal(table.find(other, 0), -1);
    slots.add(table.insert(other, 0));
  }
  assert.equal(slots.size, 128);
  assert.equal(table.insert(idOf(2), 0), -1);
});

test('a slot that is used again has nothing of the session before', () => {
  const table = new SessionTable(1, Uint32Array.of(1, 2, 3, 4));
  const slot = insert(table, 1);
  table.words.fill(-1, wordsAt(slot) + STATE, wordsAt(slot + 1));
  table.remove(slot);
  assert.equal(table.holds(slot), false);
  assert.equal(insert(table, 2), slot);
  assert.equal(table.words[wordsAt(slot) + STATE], 1);
  assert.ok(table.words.subarray(wordsAt(slot) + STATE + 1, wordsAt(slot + 1)).every((word) => word === 0));
});
