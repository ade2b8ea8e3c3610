import { readFileSync, readdirSync } from 'node:fs';

/** CPU nanoseconds of each thread so far, by thread id. */
export function threadCpuNs(pid: number): Map<string, number> {
  const threads = new Map<string, number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const text = readText(`/proc/${pid}/task/${tid}/schedstat`);
    // The first number: time on the CPU in ns (kernel Documentation/scheduler/sched-stats).
    if (text !== undefined) threads.set(tid, Number(text.split(' ')[0]));
  }
  return threads;
}

export interface CpuUse {
  /** Nanoseconds of the `packetThreads` busiest threads. */
  readonly threadNs: number;
  readonly processNs: number;
}

/** What the process used between two readings. A thread that ended in between is not counted. */
export function cpuUse(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  packetThreads: number,
): CpuUse {
  const used = [...after].map(([tid, ns]) => ns - (before.get(tid) ?? 0)).toSorted((a, b) => b - a);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return { threadNs: sum(used.slice(0, packetThreads)), processNs: sum(used) };
}

/** Resident bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match![1]) * 1024;
}

/** The cores this process may use, from `Cpus_allowed_list` ("0-1,4"). */
export function allowedCores(status: string = readFileSync('/proc/self/status', 'utf8')): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number) as [number, number?];
    return Array.from({ length: (last ?? first) - first + 1 }, (_, i) => first + i);
  });
}

/** Jiffies all cores were idle and in total so far, from the first line of /proc/stat (proc_stat(5)). */
export function machineJiffies(stat: string = readFileSync('/proc/stat', 'utf8')): {
  readonly idle: number;
  readonly total: number;
} {
  // user nice system idle iowait irq softirq steal; guest times are inside of user's.
  const fields = stat.split('\n')[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  return { idle: fields[3]! + fields[4]!, total: fields.reduce((sum, value) => sum + value, 0) };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // the thread has ended meanwhile
  }
}
