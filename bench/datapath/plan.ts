import type { CpuPlan } from './cpu.ts';
import type { FloodPlan } from './flood.ts';
import type { Cores } from './machine.ts';
import type { MemoryPlan } from './memory.ts';
import type { DatapathBenchOptions } from './options.ts';
import type { SaturationPlan } from './saturation.ts';
import { cpuScenarios, saturationScenarios } from './scenarios.ts';

/** How much of everything is measured. */
export interface Plan {
  readonly cpu: CpuPlan;
  readonly saturation: SaturationPlan;
  readonly memory: MemoryPlan;
  readonly flood: FloodPlan;
}

export function planOf({ quick, pairs }: DatapathBenchOptions, cores: Cores): Plan {
  return quick ? quickPlan(pairs) : fullPlan(pairs, cores);
}

function fullPlan(pairs: number, cores: Cores): Plan {
  // Two workers and a generator that keeps up with them need a core each, and the sink a fourth.
  const saturated = ['relay-mmsg', 'relay-dgram', 'c-gro', 'c-batch', 'c-single'] as const;
  const withTwo = [...saturated, 'relay-mmsg-2', 'c-gro-2'] as const;
  return {
    cpu: {
      pairs,
      seconds: 0.7,
      warmUpSeconds: 1,
      groups: [cpuScenarios(100), cpuScenarios(10_000)],
    },
    saturation: {
      rounds: 3,
      seconds: 0.5,
      subjects: cores.all.length >= 4 ? withTwo : saturated,
      scenarios: saturationScenarios(100, 80_000),
    },
    memory: {
      sessions: 10_000,
      starts: 3,
      workers: [1, 3],
      trafficSeconds: 1.5,
      restMs: 1500,
      floodHours: 1,
      floodPacketsPerSecond: 2000,
    },
    flood: { pairs, sessions: 100, packetsPerSecond: 20_000, leasesPerSecond: 50_000, seconds: 3 },
  };
}

/** Everything once, small and slow enough for any machine. */
function quickPlan(pairs: number): Plan {
  return {
    cpu: { pairs, seconds: 0.1, warmUpSeconds: 0.1, groups: [cpuScenarios(20, 3000).slice(0, 4)] },
    saturation: {
      rounds: 1,
      seconds: 0.2,
      subjects: ['relay-mmsg', 'c-batch'],
      scenarios: saturationScenarios(20, 8000).slice(0, 1),
    },
    memory: {
      sessions: 50,
      starts: 1,
      workers: [1, 2],
      trafficSeconds: 0.1,
      restMs: 50,
      floodHours: 1,
      floodPacketsPerSecond: 1,
    },
    flood: { pairs, sessions: 20, packetsPerSecond: 1000, leasesPerSecond: 2000, seconds: 0.2 },
  };
}
