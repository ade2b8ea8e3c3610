import { readFileSync } from 'node:fs';
import process from 'node:process';

import { type Config, helpText, readConfig, UsageError } from './config/config.ts';
import { createLog } from './controller/log.ts';
import { startOperator } from './controller/operator.ts';

const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// A call that hangs must not keep a process alive that no longer leads.
process.exit(await main());

async function main(): Promise<number> {
  if (process.argv[2] === 'check') {
    const { check } = await import('./check/main.ts');
    return check(process.argv.slice(3), version);
  }
  let config: Config | 'help' | 'version';
  try {
    config = readConfig(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`wavry-relay-operator: ${error.message}`);
    return 64;
  }
  if (config === 'help' || config === 'version') {
    console.log(config === 'help' ? helpText() : version);
    return 0;
  }

  const log = createLog({ level: config.logLevel, format: config.logFormat });
  try {
    const operator = await startOperator(config, log, version);
    const signal = new Promise<string>((resolve) => {
      process.once('SIGTERM', () => resolve('SIGTERM'));
      process.once('SIGINT', () => resolve('SIGINT'));
    });
    const reason = await Promise.race([signal, operator.ended]);
    const asked = reason.startsWith('SIG');
    log.log(asked ? 'info' : 'error', `stopping: ${reason}`);
    // Whoever lost the lease has nothing to finish and nothing to give up: as with client-go, the process ends at once.
    if (!asked) return 1;
    await operator.stop();
    return 0;
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}
