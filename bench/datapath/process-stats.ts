import { readFileSync, readdirSync } from 'node:fs';

/** Nanoseconds of one thread so far. */
export interface ThreadTime {
  readonly onCpu: number;
  /** Ready to run, while something else had its core. */
  readonly waiting: number;
}

/** Times of each thread, by thread id. */
export function threadTimes(pid: number): Map<string, ThreadTime> {
  const threads = new Map<string, ThreadTime>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const text = readText(`/proc/${pid}/task/${tid}/schedstat`);
    if (text === undefined) continue;
    // Time on the CPU and on the run queue, both in ns (kernel Documentation/scheduler/sched-stats).
    const [onCpu, waiting] = text.split(' ').map(Number);
    threads.set(tid, { onCpu: onCpu!, waiting: waiting! });
  }
  return threads;
}

export interface CpuUse {
  /** Nanoseconds of the `packetThreads` busiest threads. */
  readonly threadNs: number;
  readonly processNs: number;
  /** Nanoseconds that those busiest threads waited for their core. */
  readonly waitedNs: number;
}

/** What the process used between two readings. A thread that ended in between is not counted. */
export function cpuUse(
  before: ReadonlyMap<string, ThreadTime>,
  after: ReadonlyMap<string, ThreadTime>,
  packetThreads: number,
): CpuUse {
  const used = [...after]
    .map(([tid, time]) => ({
      onCpu: time.onCpu - (before.get(tid)?.onCpu ?? 0),
      waiting: time.waiting - (before.get(tid)?.waiting ?? 0),
    }))
    .toSorted((a, b) => b.onCpu - a.onCpu);
  const busiest = used.slice(0, packetThreads);
  return {
    threadNs: sum(busiest.map((time) => time.onCpu)),
    processNs: sum(used.map((time) => time.onCpu)),
    waitedNs: sum(busiest.map((time) => time.waiting)),
  };
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

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // the thread has ended meanwhile
  }
}
