import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultWorkers } from '../../../relay/datapath/default-workers.ts';

function workers(files: Record<string, string>, cores: number): number {
  return defaultWorkers((path) => files[path], cores);
}

const V2 = { '/proc/self/cgroup': '0::/kubepods/pod1/c1\n' };
const V1 = { '/proc/self/cgroup': '5:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n' };

test('without a quota it is the cores, at most four', () => {
  assert.equal(workers({}, 1), 1);
  assert.equal(workers({}, 3), 3);
  assert.equal(workers({}, 64), 4);
  assert.equal(workers({ ...V2, '/sys/fs/cgroup/cpu.max': 'max 100000\n' }, 3), 3);
});

test('a quota counts, rounded down, but a worker there always is', () => {
  const quota = (text: string): Record<string, string> => ({
    ...V2,
    '/sys/fs/cgroup/kubepods/pod1/c1/cpu.max': text,
  });
  assert.equal(workers(quota('250000 100000\n'), 8), 2);
  assert.equal(workers(quota('199999 100000\n'), 8), 1);
  assert.equal(workers(quota('20000 100000\n'), 8), 1);
  assert.equal(workers(quota('400000 50000\n'), 8), 4);
  assert.equal(workers(quota('300000 100000\n'), 2), 2);
});

test('a parent group’s quota binds as well', () => {
  assert.equal(
    workers(
      {
        ...V2,
        '/sys/fs/cgroup/kubepods/pod1/c1/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/kubepods/cpu.max': '200000 100000\n',
      },
      8,
    ),
    2,
  );
});

test('in a container the path may be the host’s, with only the root mounted', () => {
  assert.equal(workers({ ...V2, '/sys/fs/cgroup/cpu.max': '200000 100000\n' }, 8), 2);
});

test('cgroup v1', () => {
  const v1 = (quota: string): Record<string, string> => ({
    ...V1,
    '/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us': quota,
    '/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us': '100000\n',
  });
  assert.equal(workers(v1('-1\n'), 3), 3);
  assert.equal(workers(v1('150000\n'), 3), 1);
  assert.equal(workers(v1('300000\n'), 8), 3);
});

test('unreadable and nonsensical numbers are no quota', () => {
  for (const text of ['', 'x y', '0 0', '-5 100000', '100000']) {
    assert.equal(workers({ ...V2, '/sys/fs/cgroup/cpu.max': text }, 2), 2, text);
  }
});

test('this machine gives some', () => {
  assert.ok(defaultWorkers() >= 1 && defaultWorkers() <= 4);
});
