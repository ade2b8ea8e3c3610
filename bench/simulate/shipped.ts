import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { BenchError } from '../bench-error.ts';
import type { Rates } from './report.ts';
import { readScenario, type Scenario } from './scenario.ts';

const SCENARIOS = join(import.meta.dirname, 'scenarios');

/** What shipped scenarios gave with seed 1 when they were last recorded, by name. */
export const BASELINES_FILE: string = join(import.meta.dirname, 'baselines.json');

export function shippedNames(): string[] {
  return readdirSync(SCENARIOS)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => basename(file, '.yaml'))
    .toSorted();
}

/** @param which name of a shipped scenario, or path of a file */
export function findScenario(which: string, relays?: number): Scenario {
  if (shippedNames().includes(which)) return readScenario(join(SCENARIOS, `${which}.yaml`), which, relays);
  if (!existsSync(which)) {
    throw new BenchError(
      `simulate: no scenario is called '${which}', and there is no such file; shipped are ${shippedNames().join(', ')}`,
      64,
    );
  }
  return readScenario(which, basename(which).replace(/\.ya?ml$/, ''), relays);
}

export interface Baseline {
  /** As it is shipped. */
  readonly shipped: Recorded;
  /** With a smaller fleet, as every run of the tests repeats it. */
  readonly small: Recorded;
}

export interface Recorded {
  readonly relays: number;
  readonly rates: Rates;
}

export const SMALL_RELAYS = 100;

export function readBaselines(): Readonly<Record<string, Baseline>> {
  return JSON.parse(readFileSync(BASELINES_FILE, 'utf8')) as Record<string, Baseline>;
}
