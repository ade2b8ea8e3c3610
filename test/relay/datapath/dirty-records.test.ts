import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { DirtyRecords, DirtyRecordsReader } from '../../../relay/datapath/dirty-records.ts';
import { RECORD_BYTES } from '../../../relay/session/record.ts';

test('the reader ends up with what the slots hold, in any order of changes, removals and reads', () => {
  const step = fc.record({
    what: fc.constantFrom('dirty', 'removed', 'publish', 'take'),
    slot: fc.integer({ min: 0, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const buffer = DirtyRecordsReader.allocate(2, 5);
      const held: (number | undefined)[] = Array.from({ length: 5 });
      const seen: (number | undefined)[] = Array.from({ length: 5 });
      const records = new DirtyRecords(buffer, 1, 5, (slot, out, offset) => {
        const version = held[slot];
        if (version === undefined) return false;
        out.fill(version & 0xff, offset, offset + RECORD_BYTES);
        return true;
      });
      const reader = new DirtyRecordsReader(buffer, 2, 5);
      const take = (): void => {
        reader.take((worker, slot, record) => {
          assert.equal(worker, 1);
          if (record) assert.ok(record.every((byte) => byte === record[0]));
          seen[slot] = record?.[0];
        });
      };
      for (const [version, { what, slot }] of steps.entries()) {
        if (what === 'dirty') {
          held[slot] = version & 0xff;
          records.dirty(slot);
        } else if (what === 'removed') {
          held[slot] = undefined;
          records.removed(slot);
        } else if (what === 'publish') records.publish(0);
        else take();
      }
      records.publish(0);
      take();
      assert.deepEqual(seen, held);
      assert.equal(
        reader.take(() => {}),
        0,
        'nothing is told twice',
      );
    }),
  );
});

test('a slot that changes a thousand times between two reads is told once, and a full table fits', () => {
  const capacity = 1000;
  const buffer = DirtyRecordsReader.allocate(1, capacity);
  const records = new DirtyRecords(buffer, 0, capacity, () => true);
  const reader = new DirtyRecordsReader(buffer, 1, capacity);
  for (let round = 0; round < 5; round++) {
    for (let slot = 0; slot < capacity; slot++) {
      for (let i = 0; i < 3; i++) records.dirty(slot);
      records.publish(0);
      records.dirty(slot);
    }
    records.publish(0);
    const slots = new Set<number>();
    assert.equal(
      reader.take((_, slot) => slots.add(slot)),
      capacity,
    );
    assert.equal(slots.size, capacity);
  }
});

test('no record is torn when a worker writes while the main thread reads', async () => {
  const capacity = 8;
  const rounds = 20_000;
  const buffer = DirtyRecordsReader.allocate(1, capacity);
  const thread = new Worker(new URL('dirty-records-writer.ts', import.meta.url), {
    workerData: { buffer, capacity, rounds },
  });
  const ended = new Promise<number>((resolve) => thread.once('exit', resolve));
  const reader = new DirtyRecordsReader(buffer, 1, capacity);
  const last = new Map<number, number>();
  let running = true;
  void ended.then(() => (running = false));
  const take = (): void => {
    reader.take((_, slot, record) => {
      const words = new Uint32Array(record!.slice().buffer);
      assert.ok(
        words.every((word) => word === words[0]),
        `a torn record: ${words.join(' ')}`,
      );
      assert.ok(words[0]! >= (last.get(slot) ?? 0), 'time runs backwards');
      last.set(slot, words[0]!);
    });
  };
  while (running) {
    take();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  take();
  assert.equal(await ended, 0);
  assert.deepEqual(
    [...last.values()],
    Array.from({ length: capacity }, () => rounds),
  );
});
