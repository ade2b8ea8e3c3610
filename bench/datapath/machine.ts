import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, release } from 'node:os';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { BenchError } from '../bench-error.ts';
import { TASKSET } from './child.ts';
import { allowedCores, machineJiffies } from './process-stats.ts';
import type { MachineClass } from './results.ts';

/** Which cores do what. With fewer than three, two workers share one: said in the report. */
export interface Cores {
  readonly all: readonly number[];
  readonly oneWorker: readonly number[];
  readonly twoWorkers: readonly number[];
  readonly generator: readonly number[];
}

/** Throws a {@link BenchError} when this machine can't run the benchmark, with what is missing. */
export function checkMachine(): void {
  if (process.platform !== 'linux') {
    throw new BenchError(
      `bench datapath: needs Linux (batch system calls, /proc), this is ${process.platform}`,
    );
  }
  if (!existsSync('/proc/self/schedstat')) {
    throw new BenchError(
      'bench datapath: this kernel has no /proc/PID/schedstat to read CPU time of threads from',
    );
  }
  try {
    execFileSync(TASKSET, ['--version'], { stdio: 'ignore' });
  } catch {
    throw new BenchError(
      "bench datapath: 'taskset' is missing, it pins programs to cores (Debian: util-linux)",
    );
  }
}

export function splitCores(all: readonly number[] = allowedCores()): Cores {
  const [first, second, third, fourth] = all as [number, number?, number?, number?];
  if (second === undefined) return { all, oneWorker: [first], twoWorkers: [first], generator: [first] };
  if (third === undefined) return { all, oneWorker: [first], twoWorkers: [first], generator: [second] };
  const generator = fourth === undefined ? [third] : [third, fourth];
  return { all, oneWorker: [first], twoWorkers: [first, second], generator };
}

/** Looks at the machine for `idleMs` to see how busy others keep it. */
export async function machineClass(cores: Cores, compiler: string, idleMs: number): Promise<MachineClass> {
  const before = machineJiffies();
  await sleep(idleMs);
  const after = machineJiffies();
  return {
    cores: cores.all.length,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    kernel: `Linux ${release().split('.').slice(0, 2).join('.')} ${process.arch}`,
    node: process.version,
    compiler,
    idle: (after.idle - before.idle) / Math.max(1, after.total - before.total),
    relayCores: cores.twoWorkers.join(','),
    generatorCores: cores.generator.join(','),
  };
}
