import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type QueueClock, systemClock, WorkQueue } from '../../../operator/kube/work-queue.ts';

/** A clock that stands still until it is told to move. */
class VirtualClock implements QueueClock {
  nowMs = 0;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  now(): number {
    return this.nowMs;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  turn(): Promise<void> {
    return Promise.resolve();
  }

  async advance(ms: number): Promise<void> {
    const end = this.nowMs + ms;
    for (;;) {
      await calm();
      const next = [...this.#timers]
        .filter((timer) => timer.atMs <= end)
        .toSorted((a, b) => a.atMs - b.atMs)[0];
      if (!next) break;
      this.nowMs = next.atMs;
      this.#timers.delete(next);
      next.run();
    }
    this.nowMs = end;
    await calm();
  }
}

test('a key that is added while it waits is worked on once', async () => {
  const worked: string[] = [];
  const queue = queueOf(new VirtualClock(), (key) => void worked.push(key), 0);
  queue.add('a');
  queue.add('a');
  await settled();
  assert.deepEqual(worked, []);
});

test('a key that is added while it is worked on is worked on once more, never twice at a time', async () => {
  let running = 0;
  let most = 0;
  let count = 0;
  const gates: (() => void)[] = [];
  const queue = new WorkQueue({
    clock: new VirtualClock(),
    workers: 4,
    onError: () => assert.fail('nothing fails here'),
    work: async () => {
      running += 1;
      count += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => gates.push(resolve));
      running -= 1;
    },
  });
  queue.add('a');
  await settled();
  queue.add('a');
  queue.add('a');
  await settled();
  assert.equal(count, 1);
  gates.shift()!();
  await settled();
  assert.equal(count, 2);
  gates.shift()!();
  await settled();
  assert.deepEqual([count, most], [2, 1]);
});

test('failures back off from 5 ms to 1000 s, and a success starts over', async () => {
  const clock = new VirtualClock();
  const at: number[] = [];
  let failing = true;
  const queue = queueOf(clock, () => {
    at.push(clock.now());
    if (failing) throw new Error('refused');
  });
  queue.add('a');
  await clock.advance(80);
  assert.deepEqual(at, [0, 5, 15, 35, 75]);
  await clock.advance(10_000_000);
  const gaps = at.slice(1).map((time, index) => time - at[index]!);
  assert.equal(Math.max(...gaps), 1_000_000);
  failing = false;
  await clock.advance(1_000_000);
  failing = true;
  at.length = 0;
  queue.add('a');
  await clock.advance(12);
  assert.equal(at.length, 2, 'the back-off started over');
});

test('the earliest of several delays counts', async () => {
  const clock = new VirtualClock();
  const at: number[] = [];
  const queue = queueOf(clock, () => void at.push(clock.now()));
  queue.addAt('a', 500);
  queue.addAt('a', 100);
  queue.addAt('a', 900);
  await clock.advance(2000);
  assert.deepEqual(at, [100]);
});

test('the clock of the machine doesn’t go back when its time of day is set back', (t) => {
  const beforeMs = systemClock.now();
  const hourAgoMs = Date.now() - 3_600_000;
  t.mock.method(Date, 'now', () => hourAgoMs);
  assert.ok(systemClock.now() >= beforeMs);
});

test('keys that find nothing to do let timers and answers in between', async () => {
  let worked = 0;
  const done = Promise.withResolvers<void>();
  const queue = new WorkQueue({
    clock: Object.assign(new VirtualClock(), { turn: settled }),
    workers: 4,
    onError: () => undefined,
    work: async () => {
      worked += 1;
      if (worked === 1000) done.resolve();
    },
  });
  let workedBefore: number | undefined;
  setTimeout(() => (workedBefore ??= worked), 1);
  for (let key = 0; key < 1000; key += 1) queue.add(String(key));
  const until = performance.now() + 2;
  while (performance.now() < until);
  await done.promise;
  assert.ok((workedBefore ?? worked) < 100, `a timer that was due waited for ${workedBefore ?? worked} keys`);
});

test('a stopped queue works on nothing more', async () => {
  const clock = new VirtualClock();
  const at: number[] = [];
  const queue = queueOf(clock, () => void at.push(clock.now()));
  queue.addAt('a', 100);
  await queue.stop();
  queue.add('b');
  await clock.advance(1000);
  assert.deepEqual(at, []);
});

function queueOf(clock: VirtualClock, work: (key: string) => void, workers = 1): WorkQueue {
  return new WorkQueue({
    clock,
    workers,
    onError: () => undefined,
    work: async (key) => {
      await settled();
      work(key);
    },
  });
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Long enough for everything that was begun to come to rest. */
async function calm(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await settled();
}
