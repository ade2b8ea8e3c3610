import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';

import { BenchError } from '../../bench/bench-error.ts';
import { parseDatapathOptions } from '../../bench/datapath/options.ts';

const ROOT = join(import.meta.dirname, '..', '..');

test('without flags everything is measured, five pairs of each', () => {
  assert.deepEqual(parseDatapathOptions([]), {
    quick: false,
    json: false,
    publish: false,
    pairs: 5,
    only: ['cpu', 'saturation', 'memory', 'flood'],
    resultsDir: undefined,
  });
});

test('sections may be repeated or listed, and run in their own order', () => {
  const options = parseDatapathOptions(['--only', 'flood,cpu', '--only', 'memory', '--pairs', '7', '--json']);
  assert.notEqual(options, 'help');
  assert.deepEqual(options !== 'help' && [options.only, options.pairs, options.json], [
    ['cpu', 'memory', 'flood'],
    7,
    true,
  ]);
});

for (const [args, complaint] of [
  [['--fast'], /Unknown option '--fast'/],
  [['cpu'], /Unexpected argument 'cpu'/],
  [['--only', 'gpu'], /--only gpu: not one of cpu, saturation, memory, flood/],
  [['--pairs', '0'], /--pairs 0: not a number from 1 to 99/],
  [['--pairs', 'five'], /--pairs five/],
  [['--pairs'], /--pairs/],
  [['--quick', '--publish'], /--publish makes no sense with --quick/],
] as const) {
  test(`${args.join(' ')} is wrong usage`, () => {
    assert.throws(
      () => parseDatapathOptions(args),
      (error) => error instanceof BenchError && error.exitCode === 64 && complaint.test(error.message),
    );
  });
}

for (const [args, code, text] of [
  [['--help'], 0, /Usage: npm run bench -- <what>/],
  [['datapath', '--help'], 0, /--only SECTION/],
  [[], 64, /Usage/],
  [['relay'], 64, /nothing called 'relay'/],
  [['datapath', '--frobnicate'], 64, /Unknown option '--frobnicate'/],
] as const) {
  test(`bench ${args.join(' ')} exits ${code}`, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['bench/main.ts', ...args], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(status, code, stderr);
    assert.match(stdout + stderr, text);
  });
}
