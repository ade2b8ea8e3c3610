import process from 'node:process';

import { HELP, UsageError, parseCommandLine } from './command-line.ts';
import { startDevMaster } from './server.ts';

/** Exit code of a command line that can't be followed (EX_USAGE of sysexits.h). */
const EXIT_USAGE = 64;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options;
  try {
    options = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`dev-master: ${error.message}`);
    return EXIT_USAGE;
  }
  if (!options) {
    process.stdout.write(HELP);
    return 0;
  }
  let master;
  try {
    master = await startDevMaster({ ...options, log: (line) => console.log(line) });
  } catch (error) {
    console.error(`dev-master: ${explain(error as NodeJS.ErrnoException, options.listen)}`);
    return 1;
  }
  console.log(`development Master on ${master.url}`);
  console.log(`  key ${master.keyId}, for relays: --master-public-key ${master.publicKeyHex}`);
  await new Promise<void>((stop) => {
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  });
  await master.close();
  return 0;
}

function explain(error: NodeJS.ErrnoException, listen = ''): string {
  if (error.code === 'EADDRINUSE') return `${listen} is in use: another --listen, or stop what listens there`;
  return error.message;
}
