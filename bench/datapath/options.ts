import { parseArgs } from 'node:util';

import { BenchError } from '../bench-error.ts';
import type { SectionName } from './results.ts';
import { SECTION_NAMES } from './results.ts';

export interface DatapathBenchOptions {
  readonly quick: boolean;
  readonly json: boolean;
  readonly publish: boolean;
  /** How often each subject is measured, in turns; 5 by default, 1 with --quick. */
  readonly pairs: number;
  readonly only: readonly SectionName[];
  readonly resultsDir: string | undefined;
}

const DEFAULT_PAIRS = 5;

export const DATAPATH_HELP = `Measures the relay's packet path against C reference relays, node:dgram and coturn.

Usage: npm run bench -- datapath [flags]

  --only SECTION   cpu, saturation, memory or flood; repeatable, or with commas. Sections measured before are
                   kept and stand in the report beside the new one
  --pairs N        interleaved measurements of each subject, 1 to 99 (default: ${DEFAULT_PAIRS}, with --quick 1)
  --quick          a short smoke run of everything: shows that it works, its figures mean nothing
  --json           print one JSON object in place of the tables
  --results DIR    where results are kept (default: bench/results, with --quick a folder of its own)
  --publish        write the table into bench/README.md and the plot to bench/datapath.svg
  --help           this text

Needs Linux, a C compiler (CC or cc) and taskset. Exit codes: 0 measured, 1 something failed, 64 wrong usage.
Whether targets hold does not change the exit code: it stands in the report.
`;

/** Throws a {@link BenchError} with exit code 64 on anything unknown or out of range. */
export function parseDatapathOptions(args: readonly string[]): DatapathBenchOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const only = (values.only ?? []).flatMap((list) => list.split(',')).map(sectionName);
  if (values.quick && values.publish) {
    throw usage('--publish makes no sense with --quick: figures of a quick run mean nothing');
  }
  return {
    quick: values.quick,
    json: values.json,
    publish: values.publish,
    pairs: values.pairs === undefined ? (values.quick ? 1 : DEFAULT_PAIRS) : pairsOf(values.pairs),
    only: only.length > 0 ? SECTION_NAMES.filter((name) => only.includes(name)) : SECTION_NAMES,
    resultsDir: values.results,
  };
}

interface Values {
  readonly quick: boolean;
  readonly json: boolean;
  readonly publish: boolean;
  readonly help: boolean;
  readonly pairs?: string;
  readonly only?: string[];
  readonly results?: string;
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        publish: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
        pairs: { type: 'string' },
        only: { type: 'string', multiple: true },
        results: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw usage((error as Error).message.split('. ')[0]!);
  }
}

function sectionName(text: string): SectionName {
  const name = SECTION_NAMES.find((name) => name === text);
  if (!name) throw usage(`--only ${text}: not one of ${SECTION_NAMES.join(', ')}`);
  return name;
}

function pairsOf(text: string): number {
  const pairs = Number(text);
  if (!/^\d+$/.test(text) || pairs < 1 || pairs > 99)
    throw usage(`--pairs ${text}: not a number from 1 to 99`);
  return pairs;
}

function usage(problem: string): BenchError {
  return new BenchError(`bench datapath: ${problem} (see --help)`, 64);
}
