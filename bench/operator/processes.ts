import { readdirSync, readFileSync } from 'node:fs';

/** A program below this process that is measured. */
export interface MeasuredProcess {
  readonly pid: number;
}

/** What it took so far. */
export interface Usage {
  /** Seconds of CPU, all threads, in user and in kernel mode. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly peakResidentBytes: number;
}

/** Clock ticks of /proc/PID/stat: USER_HZ is 100 on every Linux that Node runs on (proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100;

/** Processes that `ancestor` started, or that those did, whose command line has `text` in it. */
export function findProcesses(ancestor: number, text: string): MeasuredProcess[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statFields(Number(entry));
    if (fields) parents.set(Number(entry), Number(fields[1]));
  }
  const isBelow = (pid: number): boolean => {
    for (let at = parents.get(pid); at !== undefined && at > 0; at = parents.get(at))
      if (at === ancestor) return true;
    return false;
  };
  return [...parents.keys()]
    .filter((pid) => isBelow(pid) && commandLine(pid).some((word) => word.endsWith(text)))
    .map((pid) => ({ pid }));
}

/** Throws when it has ended. */
export function usageOf({ pid }: MeasuredProcess): Usage {
  const fields = statFields(pid);
  if (!fields) throw new Error(`process ${pid} has ended`);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    residentBytes: bytes('VmRSS'),
    peakResidentBytes: bytes('VmHWM'),
  };
}

/** From the third field on: the second is the name, which may hold spaces and parentheses. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** The program, what it runs, and a flag of node's between the two: not the arguments, which name other programs. */
function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 3);
  } catch {
    return [];
  }
}
