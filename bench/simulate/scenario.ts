import { readFileSync } from 'node:fs';

import { parse } from 'yaml';
import { z } from 'zod';

import { durationSeconds } from '../../operator/api/duration.ts';
import { spec as specType, type WavryRelaySpec } from '../../operator/api/spec.ts';
import { capacityOf } from '../../operator/specs/fleet.ts';
import { BenchError } from '../bench-error.ts';

const milliseconds = z
  .string()
  .regex(/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/, 'write a duration such as 90s, 5m or 1h30m')
  .transform((text) => durationSeconds(text) * 1000);
const spread = z.object({ median: milliseconds, sigma: z.number().min(0).max(3) });

/** What happens at a time of the run, besides traffic. */
const incident = z.union([
  z.strictObject({ at: milliseconds, edit: z.record(z.string(), z.unknown()) }),
  z.strictObject({ at: milliseconds, masterDown: milliseconds, forgets: z.boolean().default(true) }),
  z.strictObject({
    at: milliseconds,
    relaysUnreachable: milliseconds,
    share: z.number().min(0).max(1).default(1),
  }),
  z.strictObject({ at: milliseconds, metricsDown: milliseconds }),
  z.strictObject({ at: milliseconds, nodesStop: z.number().min(0).max(1) }),
  z.strictObject({ at: milliseconds, burst: z.number().min(0), within: milliseconds }),
]);

const scenarioType = z.strictObject({
  title: z.string(),
  /** What it is to show, for the page that explains it. */
  about: z.string(),
  duration: milliseconds,
  /** Demand 1 is as many concurrent sessions as this many relays hold at their target utilisation. */
  relays: z.number().int().min(2).max(1000),
  /** Part of a WavryRelay's spec. */
  spec: z.record(z.string(), z.unknown()),
  /** Length of sessions: lognormal, cut at the longest. */
  sessions: z.strictObject({
    median: milliseconds,
    sigma: z.number().min(0).max(3),
    longest: milliseconds,
  }),
  /** Concurrent sessions that arrivals aim at, at times of the run, linear in between. */
  demand: z.array(z.tuple([milliseconds, z.number().min(0).max(5)])).min(1),
  incidents: z.array(incident).default([]),
  start: z
    .strictObject({
      /** Spare machines at the start, in relays' worth, percent of the fleet. */
      spareNodesPct: z.number().min(0).default(5),
      relaysPerNode: z.number().int().min(1).max(5).default(4),
      node: spread.prefault({ median: '90s', sigma: 0.25 }),
      pull: spread.prefault({ median: '12s', sigma: 0.3 }),
      container: spread.prefault({ median: '2s', sigma: 0.4 }),
    })
    .prefault({}),
});

export type Incident = z.output<typeof incident>;

export interface StartTimes {
  readonly spareNodesPct: number;
  readonly relaysPerNode: number;
  readonly node: Spread;
  readonly pull: Spread;
  readonly container: Spread;
}

export interface Spread {
  readonly medianMs: number;
  readonly sigma: number;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly durationMs: number;
  readonly relays: number;
  readonly spec: WavryRelaySpec;
  /** Sessions of one relay at target utilisation. */
  readonly targetSessions: number;
  readonly sessions: { readonly medianMs: number; readonly sigma: number; readonly longestMs: number };
  /** Milliseconds and concurrent sessions. */
  readonly demand: readonly (readonly [number, number])[];
  readonly incidents: readonly Incident[];
  readonly start: StartTimes;
}

/** Reads a scenario's file; throws {@link BenchError} with what to correct. `relays` scales it to another size of fleet. */
export function readScenario(file: string, name: string, relays?: number): Scenario {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new BenchError(`simulate: ${file} can't be read: ${(error as Error).message}`, 66);
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    const [first] = (error as Error).message.split('\n');
    throw new BenchError(`simulate: scenario ${name}: ${file} is no YAML: ${first}`, 65);
  }
  return scenarioOf(value, name, relays);
}

/** @param value what the file's YAML says */
export function scenarioOf(value: unknown, name: string, relaysWanted?: number): Scenario {
  const reading = scenarioType.safeParse(value);
  if (!reading.success) throw problem(name, '', reading.error.issues);
  const data = reading.data;
  const relays = relaysWanted ?? data.relays;
  const spec = specType.safeParse(scaledSpec(data.spec, relays / data.relays));
  if (!spec.success) throw problem(name, 'spec.', spec.error.issues);
  if (!spec.data.autoscaling) {
    throw new BenchError(
      `simulate: scenario ${name}: spec.autoscaling is what is simulated, so it has to be there`,
      65,
    );
  }
  const targetSessions = Math.floor(
    (capacityOf(spec.data).maxSessions * spec.data.autoscaling.targetSessionUtilization) / 100,
  );
  const whole = relays * targetSessions;
  return {
    name,
    title: data.title,
    about: data.about,
    durationMs: data.duration,
    relays,
    spec: spec.data,
    targetSessions,
    sessions: {
      medianMs: data.sessions.median,
      sigma: data.sessions.sigma,
      longestMs: data.sessions.longest,
    },
    demand: data.demand.map(([atMs, share]) => [atMs, share * whole] as const),
    incidents: data.incidents.map((entry) =>
      'burst' in entry ? { ...entry, burst: Math.round(entry.burst * whole) } : entry,
    ),
    start: {
      spareNodesPct: data.start.spareNodesPct,
      relaysPerNode: data.start.relaysPerNode,
      node: spreadOf(data.start.node),
      pull: spreadOf(data.start.pull),
      container: spreadOf(data.start.container),
    },
  };
}

function spreadOf({ median, sigma }: z.output<typeof spread>): Spread {
  return { medianMs: median, sigma };
}

/** Another size of fleet has other bounds. */
function scaledSpec(spec: Readonly<Record<string, unknown>>, scale: number): Record<string, unknown> {
  const bounds = spec['autoscaling'] as { minReplicas?: number; maxReplicas: number } | undefined;
  if (!bounds || scale === 1) return spec;
  return {
    ...spec,
    autoscaling: {
      ...bounds,
      minReplicas: Math.max(1, Math.floor((bounds.minReplicas ?? 1) * scale)),
      maxReplicas: Math.max(2, Math.ceil(bounds.maxReplicas * scale)),
    },
  };
}

function problem(
  name: string,
  prefix: string,
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): BenchError {
  const texts = issues.map((issue) => `${prefix}${issue.path.map(String).join('.')}: ${issue.message}`);
  return new BenchError(`simulate: scenario ${name}: ${texts.join('; ')}`, 65);
}
