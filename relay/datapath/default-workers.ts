import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

const MAX_WORKERS = 4;
const CGROUP_ROOT = '/sys/fs/cgroup';

/** How many workers this machine and its cgroup can feed: granted cores, rounded down, 1 to 4 (design-relay 1). */
export function defaultWorkers(
  read: (path: string) => string | undefined = readText,
  cores: number = availableParallelism(),
): number {
  const granted = Math.min(cores, cgroupCores(read));
  return Math.max(1, Math.min(MAX_WORKERS, Math.floor(granted)));
}

/**
 * CPU quota over period of the process's cgroup and each of its parents, the smallest of them; Infinity without a quota.
 * libuv's own reading of it rounds up, which would let two workers fight over one and a half cores.
 */
function cgroupCores(read: (path: string) => string | undefined): number {
  let smallest = Infinity;
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = line.split(':', 3);
    if (path === undefined) continue;
    if (controllers === '') {
      for (const folder of upwards(path)) {
        smallest = Math.min(smallest, quotaV2(read(join(CGROUP_ROOT, folder, 'cpu.max'))));
      }
    } else if (controllers!.split(',').includes('cpu')) {
      for (const folder of upwards(path)) {
        const base = join(CGROUP_ROOT, 'cpu', folder);
        smallest = Math.min(
          smallest,
          quotaV1(read(join(base, 'cpu.cfs_quota_us')), read(join(base, 'cpu.cfs_period_us'))),
        );
      }
    }
  }
  return smallest;
}

/** The path itself, its parents and `/`: inside a container the path may be the host's, with only the root mounted. */
function upwards(path: string): string[] {
  const folders = [path];
  for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) folders.push(dirname(at));
  return folders;
}

/** `cpu.max`: "max 100000" or "150000 100000" (microseconds of quota and period). */
function quotaV2(text: string | undefined): number {
  const [quota, period] = (text ?? '').trim().split(' ').map(Number);
  return ratio(quota, period);
}

/** `cpu.cfs_quota_us` is -1 without a quota. */
function quotaV1(quota: string | undefined, period: string | undefined): number {
  return ratio(Number(quota), Number(period));
}

function ratio(quota: number | undefined, period: number | undefined): number {
  if (quota === undefined || period === undefined || !(quota > 0) || !(period > 0)) return Infinity;
  return quota / period;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
