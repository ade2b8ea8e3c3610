import assert from 'node:assert/strict';
import { test } from 'node:test';

import { splitCores } from '../../bench/datapath/machine.ts';
import type { ThreadTime } from '../../bench/datapath/process-stats.ts';
import { allowedCores, cpuUse, machineJiffies } from '../../bench/datapath/process-stats.ts';

test('only the busiest threads are packet threads; the process counts all', () => {
  const time = (onCpu: number, waiting: number): ThreadTime => ({ onCpu, waiting });
  const before = new Map([
    ['1', time(1000, 1)],
    ['2', time(5000, 10)],
    ['3', time(0, 0)],
  ]);
  const after = new Map([
    ['1', time(1100, 3)],
    ['2', time(6000, 50)],
    ['3', time(0, 0)],
    ['4', time(10, 7)],
  ]);
  assert.deepEqual(cpuUse(before, after, 1), { threadNs: 1000, processNs: 1110, waitedNs: 40 });
  assert.deepEqual(cpuUse(before, after, 2), { threadNs: 1100, processNs: 1110, waitedNs: 42 });
  assert.deepEqual(cpuUse(before, after, Infinity), { threadNs: 1110, processNs: 1110, waitedNs: 49 });
});

test('the list of allowed cores is read in all its forms', () => {
  const list = (text: string): number[] => allowedCores(`Name:\tx\nCpus_allowed_list:\t${text}\nMems:\t0\n`);
  assert.deepEqual(list('0'), [0]);
  assert.deepEqual(list('0-2,5'), [0, 1, 2, 5]);
});

test('idle time includes waiting for disks, the total everything but the guests', () => {
  assert.deepEqual(machineJiffies('cpu  1 2 3 40 5 6 7 8 9 10\ncpu0 1 1 1 1\n'), { idle: 45, total: 72 });
});

test('the generator has a core of its own where there are two, the second worker where there are three', () => {
  assert.deepEqual(splitCores([0]), { all: [0], oneWorker: [0], twoWorkers: [0], generator: [0] });
  assert.deepEqual(splitCores([2, 3]), { all: [2, 3], oneWorker: [2], twoWorkers: [2], generator: [3] });
  const three = splitCores([0, 1, 2]);
  assert.deepEqual([three.twoWorkers, three.generator], [[0, 1], [2]]);
  const eight = splitCores([0, 1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(
    [eight.twoWorkers, eight.generator],
    [
      [0, 1],
      [2, 3],
    ],
  );
});
