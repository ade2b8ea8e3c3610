import type { Quartiles } from '../datapath/statistics.ts';

/** The programs whose time and memory are compared. */
export const PROGRAMS = [
  'operator',
  'kube-controller-manager',
  'kube-apiserver',
  'etcd',
  'kube-scheduler',
] as const;
export type Program = (typeof PROGRAMS)[number];

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly kernel: string;
  readonly node: string;
  /** Share of the machine that was idle just before. */
  readonly idle: number;
}

export interface Spent {
  /** CPU seconds. */
  readonly cpu: number;
  /** Resident bytes at the end. */
  readonly resident: number;
}

/** A stretch of the run: what each program took, and what the operator asked the API server. */
export interface Phase {
  readonly seconds: number;
  readonly spent: Readonly<Record<Program, Spent>>;
  /** `verb resource` and how often. */
  readonly requests: readonly (readonly [string, number])[];
  /** Those that write, without its Lease. */
  readonly writes: readonly (readonly [string, number])[];
  /** Answered with 4xx or 5xx, as `code verb resource`. */
  readonly refused: readonly (readonly [string, number])[];
}

export interface OperatorResults {
  readonly format: 1;
  readonly machine: Machine;
  readonly resources: number;
  readonly replicas: number;
  /** Until the last WavryRelay had been made. */
  readonly createdSeconds: number;
  /** Of each WavryRelay, from its creation to its convergence, seconds. */
  readonly each: Quartiles & { readonly worst: number };
  readonly converging: Phase;
  /** From convergence to the operator's last write. */
  readonly tailSeconds: number;
  readonly idle: Phase;
  /** The operator, restarted: until it had looked at every WavryRelay. */
  readonly restart: Phase;
  /** Bytes; of the first process, at any time. */
  readonly peakResident: number;
}
