import { parseArgs } from 'node:util';

import { BenchError } from '../bench-error.ts';

export interface SimulateOptions {
  /** Name of a shipped scenario or path of a file; undefined: all that are shipped. */
  readonly scenario: string | undefined;
  readonly seed: number;
  readonly relays: number | undefined;
  readonly json: boolean;
  readonly svg: string | undefined;
  readonly record: boolean;
  readonly plots: boolean;
}

export const SIMULATE_HELP = `Runs a fleet, Master, the HPA's algorithm and sessions on a virtual clock, over the operator's own plans.

Usage: npm run simulate -- [flags]

  --scenario NAME|FILE   a shipped scenario by its name, or a file like those in bench/simulate/scenarios;
                         all shipped ones when absent
  --seed N               the same seed gives the same run (default: 1)
  --relays N             size of the fleet, in place of the scenario's
  --json                 print one JSON object a scenario, with a sample each minute
  --svg FILE             write a plot of the run
  --plots                write a plot of each shipped scenario to docs/simulator
  --record               write the figures to bench/simulate/baselines.json, which the tests hold runs to
  --help                 this text

Exit codes: 0 simulated, 64 wrong usage, 65 a scenario that can't be understood, 66 a file that can't be read.
`;

/** Throws a {@link BenchError} with exit code 64 on anything unknown or out of range. */
export function parseSimulateOptions(args: readonly string[]): SimulateOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  if (values.svg !== undefined && values.scenario === undefined) throw usage('--svg needs --scenario');
  if (values.scenario !== undefined && (values.record || values.plots)) {
    throw usage('--record and --plots are about all shipped scenarios: leave --scenario out');
  }
  if ((values.record || values.plots) && (values.seed !== undefined || values.relays !== undefined)) {
    throw usage('--record and --plots run the scenarios as they are shipped: leave --seed and --relays out');
  }
  return {
    scenario: values.scenario,
    seed: values.seed === undefined ? 1 : number('--seed', values.seed, 0, 4_294_967_295),
    relays: values.relays === undefined ? undefined : number('--relays', values.relays, 2, 1000),
    json: values.json,
    svg: values.svg,
    record: values.record,
    plots: values.plots,
  };
}

interface Values {
  readonly json: boolean;
  readonly record: boolean;
  readonly plots: boolean;
  readonly help: boolean;
  readonly scenario?: string;
  readonly seed?: string;
  readonly relays?: string;
  readonly svg?: string;
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean', default: false },
        record: { type: 'boolean', default: false },
        plots: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        scenario: { type: 'string' },
        seed: { type: 'string' },
        relays: { type: 'string' },
        svg: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usage((error as Error).message.split('. ')[0]!);
  }
}

function number(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw usage(`${flag} ${text}: not a number from ${least} to ${most}`);
  }
  return value;
}

function usage(problem: string): BenchError {
  return new BenchError(`simulate: ${problem} (see --help)`, 64);
}
