import type { WavryRelaySpec } from '../api/spec.ts';
import { SIZE_PROFILES } from '../api/size.ts';

/** What the operator is told at start of all its fleets. */
export interface FleetDefaults {
  /** Image of relays whose spec names none: that of the operator's own release. */
  readonly defaultImage: string;
  /** Page of the runbooks that alerts link to. */
  readonly runbooks: string;
}

/** What every builder of a fleet's objects needs to know of it. */
export interface Fleet extends FleetDefaults {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly spec: WavryRelaySpec;
}

/** What one relay of the fleet is asked to carry, from its size and its own limits. */
export interface Capacity {
  readonly cpu: string;
  readonly memory: string;
  readonly workers: number;
  readonly maxSessions: number;
  readonly maxThroughputMbps: number;
}

/** targetSessionUtilization of a fleet that isn't autoscaled: the default of spec.autoscaling. */
const DEFAULT_UTILIZATION = 70;

/** Sessions per relay that the fleet is held at: the AverageValue of its HorizontalPodAutoscaler (design-operator 5). */
export function targetSessionsOf(spec: WavryRelaySpec): number {
  const percent = spec.autoscaling?.targetSessionUtilization ?? DEFAULT_UTILIZATION;
  return Math.max(1, Math.floor((capacityOf(spec).maxSessions * percent) / 100));
}

export function capacityOf(spec: WavryRelaySpec): Capacity {
  const profile = SIZE_PROFILES[spec.size];
  return {
    cpu: profile.cpu,
    memory: profile.memory,
    workers: profile.workers,
    maxSessions: spec.limits?.maxSessions ?? profile.maxSessions,
    maxThroughputMbps: spec.limits?.maxThroughputMbps ?? profile.maxThroughputMbps,
  };
}
