import { durationSeconds } from '../api/duration.ts';
import { takesHostPort } from '../api/exposure.ts';
import { DATA_PORT, relayDeployment } from '../specs/deployment.ts';
import { endpointService, endpointServiceName } from '../specs/endpoint-service.ts';
import { masterKeys } from '../specs/master-keys.ts';
import { dashboard } from '../specs/dashboard.ts';
import { metricsService } from '../specs/metrics-service.ts';
import { masterKeysName, relayName, relayOrdinal } from '../specs/names.ts';
import { networkPolicy } from '../specs/network-policy.ts';
import type { AppliedObject } from '../specs/object.ts';
import { podDisruptionBudget } from '../specs/pod-disruption-budget.ts';
import { prometheusRule } from '../specs/prometheus-rule.ts';
import { revisionOf } from '../specs/revision.ts';
import { serviceAccount } from '../specs/service-account.ts';
import { serviceMonitor } from '../specs/service-monitor.ts';
import { wantedAutoscaler } from './autoscaling.ts';
import {
  deletionOf,
  drainDeadlineMs,
  drainIsOver,
  drainReasonOf,
  drainWish,
  leavingCalls,
  masterCalls,
  podPatch,
} from './drain.ts';
import { type EndpointDecision, endpointOf } from './endpoint.ts';
import {
  type Choice,
  drainOver,
  drainStarted,
  drainTakenBack,
  foreignChange,
  podEnding,
  relayCreated,
  rolloutEvents,
} from './events.ts';
import { decideSize, type SizeDecision } from './fleet-size.ts';
import { withoutForeign } from './foreign.ts';
import { MONITORING } from './monitoring.ts';
import { allocatePorts } from './ports.ts';
import { exposurePatch } from './relay-exposure.ts';
import type { Trouble } from './relay-status.ts';
import {
  hasEnded,
  leavingPods,
  NODE_LOST_MS,
  outSinceMs,
  POLL_STALE_MS,
  unknownSinceMs,
  type RelayView,
  viewRelays,
} from './relay-view.ts';
import { statusOf } from './status.ts';
import type {
  Deletion,
  MasterCall,
  MetadataPatch,
  ObservedPod,
  Plan,
  PlannedEvent,
  Restoration,
  World,
} from './world.ts';

/**
 * What should be done about one WavryRelay, from what is seen of it and nothing else: the same world gives the same
 * plan, and the plan of a world in which the last plan was carried out asks for nothing.
 */
export function plan(world: World): Plan {
  const { fleet } = world;
  const target = revisionOf(fleet);
  const relays = viewRelays(world);
  const size = decideSize(world, relays, target);
  const choice: Choice = { world, relays, size, target };
  const events: PlannedEvent[] = rolloutEvents(choice);
  const faults: Trouble[] = [];

  const apply: AppliedObject[] = [];
  const deletions: Deletion[] = [];
  const master: MasterCall[] = [];
  const restore: Restoration[] = [];
  const relayPatches: MetadataPatch[] = [];
  const podPatches: MetadataPatch[] = [];
  const looks: number[] = [];
  const endpoints = new Map<RelayView, EndpointDecision>();
  const leaving = new Set(size.drain);
  const returning = new Set(size.takeBack);

  for (const view of relays) {
    const drains = leaving.has(view);
    const returns = returning.has(view);
    const draining = drains || (view.draining && !returns);
    // Anybody can write the annotation: a time to come would be a drain without an end.
    const sinceMs = Math.min(view.relay.drainingSinceMs ?? world.nowMs, world.nowMs);
    const endpoint = endpointOf(world, view);
    endpoints.set(view, endpoint);

    const over = draining ? drainIsOver(world, view, sinceMs) : undefined;
    if (over) {
      deletions.push(deletionOf(view));
      events.push(drainOver(view, over, fleet.spec.drain.timeout));
    } else {
      const wish = drainWish(
        view,
        draining ? sinceMs : undefined,
        drains ? drainReasonOf(view, size) : undefined,
      );
      if (wish) relayPatches.push(wish);
      const record = exposurePatch(view.relay, view.exposure);
      if (record) relayPatches.push(record);
      if (draining) looks.push(drainDeadlineMs(world, sinceMs));
      const patch = podPatch(view, draining, endpoint);
      if (patch) podPatches.push(patch);
    }
    master.push(...masterCalls(world, view, draining, drains || returns));
    if (view.pod) {
      const live = world.endpointServices.get(view.pod.uid);
      const service = endpointService(fleet, view.exposure, view.pod, live);
      if (service) apply.push(service);
    }
    if (drains && !over) events.push(drainStarted(view, drainReasonOf(view, size), choice));
    if (returns) events.push(drainTakenBack(view));
    events.push(...podEnding(view));
    if (!over && view.relay.foreignManagers.length > 0 && view.relay.appliedSpec) {
      restore.push({ name: view.relay.name, uid: view.relay.uid, spec: view.relay.appliedSpec });
      events.push(foreignChange(view));
    }
  }

  master.push(...leavingCalls(world, leavingPods(world)));

  const created = newRelays(world, size.create, target, faults);
  apply.push(...fleetObjects(world, ableCount(relays, size) + created.length));

  const applied = withoutForeign(world, apply);
  const creations = withoutForeign(world, created);
  events.push(...creations.ours.map(({ metadata }) => relayCreated(metadata.name, choice)));
  deletions.push(...unwanted(world, apply, size.outdated), ...servicesOfEnded(world));
  faults.push(...applied.problems, ...creations.problems);
  faults.push(...world.referenceProblems.map((message) => ({ reason: 'ReferenceMissing', message })));
  faults.push(...world.failures.values());
  faults.push(
    ...world.unknownFields.map((field) => ({
      reason: 'UnknownField',
      message: `${field} means nothing to this version of the operator and has no effect: upgrade the operator, or remove it`,
    })),
  );
  for (const { kind, field } of MONITORING) {
    if (fleet.spec.monitoring[field] !== true || !world.unknownKinds.has(kind)) continue;
    faults.push({
      reason: 'MonitoringUnavailable',
      message: `this cluster has no ${kind}: install the Prometheus Operator, or leave spec.monitoring.${field} out`,
    });
  }

  return {
    apply: applied.ours,
    create: creations.ours,
    restore,
    relayPatches,
    master,
    podPatches,
    deletions,
    status: statusOf(world, { relays, endpoints, size, created: creations.ours.length, target, faults }),
    events,
    nextLookMs: earliest([...looks, ...lostNodeLooks(world), ...readyLooks(world, relays)], world.nowMs),
  };
}

/** Relays that serve, or may yet. */
function ableCount(relays: readonly RelayView[], { takeBack, drain }: SizeDecision): number {
  const there = relays.filter((view) => !view.draining && !drain.includes(view));
  return there.filter((view) => view.away === undefined && !view.late).length + takeBack.length;
}

function fleetObjects(world: World, able: number): AppliedObject[] {
  const { fleet } = world;
  const objects = [
    serviceAccount(fleet),
    masterKeys(fleet),
    metricsService(fleet),
    podDisruptionBudget(fleet, able),
    networkPolicy(fleet, oldestFirst(world.pods)),
    wantedAutoscaler(world),
    world.unknownKinds.has('ServiceMonitor') ? undefined : serviceMonitor(fleet),
    world.unknownKinds.has('PrometheusRule') ? undefined : prometheusRule(fleet),
    dashboard(fleet),
  ];
  return objects.filter((object) => object !== undefined);
}

function oldestFirst(pods: readonly ObservedPod[]): ObservedPod[] {
  return pods
    .filter((pod) => !hasEnded(pod))
    .toSorted((a, b) => a.createdMs - b.createdMs || (a.uid < b.uid ? -1 : 1));
}

/** Objects of the fleet that its spec no longer asks for. Relays of an older revision may still mount their keys. */
function unwanted(world: World, wanted: readonly AppliedObject[], outdated: number): Deletion[] {
  const kept = new Set(wanted.map((object) => `${object.kind}/${object.metadata.name}`));
  if (outdated > 0) kept.add(`ConfigMap/${masterKeysName(world.fleet.name)}`);
  return OPTIONAL_OBJECTS.flatMap(({ apiVersion, kind }) =>
    [...world.owned]
      .filter(([key, object]) => key.startsWith(`${kind}/`) && object.ours && !kept.has(key))
      .map(([key, { uid }]) => ({ apiVersion, kind, name: key.slice(kind.length + 1), uid })),
  );
}

/** Their owners, pods that have ended, may stay for months, and load balancers are paid for. */
function servicesOfEnded(world: World): Deletion[] {
  return world.pods.filter(hasEnded).flatMap((pod) => {
    const name = endpointServiceName(pod);
    const service = world.owned.get(`Service/${name}`);
    return service?.ours ? [{ apiVersion: 'v1', kind: 'Service', name, uid: service.uid }] : [];
  });
}

const OPTIONAL_OBJECTS = [
  { apiVersion: 'v1', kind: 'ConfigMap' },
  { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
  { apiVersion: 'monitoring.coreos.com/v1', kind: 'ServiceMonitor' },
  { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' },
] as const;

/** Further relays with the lowest free ordinals, so that planning the same world twice cannot make two of one. */
function newRelays(world: World, count: number, target: string, faults: Trouble[]): AppliedObject[] {
  if (count === 0) return [];
  const { fleet } = world;
  // The name of a relay whose pod still ends would make two of one in Services and status; others may have taken one too.
  const names = [
    ...world.relays.map((relay) => relay.name),
    ...world.pods.map((pod) => pod.relay),
    ...[...world.owned.keys()]
      .filter((key) => key.startsWith('Deployment/'))
      .map((key) => key.slice('Deployment/'.length)),
  ];
  const taken = new Set(
    names
      .filter((name) => name.startsWith(`${fleet.name}-${target}-`))
      .map((name) => relayOrdinal(fleet.name, name)),
  );
  const ports = takesHostPort(fleet.spec.exposure.type)
    ? allocatePorts(world, count)
    : Array<number>(count).fill(DATA_PORT);
  if (ports.includes(undefined)) {
    faults.push({
      reason: 'PortsUsedUp',
      message: `every port of spec.exposure.portRange ${fleet.spec.exposure.portRange} is taken on every node that its relays may run on; widen it (and your firewall), or add nodes`,
    });
  }

  let ordinal = 0;
  return ports
    .filter((port) => port !== undefined)
    .map((port) => {
      while (taken.has(ordinal)) ordinal += 1;
      taken.add(ordinal);
      return relayDeployment(fleet, { name: relayName(fleet.name, target, ordinal), revision: target, port });
    });
}

/** The next time at which a node turns from not ready, or from unknown, to lost. */
function lostNodeLooks(world: World): number[] {
  const unknown = world.pods.filter((pod) => pod.node !== undefined && !world.nodes.has(pod.node));
  return [
    ...[...world.nodes.values()].map((node) => node.notReadySinceMs),
    ...unknown.map((pod) => unknownSinceMs(pod, world.polls.get(pod.uid))),
  ].flatMap((sinceMs) => (sinceMs === undefined ? [] : [sinceMs + NODE_LOST_MS]));
}

/** The next time at which a relay that isn't ready has been so for long, or a poll grows stale. */
function readyLooks(world: World, relays: readonly RelayView[]): number[] {
  const timeoutMs = durationSeconds(world.fleet.spec.exposure.readyTimeout) * 1000;
  return relays.flatMap(({ relay, pod, poll, fresh }) => {
    const outMs = outSinceMs(relay, pod, world.nodes.get(pod?.node ?? ''));
    return [
      ...(outMs === undefined ? [] : [outMs + NODE_LOST_MS, outMs + timeoutMs]),
      // One that came to serve long ago no longer shows that a rollout gets on.
      ...(pod?.readyChangedMs === undefined ? [] : [pod.readyChangedMs + timeoutMs]),
      ...(poll && fresh ? [poll.answeredMs + POLL_STALE_MS + 1] : []),
    ];
  });
}

function earliest(times: readonly number[], nowMs: number): number | undefined {
  const future = times.filter((time) => time > nowMs);
  return future.length === 0 ? undefined : Math.min(...future);
}
