import type {
  CpuSample,
  CpuSection,
  FloodSection,
  MemorySection,
  RatioRow,
  SaturationSection,
  Scenario,
  Sections,
  SubjectId,
  TargetVerdict,
} from './results.ts';
import { SUBJECT_IDS } from './results.ts';
import { scenarioLabel } from './scenarios.ts';
import type { Quartiles } from './statistics.ts';
import { median, pairedRatios, quartiles } from './statistics.ts';

/** The subject that all ratios of the table are to. */
const REFERENCE: SubjectId = 'c-batch';

/** One row a scenario: CPU a packet of each subject relative to the C relay with batch calls. */
export function ratioRows(cpu: CpuSection | undefined): RatioRow[] {
  if (!cpu) return [];
  return cpu.scenarios.map((scenario) => ({
    scenario,
    toPlainC: Object.fromEntries(
      SUBJECT_IDS.flatMap((id) => {
        const ratio = cpuRatio(cpu, scenario, id, REFERENCE);
        return ratio ? [[id, ratio]] : [];
      }),
    ),
  }));
}

/** Packet threads' CPU of `a` over that of `b`, round by round. */
function cpuRatio(cpu: CpuSection, scenario: Scenario, a: SubjectId, b: SubjectId): Quartiles | undefined {
  return pairedRatios(byRound(cpu, scenario, a), byRound(cpu, scenario, b));
}

/** Everything the issue asks of the packet path, judged by what was measured. */
export function judgeTargets(sections: Sections): TargetVerdict[] {
  return [...cpuTargets(sections.cpu), ...memoryTargets(sections.memory), ...floodTargets(sections.flood)];
}

/** Lost packets of all that were sent, 0 to 1. */
export function lossOf(samples: readonly { traffic: { sent: number; received: number } }[]): number {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const sent = sum(samples.map((sample) => sample.traffic.sent));
  return sent === 0 ? 0 : 1 - sum(samples.map((sample) => sample.traffic.received)) / sent;
}

export function samplesOf(cpu: CpuSection, scenario: Scenario, subject: SubjectId): CpuSample[] {
  return cpu.samples.filter((sample) => sample.scenario === scenario.id && sample.subject === subject);
}

export function saturationOf(
  section: SaturationSection,
  scenario: Scenario,
  subject: SubjectId,
): { readonly rate: Quartiles; readonly generatorLimited: boolean; readonly busy: number } | undefined {
  const samples = section.samples.filter(
    (sample) => sample.scenario === scenario.id && sample.subject === subject,
  );
  const rate = quartiles(samples.map((sample) => sample.rate));
  if (!rate) return undefined;
  return {
    rate,
    generatorLimited: samples.some((sample) => sample.generatorLimited),
    busy: median(samples.map((sample) => sample.busy)),
  };
}

/** Median bytes resident for each number of workers, fewest first. */
export function residentByWorkers(
  memory: MemorySection,
): { readonly workers: number; readonly bytes: number }[] {
  const counts = [...new Set(memory.rss.map((start) => start.workers))].toSorted((a, b) => a - b);
  return counts.map((workers) => ({
    workers,
    bytes: median(memory.rss.filter((start) => start.workers === workers).map((start) => start.bytes)),
  }));
}

export function formatQuartiles({ low, median, high }: Quartiles): string {
  return `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function byRound(cpu: CpuSection, scenario: Scenario, subject: SubjectId): Map<number, number> {
  return new Map(samplesOf(cpu, scenario, subject).map((sample) => [sample.round, sample.threadNs]));
}

function cpuTargets(cpu: CpuSection | undefined): TargetVerdict[] {
  const mixed = cpu?.scenarios.filter(({ pattern }) => pattern === 'interleaved') ?? [];
  const trains = cpu?.scenarios.filter(({ pattern }) => pattern === 'trains') ?? [];
  return [
    ratioTarget(
      cpu,
      mixed,
      'same-calls',
      'relay ≤ 1.10 × C with the same calls, mixed',
      'relay-mmsg',
      'c-gro',
      {
        atMost: 1.1,
      },
    ),
    ratioTarget(cpu, trains, 'trains', 'relay ≤ 0.75 × plain C, trains of 16', 'relay-mmsg', 'c-batch', {
      atMost: 0.75,
    }),
    ratioTarget(
      cpu,
      [...mixed, ...trains],
      'dgram',
      'node:dgram ≥ 2.5 × relay, mixed and trains',
      'relay-dgram',
      'relay-mmsg',
      { atLeast: 2.5 },
    ),
  ];
}

/** Holds when the median does in every scenario; the one that is worst is shown. */
function ratioTarget(
  cpu: CpuSection | undefined,
  scenarios: readonly Scenario[],
  id: string,
  text: string,
  a: SubjectId,
  b: SubjectId,
  limit: { readonly atMost: number } | { readonly atLeast: number },
): TargetVerdict {
  const measured = scenarios.flatMap((scenario) => {
    const ratio = cpu && cpuRatio(cpu, scenario, a, b);
    return ratio ? [{ scenario, ratio }] : [];
  });
  const [worst] = measured.toSorted((x, y) =>
    'atMost' in limit ? y.ratio.median - x.ratio.median : x.ratio.median - y.ratio.median,
  );
  if (!worst) return { id, text, measured: 'not measured', holds: undefined };
  const { median } = worst.ratio;
  return {
    id,
    text,
    measured: `${formatQuartiles(worst.ratio)} at worst: ${scenarioLabel(worst.scenario)}`,
    holds: 'atMost' in limit ? median <= limit.atMost : median >= limit.atLeast,
  };
}

function memoryTargets(memory: MemorySection | undefined): TargetVerdict[] {
  const byWorkers = memory ? residentByWorkers(memory) : [];
  const one = byWorkers.find(({ workers }) => workers === 1);
  const most = byWorkers.at(-1);
  const each =
    one && most && most.workers > 1 ? (most.bytes - one.bytes) / (most.workers - one.workers) : undefined;
  const rss = memory?.flood.rss;
  const growth = rss && Math.max(...rss.slice(1)) - rss[0]!;
  return [
    atMost('rss', 'RSS ≤ 150 MB, one worker, 10,000 sessions', one?.bytes, 150e6),
    atMost('rss-worker', 'RSS ≤ 30 MB for each further worker', each, 30e6),
    atMost('rss-flood', "RSS grows by less than 5 MB over an hour's worth of spoofed flood", growth, 5e6),
  ];
}

function atMost(id: string, text: string, bytes: number | undefined, limit: number): TargetVerdict {
  if (bytes === undefined) return { id, text, measured: 'not measured', holds: undefined };
  return { id, text, measured: megabytes(bytes), holds: bytes <= limit };
}

function floodTargets(flood: FloodSection | undefined): TargetVerdict[] {
  const lossText = 'lease flood: loss ≤ that without it + 0.01 %';
  const latencyText = 'lease flood: p99 ≤ 5 ms';
  const flooded = flood?.samples.filter((sample) => sample.flooded) ?? [];
  const calm = flood?.samples.filter((sample) => !sample.flooded) ?? [];
  const p99 = quartiles(flooded.flatMap((sample) => sample.traffic.latencyUs?.p99 ?? []));
  if (!p99) {
    return [
      { id: 'flood-loss', text: lossText, measured: 'not measured', holds: undefined },
      { id: 'flood-p99', text: latencyText, measured: 'not measured', holds: undefined },
    ];
  }
  const [withIt, without] = [lossOf(flooded), lossOf(calm)];
  const rate = median(flooded.map((sample) => sample.leasesPerSecond));
  const asked = flood!.leasesPerSecond;
  // A flood weaker than the one asked for proves nothing, whatever came through.
  const weak = rate < asked * 0.95;
  const shortfall = weak
    ? `, but the generator managed only ${Math.round(rate)} of ${asked} bad leases/s`
    : '';
  return [
    {
      id: 'flood-loss',
      text: lossText,
      measured: `${percent(withIt)} against ${percent(without)}${shortfall}`,
      holds: weak ? undefined : withIt <= without + 0.0001,
    },
    {
      id: 'flood-p99',
      text: latencyText,
      measured: `${(p99.median / 1000).toFixed(2)} ms (${(p99.low / 1000).toFixed(2)}–${(p99.high / 1000).toFixed(2)})${shortfall}`,
      holds: weak ? undefined : p99.median <= 5000,
    },
  ];
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(3)} %`;
}
