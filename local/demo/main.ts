import process from 'node:process';

import type { CommandLine } from './command-line.ts';
import { HELP, parseCommandLine, UsageError } from './command-line.ts';
import { Stage } from './stage.ts';
import { StartDemo } from './start-demo.ts';

/** Exit code of a command line that can't be followed (EX_USAGE of sysexits.h). */
const EXIT_USAGE = 64;
/** A second Ctrl-C: 128 and the number of SIGINT. */
const EXIT_IMPATIENT = 130;
const IMPATIENT_MS = 1000;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let commandLine: CommandLine | null;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`demo: ${error.message}`);
    return EXIT_USAGE;
  }
  if (!commandLine) {
    process.stdout.write(HELP);
    return 0;
  }
  const stage = new Stage(process.stdout);
  const demo = new StartDemo(commandLine, stage);
  let askedMs = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // npm sends on what the terminal has sent already, so only a later one is a second wish.
      if (askedMs !== 0 && performance.now() - askedMs > IMPATIENT_MS) process.exit(EXIT_IMPATIENT);
      askedMs ||= performance.now();
      demo.stop();
    });
  }
  process.on('exit', () => demo.leaveNothing());
  try {
    const { code, words } = await demo.run();
    stage.close();
    for (const line of words) stage.say(line);
    return code;
  } catch (error) {
    stage.close();
    console.error(`demo: ${(error as Error).message}`);
    return 1;
  }
}
