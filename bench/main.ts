import process from 'node:process';

import { BenchError } from './bench-error.ts';
import { DATAPATH_HELP, parseDatapathOptions } from './datapath/options.ts';
import { runDatapath } from './datapath/run.ts';
import { OPERATOR_HELP, parseOperatorOptions } from './operator/options.ts';
import { runOperatorBench } from './operator/run.ts';

const HELP = `Measures WavryRelay, where others do the same against them, as ratios of one run.

Usage: npm run bench -- <what> [flags]

  datapath    the relay's packet path against C and node:dgram
  operator    the operator with a thousand WavryRelays on a real control plane

npm run bench -- <what> --help lists the flags.
`;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}

async function main([what, ...rest]: readonly string[]): Promise<number> {
  if (what === undefined || what === '--help' || what === '-h') {
    process.stdout.write(HELP);
    return what === undefined ? 64 : 0;
  }
  if (what === 'operator') {
    const options = parseOperatorOptions(rest);
    if (options !== 'help') return await runOperatorBench(options);
    process.stdout.write(OPERATOR_HELP);
    return 0;
  }
  if (what !== 'datapath') {
    throw new BenchError(`bench: nothing called '${what}' is measured here, only: datapath, operator`, 64);
  }
  const options = parseDatapathOptions(rest);
  if (options === 'help') {
    process.stdout.write(DATAPATH_HELP);
    return 0;
  }
  return await runDatapath(options);
}
