import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { BenchError } from '../bench-error.ts';

/** `--name value` for each entry. */
export function flagList(flags: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

/** A program pinned to cores. `taskset` replaces itself by it, so the pid is the program's own. */
export interface Child {
  readonly pid: number;
  readonly name: string;
  /** The last lines of both its outputs, for error messages. */
  readonly tail: () => string;
  readonly ended: () => boolean;
  /** Resolves with true when `text` was printed on stdout, false when the program ended without. */
  readonly printed: (text: string) => Promise<boolean>;
  /** SIGTERM, again after a moment, SIGKILL when that does not help; resolves when it is gone. */
  readonly stop: () => Promise<void>;
}

/** Of util-linux and of busybox: a system program, no package. */
export const TASKSET = 'taskset';
const TAIL_BYTES = 4000;
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startPinned(
  name: string,
  cores: readonly number[],
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Child {
  const child = spawn(TASKSET, ['-c', cores.join(','), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  running.add(child);
  let output = '';
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => {
      running.delete(child);
      resolve();
    });
    child.once('error', (error) => {
      output += error.message;
      running.delete(child);
      resolve();
    });
  });
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-TAIL_BYTES);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return {
    pid: child.pid ?? -1,
    name,
    tail: () => output.trim(),
    ended: () => !running.has(child),
    printed: async (text) => {
      while (!output.includes(text)) {
        const more = await Promise.race([
          once(child.stdout, 'data').then(() => true),
          gone.then(() => false),
        ]);
        if (!more) return output.includes(text);
      }
      return true;
    },
    stop: async () => {
      for (const wait of [300, 2000]) {
        if (!running.has(child)) return;
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(wait, undefined, { ref: false })]);
      }
      if (running.has(child)) child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Runs a program of bench/c to its end and reads the JSON object that it prints. */
export async function runPinned<Report>(
  name: string,
  cores: readonly number[],
  command: string,
  args: readonly string[],
): Promise<Report> {
  const child = spawn(TASKSET, ['-c', cores.join(','), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close').finally(() => running.delete(child))) as [number | null];
  if (code !== 0) {
    throw new BenchError(
      `bench: ${name} failed: ${stderr.trim() || `exit code ${code}`}${stdout && `\n${stdout.trim()}`}`,
    );
  }
  return JSON.parse(stdout) as Report;
}
