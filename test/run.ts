import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import process from 'node:process';

import { ALL_BINARIES, BinaryUnavailableError, findBinaries } from '../local/cluster/binaries.ts';
import { SEED } from './seed.ts';

/**
 * Runs every `test/**\/*.test.ts` (or those below the folders and files named as arguments) with node:test.
 *
 * node:test exits 0 when its glob matches nothing, so the list is made here and an empty one is an error.
 */
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const options = process.argv.slice(2).filter((argument) => argument.startsWith('--'));
const files = globSync('test/**/*.test.ts')
  .filter(
    (file) => wanted.length === 0 || wanted.some((place) => file.startsWith(place.replace(/^\.\//, ''))),
  )
  .toSorted();

if (files.length === 0) {
  console.error(`no test file below ${wanted.join(' ') || 'test/'}: nothing was tested`);
  process.exit(1);
}

if (wanted.length === 0) await buildTools();

/** Two on two cores, where node:test would run one file at a time: those of the cluster wait most of their time. */
const concurrency = Math.max(2, availableParallelism() - 1);

console.log(`WAVRY_SEED=${SEED}`);
const runner = spawn(
  process.execPath,
  [
    '--test',
    `--import=${new URL('seed.ts', import.meta.url).href}`,
    // For what hangs, on the slowest machine: how long a thing takes is no test's matter.
    '--test-timeout=300000',
    '--test-reporter=spec',
    `--test-concurrency=${concurrency}`,
    ...options,
    ...files,
  ],
  { stdio: 'inherit', env: { ...process.env, WAVRY_SEED: `${SEED}` } },
);
runner.on('exit', (code, signal) => {
  if (signal) console.error(`the test runner was ended by ${signal}`);
  process.exit(code ?? 1);
});

/** What the tests of the cluster run is built before any of them begins, so that no test's time is spent on it. */
async function buildTools(): Promise<void> {
  try {
    await findBinaries(ALL_BINARIES, {
      onProgress: ({ binary, state, seconds }) => {
        if (state === 'built') console.log(`built ${binary} in ${seconds} s`);
      },
    });
  } catch (error) {
    if (!(error instanceof BinaryUnavailableError)) throw error;
    console.error(error.message);
  }
}
