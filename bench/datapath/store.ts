import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { BenchError } from '../bench-error.ts';
import { publishTables, replaceFile } from '../publish.ts';
import { ratioPlot } from './plot.ts';
import type { DatapathResults, MachineClass, Sections } from './results.ts';
import { judgeTargets, ratioRows } from './summary.ts';
import { machineLines, resultTables } from './tables.ts';

const RESULTS_FILE = 'datapath.json';
const PLOT_FILE = 'datapath.svg';

/** Results of the sections measured so far. */
export function readResults(directory: string): DatapathResults | undefined {
  const path = join(directory, RESULTS_FILE);
  if (!existsSync(path)) return undefined;
  try {
    const results = JSON.parse(readFileSync(path, 'utf8')) as DatapathResults;
    return results.format === 1 ? results : undefined;
  } catch (error) {
    throw new BenchError(
      `bench: ${path} is not readable (${(error as Error).message}): remove it to start afresh`,
    );
  }
}

/** What was measured, with all that follows from it. */
export function completeResults(quick: boolean, machine: MachineClass, sections: Sections): DatapathResults {
  const { cpu } = sections;
  return {
    format: 1,
    quick,
    machine,
    sections,
    ratios: ratioRows(cpu),
    targets: judgeTargets(sections),
  };
}

/** Keeps the results and their plot. */
export function writeResults(directory: string, results: DatapathResults): void {
  mkdirSync(directory, { recursive: true });
  replaceFile(join(directory, RESULTS_FILE), `${JSON.stringify(results, undefined, 1)}\n`);
  if (results.ratios.length > 0) replaceFile(join(directory, PLOT_FILE), ratioPlot(results));
}

/** Puts tables and plot where readers of the project find them. */
export function publish(benchDirectory: string, results: DatapathResults): void {
  publishTables('datapath', machineLines(results), resultTables(results));
  replaceFile(join(benchDirectory, PLOT_FILE), ratioPlot(results));
}
