import { execFileSync } from 'node:child_process';
import process from 'node:process';

import * as fc from 'fast-check';

/**
 * Where everything that the tests draw starts from: WAVRY_SEED, else the files of the commit that is checked out, as TigerBeetle's
 * smoke tests take it. So a commit that passed passes again elsewhere, one that failed can be looked into, and the next one
 * looks in another place. 0 to 2147483647.
 */
export const SEED: number = Number(process.env['WAVRY_SEED'] ?? seedOfCommit());

if (!Number.isInteger(SEED) || SEED < 0 || SEED >= 2 ** 31) {
  throw new Error(`WAVRY_SEED=${process.env['WAVRY_SEED']}: write a whole number from 0 to 2147483647`);
}

fc.configureGlobal({ seed: SEED });

function seedOfCommit(): number {
  try {
    const tree = execFileSync('git', ['rev-parse', 'HEAD^{tree}'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(tree.slice(0, 8), 16) >>> 1;
  } catch {
    // The sources without their history, or without git.
    return 1;
  }
}
