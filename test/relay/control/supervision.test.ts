import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Supervision } from '../../../relay/control/supervision.ts';
import { VirtualClock } from './virtual-clock.ts';

test('a worker that died or stands still is a problem, said once', async () => {
  for (const how of ['dies', 'stalls'] as const) {
    const clock = new VirtualClock();
    const problems: string[] = [];
    let die = (_reason: string): void => {};
    let stalled: number[] = [];
    const supervision = new Supervision(
      { stalledWorkers: () => stalled, onFatal: (listener) => (die = listener) },
      clock,
      (problem) => problems.push(problem),
    );
    await clock.advance(60_000);
    assert.equal(supervision.problem, undefined);
    if (how === 'dies') die('packet worker 1 died: boom');
    else stalled = [1];
    await clock.advance(5000);
    assert.equal(problems.length, 1);
    assert.match(supervision.problem!, /packet worker 1/);
    supervision.stop();
    assert.equal(clock.pending, 0);
  }
});
