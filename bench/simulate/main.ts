import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

import { BenchError } from '../bench-error.ts';
import type { RunResult } from './books.ts';
import { parseSimulateOptions, SIMULATE_HELP, type SimulateOptions } from './options.ts';
import { runPlot } from './plot.ts';
import { type Rates, ratesOf, reportText } from './report.ts';
import {
  type Baseline,
  BASELINES_FILE,
  findScenario,
  type Recorded,
  shippedNames,
  SMALL_RELAYS,
} from './shipped.ts';
import { Simulation } from './simulation.ts';

const PLOTS = join(import.meta.dirname, '..', '..', 'docs', 'simulator');

try {
  main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}

function main(args: readonly string[]): void {
  const options = parseSimulateOptions(args);
  if (options === 'help') {
    process.stdout.write(SIMULATE_HELP);
    return;
  }
  const names = options.scenario === undefined ? shippedNames() : [options.scenario];
  const baselines: Record<string, Baseline> = {};
  for (const name of names) {
    const run = simulate(name, options);
    if (options.svg !== undefined) write(options.svg, runPlot(run));
    if (options.plots) {
      mkdirSync(PLOTS, { recursive: true });
      write(join(PLOTS, `${run.scenario.name}.svg`), runPlot(run));
    }
    if (options.record) {
      baselines[name] = {
        shipped: recorded(run),
        small: recorded(simulate(name, { ...options, relays: SMALL_RELAYS })),
      };
    }
  }
  if (options.record) write(BASELINES_FILE, `${JSON.stringify(baselines, undefined, 2)}\n`);
}

function simulate(name: string, { relays, seed, json }: SimulateOptions): RunResult {
  const scenario = findScenario(name, relays);
  const beganMs = performance.now();
  const run = new Simulation(scenario, seed).run();
  process.stdout.write(
    json
      ? `${JSON.stringify({ scenario: scenario.name, relays: scenario.relays, seed, figures: run.figures, rates: ratesOf(run.figures), samples: run.samples })}\n`
      : reportText(run, seed, performance.now() - beganMs),
  );
  return run;
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new BenchError(`simulate: ${file} can't be written: ${(error as Error).message}`, 73);
  }
}

function recorded({ scenario, figures }: RunResult): Recorded {
  const rates = Object.entries(ratesOf(figures)).map(([name, value]) => [
    name,
    Math.round((value as number) * 1000) / 1000,
  ]);
  return { relays: scenario.relays, rates: Object.fromEntries(rates) as Rates };
}
