import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { parseArgs } from 'node:util';

import type { Failure, Target } from './target.ts';
import { TARGETS } from './targets.ts';

const HELP = `Usage: npm run fuzz -- [--seconds N] [--seed S] [--only NAME]

Feeds the relay what nobody should send it. A failure is shrunk, printed with the seed that makes it again, and ends in exit code 1.

  --seconds N   for all targets together (default 60)
  --seed S      where to start, 0 to 4294967295 (default: any)
  --only NAME   one target, with all of the time

Targets:
${TARGETS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}
`;
const EXIT_FAILED = 1;
/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;

process.exit(await main());

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'string') {
    process.stderr.write(`fuzz: ${options}\n`);
    return EXIT_USAGE;
  }
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { seconds, seed, targets } = options;
  say(`seed ${seed}, ${seconds} s`);
  const shares = targets.reduce((sum, { weight = 1 }) => sum + weight, 0);
  let failures = 0;
  for (const target of targets) {
    if (!(await fuzz(target, seed, (seconds * 1000 * (target.weight ?? 1)) / shares))) failures++;
  }
  say(failures === 0 ? 'nothing found' : `${failures} of ${targets.length} targets failed`);
  return failures === 0 ? 0 : EXIT_FAILED;
}

/** Batch after batch with seeds that count up; whether nothing was found. */
async function fuzz(target: Target, firstSeed: number, forMs: number): Promise<boolean> {
  const running = await target.start();
  let iterations = 0;
  let found: { seed: number; failure: Failure } | undefined;
  const startedMs = performance.now();
  let elapsedMs = 0;
  try {
    for (let seed = firstSeed; !found && (iterations === 0 || elapsedMs < forMs); seed = (seed + 1) >>> 0) {
      const { iterations: more, failure } = await running.batch(seed);
      iterations += more;
      elapsedMs = performance.now() - startedMs;
      if (failure) found = { seed, failure };
    }
  } finally {
    await running.stop?.();
  }
  const rate = Math.round((iterations / elapsedMs) * 1000);
  say(
    `${target.name.padEnd(16)} ${number(iterations).padStart(12)} inputs ${number(rate).padStart(10)}/s${found ? '  FAILED' : ''}`,
  );
  if (!found) return true;
  say(
    `  ${found.failure.error}\n  smallest input found: ${found.failure.input}\n  again: npm run fuzz -- --seed ${found.seed} --only ${target.name}`,
  );
  return false;
}

type Options =
  | { readonly help: true }
  | { readonly help: false; seconds: number; seed: number; targets: readonly Target[] };

/** Or what is wrong with the command line. */
function readOptions(): Options | string {
  let values: { seconds?: string; seed?: string; only?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      options: {
        seconds: { type: 'string' },
        seed: { type: 'string' },
        only: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    return `${(error as Error).message} (--help lists what there is)`;
  }
  if (values.help) return { help: true };
  const seconds = Number(values.seconds ?? 60);
  if (!(seconds > 0 && seconds <= 1e6)) return `--seconds ${values.seconds}: write a number of seconds`;
  const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    return `--seed ${values.seed}: write a whole number from 0 to 4294967295`;
  }
  const targets = TARGETS.filter(({ name }) => values.only === undefined || name === values.only);
  if (targets.length === 0) {
    return `--only ${values.only}: there is ${TARGETS.map(({ name }) => name).join(', ')}`;
  }
  return { help: false, seconds, seed, targets };
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
