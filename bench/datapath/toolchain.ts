import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

import { BenchError } from '../bench-error.ts';

const PROGRAMS = ['reference-relay', 'traffic', 'present', 'spoof', 'turn'] as const;
type ProgramName = (typeof PROGRAMS)[number];

export interface Toolchain {
  /** Path of each compiled program. */
  readonly programs: Readonly<Record<ProgramName, string>>;
  /** First line of the compiler's `--version`. */
  readonly compiler: string;
}

const run = promisify(execFile);
const SOURCES = join(import.meta.dirname, '..', 'c');

/** Compiles bench/c/ into `directory`. Throws a {@link BenchError} when there is no compiler or it refuses. */
export async function compile(directory: string): Promise<Toolchain> {
  const compiler = process.env['CC'] ?? 'cc';
  const version = await versionOf(compiler);
  mkdirSync(directory, { recursive: true });
  const entries = await Promise.all(
    PROGRAMS.map(async (name) => {
      const output = join(directory, name);
      try {
        await run(compiler, [
          '-O2',
          '-Wall',
          '-Wextra',
          '-o',
          output,
          join(SOURCES, `${name}.c`),
          '-pthread',
        ]);
      } catch (error) {
        const { stderr } = error as { stderr?: string };
        throw new BenchError(
          `bench: ${compiler} can't compile bench/c/${name}.c:\n${stderr ?? String(error)}`,
        );
      }
      return [name, output] as const;
    }),
  );
  return { programs: Object.fromEntries(entries) as Record<ProgramName, string>, compiler: version };
}

async function versionOf(compiler: string): Promise<string> {
  try {
    const { stdout } = await run(compiler, ['--version']);
    return stdout.split('\n')[0]!;
  } catch {
    throw new BenchError(
      `bench: no C compiler ('${compiler}' does not run). The relay is compared with C programs that are compiled on ` +
        `the spot: install one (Debian: apt-get install gcc libc6-dev) or name it in CC.`,
    );
  }
}
