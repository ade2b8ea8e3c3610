/** What `/health`, `/ready`, the metrics and the statistics line say about the relay beside its counters (design-relay 7). */
export interface RelayStatus {
  readonly relayId: string;
  readonly state: RelayState;
  /** Whether `/ready` answers 200; never depends on load. */
  readonly ready: boolean;
  readonly notReadyReason: string | undefined;
  /** Whether `/health` answers 200 rather than 500. */
  readonly healthy: boolean;
  readonly unhealthyReason: string | undefined;
  /** What was or will be registered, the address that peers are sent to first. */
  readonly endpoints: readonly string[];
  /** Whether Master took a registration of this process and has not forgotten it since. */
  readonly registered: boolean;
  readonly draining: boolean;
  readonly gauges: RelayGauges;
}

export type RelayState = 'starting' | 'serving' | 'draining' | 'drained';

/** Figures of the control plane, cumulative where the name says `total`. */
interface RelayGauges {
  /** Share of its time in which the busiest worker had none to spare, 0 to 1, mean of 10 s. */
  readonly workerBusyRatio: number;
  /** Whether new sessions are being refused for throughput or busy time. */
  readonly overloaded: boolean;
  readonly registrationsTotal: number;
  readonly masterFailuresTotal: number;
  /** For how long Master has taken none of its calls; 0 while it takes them. */
  readonly masterOutageSecs: number;
  readonly stateWriteErrorsTotal: number;
  readonly stateRestoredSessions: number;
  readonly stateCorruptRecords: number;
}

/** For the time before the control plane runs. */
export function startingStatus(relayId: string): RelayStatus {
  return {
    relayId,
    state: 'starting',
    ready: false,
    notReadyReason: 'starting',
    healthy: true,
    unhealthyReason: undefined,
    endpoints: [],
    registered: false,
    draining: false,
    gauges: {
      workerBusyRatio: 0,
      overloaded: false,
      registrationsTotal: 0,
      masterFailuresTotal: 0,
      masterOutageSecs: 0,
      stateWriteErrorsTotal: 0,
      stateRestoredSessions: 0,
      stateCorruptRecords: 0,
    },
  };
}
