import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { suite, test } from 'node:test';

suite('npm run e2e', () => {
  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { encoding: 'utf8' });

  test('says which runs there are, and what they take', () => {
    for (const args of [['--help'], ['-h'], ['faults', '--help']]) {
      const { status, stdout } = run(...args);
      assert.equal(status, 0);
      assert.match(stdout, /^ {2}faults {2,}\S.*\n {4}--kills N .*\[50\]$/m);
    }
    const { status, stderr } = run();
    assert.equal(status, 64);
    assert.match(stderr, /npm run e2e -- NAME/);
  });

  test('refuses what it does not know', () => {
    for (const [args, message] of [
      [['storms'], /^e2e: there is no run called 'storms', only: .*faults/],
      [['constructor'], /^e2e: there is no run called 'constructor'/],
      [['faults', '--kill', '5'], /^e2e faults: .*--kill.*see --help/],
      [['faults', '--kills', 'many'], /^e2e faults: --kills: "many".*see --help/],
      [['faults', '--kills'], /^e2e faults: .*--kills.*see --help/],
    ] as const) {
      const { status, stderr } = run(...args);
      assert.equal(status, 64);
      assert.match(stderr, message);
    }
  });
});
