import process from 'node:process';

import { run } from './programs.ts';

/**
 * `npm run audit`: what the registry knows of holes in the packages of the images; exit code 1 when there are any. A registry
 * that can't tell is no failure, but no clean bill either.
 */
const answer = await run('npm', [
  'audit',
  '--omit=dev',
  '--json',
  '--silent',
  '--workspace=relay',
  '--workspace=operator',
]).catch((error: Error) => error.message);

const total = /"vulnerabilities":\s*\{[^{}]*"total":\s*(\d+)/.exec(answer)?.[1];
if (total === undefined)
  console.error('NOT AUDITED: the registry answers no "npm audit"; nothing is known of vulnerabilities');
else
  console.log(
    `${total} known vulnerabilities in the packages of the images${total === '0' ? '' : ': see "npm audit"'}`,
  );
if (total !== undefined && total !== '0') process.exitCode = 1;
