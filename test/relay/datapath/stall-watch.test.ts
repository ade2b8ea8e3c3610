import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StallWatch, STALL_TICKS } from '../../../relay/datapath/stall-watch.ts';

test('a worker is stalled once its heartbeat was the same over ten ticks, and not before', () => {
  const beats = [5, 5];
  const watch = new StallWatch({ workers: 2, heartbeat: (worker) => beats[worker]! });
  assert.deepEqual(watch.tick(), []);
  for (let tick = 1; tick < STALL_TICKS; tick++) {
    beats[0]!++;
    assert.deepEqual(watch.tick(), [], `tick ${tick}`);
  }
  beats[0]!++;
  assert.deepEqual(watch.tick(), [1]);
  beats[1]!--;
  assert.deepEqual(watch.tick(), [], 'any change is life');
});
