import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { BenchError } from '../bench-error.ts';
import { ratioPlot } from './plot.ts';
import type { DatapathResults, MachineClass, Sections } from './results.ts';
import { judgeTargets, ratioRows } from './summary.ts';
import { machineLines, markdownTable, resultTables } from './tables.ts';

const RESULTS_FILE = 'datapath.json';
const PLOT_FILE = 'datapath.svg';
const BEGIN = '<!-- datapath: written by npm run bench -- datapath --publish -->';
const END = '<!-- datapath: end -->';

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

/** Puts tables and plot where readers of the project find them: between the marks in bench/README.md. */
export function publish(benchDirectory: string, results: DatapathResults): void {
  const readme = join(benchDirectory, 'README.md');
  const text = readFileSync(readme, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) {
    throw new BenchError(`bench: ${readme} has lost its marks '${BEGIN}' and '${END}': put them back`);
  }
  const machine = machineLines(results)
    .map((line) => `- ${line}`)
    .join('\n');
  const tables = resultTables(results).map(markdownTable).join('\n');
  replaceFile(readme, `${before}${BEGIN}\n\nMeasured on:\n\n${machine}\n\n${tables}\n${END}${after}`);
  replaceFile(join(benchDirectory, PLOT_FILE), ratioPlot(results));
}

function replaceFile(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}
