import type { Quartiles } from './statistics.ts';

export const SECTION_NAMES = ['cpu', 'saturation', 'memory', 'flood'] as const;
export type SectionName = (typeof SECTION_NAMES)[number];

export const SUBJECT_IDS = [
  'relay-mmsg',
  'relay-mmsg-2',
  'relay-dgram',
  'c-gro',
  'c-gro-2',
  'c-batch',
  'c-single',
  'coturn',
] as const;
export type SubjectId = (typeof SUBJECT_IDS)[number];

export const SUBJECT_LABELS: Readonly<Record<SubjectId, string>> = {
  'relay-mmsg': 'relay',
  'relay-mmsg-2': 'relay, 2 workers',
  'relay-dgram': 'relay, node:dgram',
  'c-gro': 'C, batch + GRO/GSO',
  'c-gro-2': 'C, batch + GRO/GSO, 2 threads',
  'c-batch': 'C, batch',
  'c-single': 'C, one call a packet',
  coturn: 'coturn',
};

/** What a reader needs to judge the figures; nothing that names the machine. */
export interface MachineClass {
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
  readonly compiler: string;
  /** Share of its cores that was idle just before, 0 to 1. */
  readonly idle: number;
  /** Which cores the subjects and the generator were pinned to. */
  readonly relayCores: string;
  readonly generatorCores: string;
}

/** How packets of the sessions follow each other. */
export type Pattern = 'interleaved' | 'trains' | 'trains-cut' | 'segmented' | 'spaced' | 'latency';

export interface Scenario {
  readonly id: string;
  readonly pattern: Pattern;
  /** Bytes of a datagram, relay header included. */
  readonly size: number;
  readonly sessions: number;
  /** Packets a second, both directions together. */
  readonly rate: number;
}

/** What the generator saw; `received` counts each packet once. */
export interface TrafficReport {
  readonly sent: number;
  readonly received: number;
  readonly corrupt: number;
  readonly misdelivered: number;
  readonly reordered: number;
  readonly duplicate: number;
  readonly stale: number;
  readonly refused: number;
  readonly seconds: number;
  readonly floodSent: number;
  readonly latencyUs?: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

export interface CpuSample {
  readonly scenario: string;
  readonly subject: SubjectId;
  readonly round: number;
  /** CPU nanoseconds of the packet threads for each forwarded packet. */
  readonly threadNs: number;
  /** The same of the whole process. */
  readonly processNs: number;
  /** Share of the time in which something else had the packet threads' core, 0 to 1 for each thread. */
  readonly waited: number;
  readonly traffic: TrafficReport;
}

export interface CpuSection {
  readonly pairs: number;
  readonly seconds: number;
  readonly scenarios: readonly Scenario[];
  readonly absent: readonly SubjectId[];
  readonly samples: readonly CpuSample[];
}

export interface SaturationSample {
  readonly scenario: string;
  readonly subject: SubjectId;
  readonly round: number;
  /** Most packets a second at which less than {@link SaturationSection.lossLimit} got lost. */
  readonly rate: number;
  /** True when the generator could offer no more: the real figure is higher. */
  readonly generatorLimited: boolean;
  /** Share of the time that the packet threads were on the CPU at that rate, 0 to 1 for each thread. */
  readonly busy: number;
}

export interface SaturationSection {
  readonly rounds: number;
  readonly seconds: number;
  readonly lossLimit: number;
  readonly scenarios: readonly Scenario[];
  readonly samples: readonly SaturationSample[];
}

export interface MemorySection {
  readonly sessions: number;
  /** Bytes resident with that many workers, one figure a start. */
  readonly rss: readonly { readonly workers: number; readonly bytes: number }[];
  readonly flood: {
    /** An hour of it at `packetsPerSecond`, offered as fast as the relay takes it. */
    readonly hours: number;
    readonly packetsPerSecond: number;
    readonly offered: number;
    readonly receivedByRelay: number;
    readonly seconds: number;
    readonly sessionsBefore: number;
    readonly sessionsAfter: number;
    /** Bytes resident before, after each tenth, and after a rest. */
    readonly rss: readonly number[];
  };
}

export interface FloodSample {
  readonly round: number;
  readonly flooded: boolean;
  /** Bad leases a second that really went out. */
  readonly leasesPerSecond: number;
  readonly traffic: TrafficReport;
  /** What the relay counted in that time, of the counters that moved. */
  readonly counted: Readonly<Record<string, number>>;
  /** See {@link CpuSample.waited}. */
  readonly waited: number;
}

export interface FloodSection {
  readonly pairs: number;
  readonly packetsPerSecond: number;
  readonly leasesPerSecond: number;
  readonly seconds: number;
  readonly samples: readonly FloodSample[];
}

export interface Sections {
  readonly cpu?: CpuSection;
  readonly saturation?: SaturationSection;
  readonly memory?: MemorySection;
  readonly flood?: FloodSection;
}

export interface TargetVerdict {
  readonly id: string;
  readonly text: string;
  /** As in the table: the figure with its spread. */
  readonly measured: string;
  /** Undefined: not measured, or not well enough to say. */
  readonly holds: boolean | undefined;
}

export interface RatioRow {
  readonly scenario: Scenario;
  /** CPU a packet relative to the C relay with batch calls in the same round. */
  readonly toPlainC: Readonly<Partial<Record<SubjectId, Quartiles>>>;
}

export interface DatapathResults {
  readonly format: 1;
  readonly quick: boolean;
  readonly machine: MachineClass;
  readonly sections: Sections;
  readonly ratios: readonly RatioRow[];
  readonly targets: readonly TargetVerdict[];
}
