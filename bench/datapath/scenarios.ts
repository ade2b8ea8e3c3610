import type { Pattern, Scenario } from './results.ts';

/** Packets a second of the CPU measurements: every subject carries that without loss. */
const CPU_RATE = 60_000;
const LATENCY_RATE = 1000;

/** All scenarios of the CPU section with that many sessions. */
export function cpuScenarios(sessions: number, rate: number = CPU_RATE): Scenario[] {
  const few = sessions <= 100;
  return [
    scenario('interleaved', 100, sessions, rate),
    scenario('interleaved', 1200, sessions, rate),
    scenario('trains', 100, sessions, rate),
    scenario('trains', 1200, sessions, rate),
    ...(few
      ? [
          scenario('trains-cut', 1200, sessions, rate),
          scenario('segmented', 1200, sessions, rate),
          scenario('spaced', 100, sessions, rate),
          scenario('spaced', 1200, sessions, rate),
          scenario('latency', 1200, sessions, LATENCY_RATE),
        ]
      : []),
  ];
}

/** `rate` is where the search starts. */
export function saturationScenarios(sessions: number, rate: number): Scenario[] {
  return [
    scenario('interleaved', 100, sessions, rate),
    scenario('interleaved', 1200, sessions, rate),
    scenario('segmented', 1200, sessions, rate),
  ];
}

export function scenarioLabel(scenario: Scenario): string {
  const { pattern, size, sessions } = scenario;
  return `${size} B ${PATTERN_LABELS[pattern]}, ${sessions.toLocaleString('en-US')} sessions`;
}

/** Flags of bench/c/traffic.c for a pattern. */
export const PATTERN_FLAGS: Readonly<Record<Pattern, readonly string[]>> = {
  interleaved: ['--burst', '64'],
  trains: ['--burst', '64', '--train', '16', '--gro-sink'],
  'trains-cut': ['--burst', '64', '--train', '16'],
  segmented: ['--burst', '64', '--train', '16', '--segment', '--gro-sink'],
  spaced: [],
  latency: ['--latency'],
};

const PATTERN_LABELS: Readonly<Record<Pattern, string>> = {
  interleaved: 'mixed',
  trains: 'trains of 16',
  'trains-cut': 'trains of 16, cut in software',
  segmented: 'trains of 16 in one piece',
  spaced: 'evenly spaced',
  latency: 'at 1000/s',
};

function scenario(pattern: Pattern, size: number, sessions: number, rate: number): Scenario {
  return { id: `${pattern}-${size}-${sessions}`, pattern, size, sessions, rate };
}
