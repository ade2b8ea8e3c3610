import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import process from 'node:process';

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

const runner = spawn(
  process.execPath,
  ['--test', '--test-timeout=120000', '--test-reporter=spec', ...options, ...files],
  { stdio: 'inherit' },
);
runner.on('exit', (code, signal) => {
  if (signal) console.error(`the test runner was ended by ${signal}`);
  process.exit(code ?? 1);
});
