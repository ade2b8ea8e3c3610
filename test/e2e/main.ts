import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;

/** An end-to-end test whose long form is run by name; `npm test` runs its short form. */
interface Run {
  readonly about: string;
  /** Below test/e2e/. */
  readonly files: readonly string[];
  /** Seconds that the longest of its tests may take. */
  readonly timeout: number;
  readonly options: readonly RunOption[];
}

/** A flag that the test reads as an environment variable. */
interface RunOption {
  readonly flag: string;
  readonly variable: string;
  /** Of the long form; without one the test chooses. */
  readonly default?: string;
  readonly value: RegExp;
  readonly help: string;
}

const RUNS: Readonly<Record<string, Run>> = {
  autopilot: {
    about:
      'real peers from none to all that a fleet can hold and back, scaled by the real HPA controller, with a rollout',
    files: ['operator/autopilot.test.ts'],
    timeout: 3600,
    options: [
      {
        flag: 'relays',
        variable: 'WAVRY_AUTOPILOT_RELAYS',
        default: '8',
        value: /^([3-9]|1\d)$/,
        help: 'that the fleet may have, of 10 sessions each',
      },
      {
        flag: 'ramp',
        variable: 'WAVRY_AUTOPILOT_RAMP_SECONDS',
        default: '30',
        value: /^[1-9]\d{1,3}$/,
        help: 'seconds in which as many sessions come as one relay holds',
      },
    ],
  },
  faults: {
    about: 'the operator among faults: killed, cut off, refused, its API server restarted',
    files: ['operator/faults.test.ts', 'operator/leadership.test.ts'],
    timeout: 900,
    options: [
      {
        flag: 'kills',
        variable: 'WAVRY_KILLS',
        default: '50',
        value: /^[1-9]\d{0,3}$/,
        help: 'times that the operator is killed',
      },
      { flag: 'seed', variable: 'WAVRY_SEED', value: /^\d{1,10}$/, help: 'of a run to be made again' },
    ],
  },
};

process.exit(await main(process.argv.slice(2)));

async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === '--help' || name === '-h') {
    process.stdout.write(helpText());
    return 0;
  }
  const run = name !== undefined && Object.hasOwn(RUNS, name) ? RUNS[name] : undefined;
  if (!run) {
    process.stderr.write(
      name === undefined
        ? helpText()
        : `e2e: there is no run called '${name}', only: ${Object.keys(RUNS).join(', ')}\n`,
    );
    return EXIT_USAGE;
  }
  const environment = readOptions(run, rest);
  if (typeof environment === 'string') {
    process.stderr.write(`e2e ${name}: ${environment}\n`);
    return EXIT_USAGE;
  }
  if (environment === undefined) {
    process.stdout.write(helpText());
    return 0;
  }
  return runTests(run, environment);
}

/** Variables for the test, undefined when only help was asked for, or what is wrong with the command line. */
function readOptions(run: Run, args: readonly string[]): Record<string, string> | string | undefined {
  let values: Readonly<Record<string, string | boolean | undefined>>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(run.options.map(({ flag }) => [flag, { type: 'string' as const }])),
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; see --help`;
  }
  if (values['help'] === true) return undefined;
  const environment: Record<string, string> = {};
  for (const option of run.options) {
    const value = values[option.flag] ?? option.default;
    if (value === undefined) continue;
    if (!option.value.test(String(value)))
      return `--${option.flag}: "${String(value)}" is no such number; see --help`;
    environment[option.variable] = String(value);
  }
  return environment;
}

function runTests(run: Run, environment: Readonly<Record<string, string>>): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      '--test',
      `--test-timeout=${run.timeout * 1000}`,
      '--test-reporter=spec',
      ...run.files.map((file) => join(import.meta.dirname, file)),
    ],
    // The long form looks in another place each time.
    { stdio: 'inherit', env: { WAVRY_SEED: String(randomInt(2 ** 31)), ...process.env, ...environment } },
  );
  // A ctrl-C reaches the child as well, which then stops what it started.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

function helpText(): string {
  const runs = Object.entries(RUNS).map(([name, { about, options }]) => {
    const lines = options.map(
      ({ flag, help, default: fallback }) =>
        `    ${`--${flag} N`.padEnd(14)} ${help}${fallback === undefined ? '' : ` [${fallback}]`}`,
    );
    return [`  ${name.padEnd(16)} ${about}`, ...lines].join('\n');
  });
  return `Runs the long form of an end-to-end test against a real control plane.

Usage: npm run e2e -- NAME [flags]

${runs.join('\n')}
`;
}
