import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import { readSpec } from '../api/read-spec.ts';
import type { WavryRelaySpec } from '../api/spec.ts';
import type { RelayStatus, WavryRelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';
import type { WorkQueue } from '../kube/work-queue.ts';
import { targetSessionsOf } from '../specs/fleet.ts';

/** The operator's metrics, with the names of controller-runtime and client-go where they have one. */
export interface OperatorMetrics {
  readonly registry: Registry;
  readonly reconciles: Counter<'controller' | 'result'>;
  readonly reconcileErrors: Counter<'controller'>;
  readonly reconcileSeconds: Histogram<'controller'>;
  readonly adds: Counter<'name'>;
  readonly retries: Counter<'name'>;
  readonly requests: Counter<'code' | 'method'>;
}

/** What gauges are read from at each scrape. */
export interface MetricSources {
  readonly controller: string;
  readonly workers: number;
  readonly lease: string;
  readonly leading: () => boolean;
  readonly queue: () => Pick<WorkQueue, 'depth' | 'runningMs'>;
  /** The latest status of each fleet, by `namespace/name`. */
  readonly statuses: ReadonlyMap<string, WavryRelayStatus>;
  /** The fleets there are, worked on or not. */
  readonly fleets: () => readonly KubeObject[];
}

const STATES: readonly RelayStatus['state'][] = [
  'Pending',
  'Starting',
  'Serving',
  'Draining',
  'Drained',
  'Unreachable',
  'Failed',
];

/** Those that rules go by. All together have no bound: pods and autoscalers of others bring words of their own. */
const REASONS: ReadonlySet<string> = new Set(['Unschedulable']);

export function operatorMetrics(sources: MetricSources): OperatorMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const { controller, lease, leading } = sources;
  gauge(
    registry,
    'leader_election_master_status',
    'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.',
    ['name'],
    (set) => set({ name: lease }, leading() ? 1 : 0),
  );
  queueGauges(sources, registry);
  fleetGauges(sources, registry);
  specGauges(sources, registry);
  const registers = [registry];
  const metrics = {
    registry,
    reconciles: new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Total number of reconciliations per controller',
      labelNames: ['controller', 'result'],
      registers,
    }),
    reconcileErrors: new Counter({
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Total number of reconciliation errors per controller',
      labelNames: ['controller'],
      registers,
    }),
    reconcileSeconds: new Histogram({
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Length of time per reconciliation per controller',
      labelNames: ['controller'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    adds: new Counter({
      name: 'workqueue_adds_total',
      help: 'Total number of adds handled by workqueue',
      labelNames: ['name'],
      registers,
    }),
    retries: new Counter({
      name: 'workqueue_retries_total',
      help: 'Total number of retries handled by workqueue',
      labelNames: ['name'],
      registers,
    }),
    requests: new Counter({
      name: 'rest_client_requests_total',
      help: 'Number of HTTP requests, partitioned by status code and method.',
      labelNames: ['code', 'method'],
      registers,
    }),
  } satisfies OperatorMetrics;
  // A series that begins with its first error is none to alert on.
  for (const result of ['success', 'error']) metrics.reconciles.inc({ controller, result }, 0);
  metrics.reconcileErrors.inc({ controller }, 0);
  metrics.retries.inc({ name: controller }, 0);
  return metrics;
}

function queueGauges({ controller, workers, queue }: MetricSources, registry: Registry): void {
  gauge(registry, 'workqueue_depth', 'Current depth of workqueue', ['name'], (set) =>
    set({ name: controller }, queue().depth),
  );
  gauge(
    registry,
    'workqueue_longest_running_processor_seconds',
    'How many seconds has the longest running processor for workqueue been running.',
    ['name'],
    (set) => set({ name: controller }, Math.max(0, ...queue().runningMs) / 1000),
  );
  gauge(
    registry,
    'controller_runtime_active_workers',
    'Number of currently used workers per controller',
    ['controller'],
    (set) => set({ controller }, queue().runningMs.length),
  );
  gauge(
    registry,
    'controller_runtime_max_concurrent_reconciles',
    'Maximum number of concurrent reconciles per controller',
    ['controller'],
    (set) => set({ controller }, workers),
  );
}

/** Of the leader only, and of fleets that are there: another's numbers would be stale. */
function fleetGauges(sources: MetricSources, registry: Registry): void {
  const fleetGauge = (
    name: string,
    help: string,
    further: readonly string[],
    fill: (set: SetGauge, labels: Labels, status: WavryRelayStatus) => void,
  ): void =>
    gauge(registry, name, help, ['namespace', 'fleet', ...further], (set) => {
      if (!sources.leading()) return;
      for (const [key, status] of sources.statuses) {
        const [namespace = '', fleet = ''] = key.split('/');
        fill(set, { namespace, fleet }, status);
      }
    });
  fleetGauge(
    'wavry_operator_fleet_sessions',
    'Sessions on all relays of a WavryRelay',
    [],
    (set, labels, status) => set(labels, status.totalSessions ?? 0),
  );
  fleetGauge(
    'wavry_operator_fleet_session_capacity',
    'Sessions that the serving relays of a WavryRelay can hold',
    [],
    (set, labels, status) => set(labels, status.sessionCapacity ?? 0),
  );
  fleetGauge(
    'wavry_operator_fleet_relays',
    'Relays of a WavryRelay by state',
    ['state'],
    (set, labels, status) => {
      for (const state of STATES) {
        set({ ...labels, state }, status.relays?.filter((relay) => relay.state === state).length ?? 0);
      }
    },
  );
  fleetGauge(
    'wavry_operator_fleet_condition',
    'Conditions of a WavryRelay: 1 for the status that each has',
    ['type', 'status', 'reason'],
    (set, labels, { conditions }) => {
      for (const { type, status, reason } of conditions ?? [])
        set({ ...labels, type, status, reason: REASONS.has(reason) ? reason : '' }, 1);
    },
  );
  fleetGauge(
    'wavry_operator_relay_drain_start_timestamp_seconds',
    'When a relay began to drain, in Unix seconds; of draining relays only',
    ['relay'],
    (set, labels, { relays }) => {
      for (const { name, drainingSince } of relays ?? []) {
        if (drainingSince !== undefined) set({ ...labels, relay: name }, Date.parse(drainingSince) / 1000);
      }
    },
  );
}

/** What is asked for; by the leader only too, so that each fleet is there once. */
function specGauges({ fleets, leading }: MetricSources, registry: Registry): void {
  const specGauge = (
    name: string,
    help: string,
    further: readonly string[],
    fill: (set: SetGauge, labels: Labels, spec: WavryRelaySpec) => void,
  ): void =>
    gauge(registry, name, help, ['namespace', 'fleet', ...further], (set) => {
      if (!leading()) return;
      for (const object of fleets()) {
        const { name: fleet, namespace = '' } = object.metadata;
        const spec = specOf(object);
        if (spec) fill(set, { namespace, fleet }, spec);
      }
    });
  specGauge(
    'wavry_operator_fleet_spec_replicas',
    'Relays that a WavryRelay asks for',
    [],
    (set, labels, { replicas }) => set(labels, replicas),
  );
  specGauge(
    'wavry_operator_fleet_autoscaling_bound',
    'minReplicas and maxReplicas of a WavryRelay that is autoscaled',
    ['bound'],
    (set, labels, { autoscaling }) => {
      if (!autoscaling) return;
      set({ ...labels, bound: 'min' }, autoscaling.minReplicas);
      set({ ...labels, bound: 'max' }, autoscaling.maxReplicas);
    },
  );
  specGauge(
    'wavry_operator_fleet_autoscaling_target_sessions',
    'Sessions per relay that autoscaling holds a WavryRelay at',
    [],
    (set, labels, spec) => {
      if (spec.autoscaling) set(labels, targetSessionsOf(spec));
    },
  );
}

/** Stores hand out the same object until it changes. */
const specs = new WeakMap<KubeObject, { readonly spec: WavryRelaySpec | undefined }>();

function specOf(object: KubeObject): WavryRelaySpec | undefined {
  const known = specs.get(object) ?? { spec: readSpec(object['spec']).spec };
  specs.set(object, known);
  return known.spec;
}

type Labels = Readonly<Record<string, string>>;
type SetGauge = (labels: Labels, value: number) => void;

/** A gauge that is filled anew at each scrape. */
function gauge(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  fill: (set: SetGauge) => void,
): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [],
      collect() {
        this.reset();
        fill((labels, value) => this.set(labels, value));
      },
    }),
  );
}
