import process from 'node:process';
import { parseArgs } from 'node:util';

import { Demo } from './demo.ts';
import { Stage } from './stage.ts';

/** Exit code of a command line that can't be followed (EX_USAGE of sysexits.h). */
const EXIT_USAGE = 64;

const HELP = `Usage: npm run demo:relay -- [options]

Starts a development Master, the relay and two peers on this machine, and shows live how packets go
through. Nothing is left behind when it ends.

  --seconds N   end after N seconds of traffic (default: at Ctrl-C)
  --help        this text

The relay takes 127.0.0.1:4000, its health server 9091 and Master 8080, or free ports where these
are in use.
`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let seconds: number | undefined;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { seconds: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    seconds = values.seconds === undefined ? undefined : Number(values.seconds);
    if (seconds !== undefined && !(seconds > 0 && seconds <= 1_000_000)) {
      throw new Error(`--seconds ${values.seconds}: a number above 0 is wanted`);
    }
  } catch (error) {
    console.error(`demo: ${(error as Error).message.split('\n', 1)[0]}`);
    return EXIT_USAGE;
  }
  const stage = new Stage(process.stdout);
  const demo = new Demo(stage);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => demo.stop());
  process.on('exit', () => demo.leaveNothing());
  try {
    const { code, words } = await demo.run(seconds);
    stage.close();
    for (const line of words) stage.say(line);
    return code;
  } catch (error) {
    stage.close();
    console.error(`demo: ${(error as Error).message}`);
    return 1;
  }
}
