import { join } from 'node:path';
import process from 'node:process';

import { terminalTable } from '../table.ts';
import { measureCpu } from './cpu.ts';
import { measureFlood } from './flood.ts';
import { checkMachine, machineClass, splitCores } from './machine.ts';
import { measureMemory } from './memory.ts';
import type { DatapathBenchOptions } from './options.ts';
import type { Plan } from './plan.ts';
import { planOf } from './plan.ts';
import type { DatapathResults, SectionName, Sections } from './results.ts';
import { measureSaturation } from './saturation.ts';
import { completeResults, publish, readResults, writeResults } from './store.ts';
import { machineLines, resultTables } from './tables.ts';
import { compile } from './toolchain.ts';
import type { Workspace } from './workspace.ts';
import { closeWorkspace, openWorkspace } from './workspace.ts';

const BENCH = join(import.meta.dirname, '..');
const BUSY = 0.85;

/** Measures, keeps and prints. Returns the exit code. */
export async function runDatapath(options: DatapathBenchOptions): Promise<number> {
  checkMachine();
  const startedMs = Date.now();
  const progress = (line: string): void => {
    console.error(`[${String(Math.round((Date.now() - startedMs) / 1000)).padStart(4)} s] ${line}`);
  };
  const directory = options.resultsDir ?? join(BENCH, 'results', options.quick ? 'quick' : '.');
  const toolchain = await compile(join(directory, 'bin'));
  const cores = splitCores();
  const machine = await machineClass(cores, toolchain.compiler, options.quick ? 100 : 2000);
  if (!options.quick && machine.idle < BUSY) {
    progress(`!! only ${Math.round(machine.idle * 100)} % of this machine is idle: figures will be rough`);
  }
  const kept = readResults(directory);
  let sections: Sections = kept?.quick === options.quick ? kept.sections : {};
  let results = completeResults(options.quick, machine, sections);
  const workspace = await openWorkspace(toolchain, cores, progress);
  const stop = (): never => {
    closeWorkspace(workspace);
    process.exit(130);
  };
  process.once('SIGINT', stop);
  try {
    const plan = planOf(options, cores);
    for (const name of options.only) {
      sections = { ...sections, ...(await MEASURES[name](workspace, plan)) };
      // Kept after each section: a run that is broken off goes on with --only.
      results = completeResults(options.quick, machine, sections);
      writeResults(directory, results);
    }
  } finally {
    process.off('SIGINT', stop);
    closeWorkspace(workspace);
  }
  if (options.publish) publish(BENCH, results);
  print(results, options.json);
  progress(`kept in ${join(directory, 'datapath.json')}`);
  return 0;
}

type Measure = (workspace: Workspace, plan: Plan) => Promise<Sections>;

const MEASURES: Readonly<Record<SectionName, Measure>> = {
  cpu: async (workspace, plan) => ({ cpu: await measureCpu(workspace, plan.cpu) }),
  saturation: async (workspace, plan) => ({
    saturation: await measureSaturation(workspace, plan.saturation),
  }),
  memory: async (workspace, plan) => ({ memory: await measureMemory(workspace, plan.memory) }),
  flood: async (workspace, plan) => ({ flood: await measureFlood(workspace, plan.flood) }),
};

function print(results: DatapathResults, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(results)}\n`);
    return;
  }
  const tables = resultTables(results).map(terminalTable);
  const warning = results.quick ? ['A quick run: these figures mean nothing.', ''] : [];
  process.stdout.write(['', ...warning, ...machineLines(results), '', ...tables, ''].join('\n'));
}
