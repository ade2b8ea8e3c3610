import { Label } from '../api/meta.ts';
import { readSpec } from '../api/read-spec.ts';
import type { WavryRelaySpec } from '../api/spec.ts';
import type { KubeObject } from '../kube/object.ts';
import type { MeasuredObject, MetricName, MetricSource } from '../metricsapi/metrics.ts';
import {
  activeSessions,
  type DemandWorld,
  type Measured,
  overloadShedRate,
  podSessions,
  podShedRate,
} from '../plan/demand.ts';
import type { ObservedPod, Poll } from '../plan/world.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { observeFleet, observeRelays } from './observe.ts';
import { observePod } from './observe-pod.ts';

export interface MetricSourceOptions {
  readonly view: ClusterView;
  readonly polls: () => ReadonlyMap<string, Poll>;
  readonly pollsComplete: () => boolean;
  readonly wallMs: () => number;
  readonly fieldManager: string;
}

/** What autoscalers may ask for, out of this replica's stores and polls: nobody has to lead for that. */
export function metricSource(options: MetricSourceOptions): MetricSource {
  const { view } = options;
  const pods = (namespace: string): KubeObject[] =>
    view.ofKind('Pod').filter((pod) => pod.metadata.namespace === namespace && isRelayPod(pod));
  return {
    find: (resource, namespace, name) => {
      if (resource === 'pods') {
        const pod = view.find('Pod', namespace, name);
        return pod && isRelayPod(pod) ? measuredPod(options, pod) : undefined;
      }
      const fleet = view.fleets.get(namespace, name);
      return fleet && measuredFleet(options, fleet);
    },
    list: (resource, namespace) =>
      resource === 'pods'
        ? pods(namespace).map((pod) => measuredPod(options, pod))
        : view.fleets
            .list()
            .filter((fleet) => fleet.metadata.namespace === namespace)
            .map((fleet) => measuredFleet(options, fleet)),
  };
}

function measuredFleet(options: MetricSourceOptions, fleet: KubeObject): MeasuredObject {
  const { name, labels } = fleet.metadata;
  return {
    kind: 'WavryRelay',
    apiVersion: 'wavry.dev/v1alpha1',
    name,
    labels: labels ?? {},
    measure: (metric) => {
      const world = demandWorld(options, fleet, fleetPods(options.view, fleet));
      if (!world) return { unknown: `the spec of ${name} is not valid; its Ready condition says why` };
      return byMetric(metric, {
        active_sessions: () => activeSessions(world),
        overload_shed_packets: () => overloadShedRate(world),
      });
    },
  };
}

function measuredPod(options: MetricSourceOptions, object: KubeObject): MeasuredObject {
  const { name, namespace = '', labels } = object.metadata;
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    name,
    labels: labels ?? {},
    measure: (metric) => {
      const fleet = options.view.fleets.get(namespace, labels?.[Label.fleet] ?? '');
      const pod = observePod(object);
      const world = fleet && demandWorld(options, fleet, [pod]);
      if (!world) return { unknown: `pod ${name} belongs to no valid WavryRelay` };
      return byMetric(metric, {
        active_sessions: () => podSessions(world, pod),
        overload_shed_packets: () => podShedRate(world, pod),
      });
    },
  };
}

function byMetric(metric: MetricName, measures: Readonly<Record<MetricName, () => Measured>>): Measured {
  return measures[metric]();
}

function demandWorld(
  options: MetricSourceOptions,
  fleet: KubeObject,
  pods: readonly ObservedPod[],
): DemandWorld | undefined {
  const spec = specOf(fleet);
  if (!spec) return undefined;
  return {
    nowMs: options.wallMs(),
    fleet: observeFleet(fleet, spec, { defaultImage: '', runbooks: '' }),
    relays: observeRelays(options.view, fleet, options.fieldManager),
    pods,
    polls: options.polls(),
    pollsComplete: options.pollsComplete(),
    // Only the leader reads registries; the status tells the others what it has seen.
    master: undefined,
  };
}

function fleetPods(view: ClusterView, { metadata }: KubeObject): ObservedPod[] {
  return view.ofFleet(`${metadata.namespace}/${metadata.name}`, 'Pod').filter(isRelayPod).map(observePod);
}

/** Stores hand out the same object until it changes. */
const specs = new WeakMap<KubeObject, { readonly spec: WavryRelaySpec | undefined }>();

function specOf(fleet: KubeObject): WavryRelaySpec | undefined {
  const known = specs.get(fleet) ?? { spec: readSpec(fleet['spec']).spec };
  specs.set(fleet, known);
  return known.spec;
}
