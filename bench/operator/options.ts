import { parseArgs } from 'node:util';

import { BenchError } from '../bench-error.ts';

export interface OperatorBenchOptions {
  readonly resources: number;
  /** Relays of each WavryRelay. */
  readonly replicas: number;
  readonly idleSeconds: number;
  readonly json: boolean;
  readonly publish: boolean;
  readonly resultsDir: string | undefined;
}

const DEFAULT_RESOURCES = 1000;
const DEFAULT_IDLE_SECONDS = 600;
/** Relays; a node of the local cluster has 100 pods, and it has at most 250 nodes. */
const MOST_RELAYS = 20_000;

export const OPERATOR_HELP = `Measures the operator: many WavryRelays at once on a real control plane, then nothing at all.

Usage: npm run bench -- operator [flags]

  --resources N    WavryRelays (default: ${DEFAULT_RESOURCES})
  --replicas N     relays of each (default: 1)
  --idle SECONDS   how long the operator is watched with nothing to do (default: ${DEFAULT_IDLE_SECONDS})
  --json           print one JSON object in place of the tables
  --results DIR    where results are kept (default: bench/results)
  --publish        write the tables into bench/README.md
  --help           this text

Needs Linux and the control plane's binaries (or Go, to build them). Exit codes: 0 measured, 1 something failed or did not
converge, 64 wrong usage. Whether targets hold does not change the exit code: it stands in the report.
`;

/** Throws a {@link BenchError} with exit code 64 on anything unknown or out of range. */
export function parseOperatorOptions(args: readonly string[]): OperatorBenchOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const resources = whole('resources', values.resources, DEFAULT_RESOURCES, 1, MOST_RELAYS);
  const replicas = whole('replicas', values.replicas, 1, 1, 100);
  if (resources * replicas > MOST_RELAYS)
    throw usage(
      `${resources} resources of ${replicas} relays are more than the local cluster's ${MOST_RELAYS}`,
    );
  return {
    resources,
    replicas,
    idleSeconds: whole('idle', values.idle, DEFAULT_IDLE_SECONDS, 0, 86_400),
    json: values.json,
    publish: values.publish,
    resultsDir: values.results,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean', default: false },
        publish: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        resources: { type: 'string' },
        replicas: { type: 'string' },
        idle: { type: 'string' },
        results: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usage((error as Error).message.split('. ')[0]!);
  }
}

function whole(
  flag: string,
  text: string | undefined,
  byDefault: number,
  least: number,
  most: number,
): number {
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw usage(`--${flag} ${text}: not a number from ${least} to ${most}`);
  return value;
}

function usage(problem: string): BenchError {
  return new BenchError(`bench operator: ${problem} (see --help)`, 64);
}
