import { durationSeconds } from '../api/duration.ts';
import { Label } from '../api/meta.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import { DATA_PORT, relayDeployment } from '../specs/deployment.ts';
import { endpointService } from '../specs/endpoint-service.ts';
import { capacityOf } from '../specs/fleet.ts';
import { masterKeys } from '../specs/master-keys.ts';
import { metricsService } from '../specs/metrics-service.ts';
import { relayName, relayOrdinal } from '../specs/names.ts';
import { networkPolicy } from '../specs/network-policy.ts';
import type { AppliedObject } from '../specs/object.ts';
import { podDisruptionBudget } from '../specs/pod-disruption-budget.ts';
import { revisionOf } from '../specs/revision.ts';
import { serviceAccount } from '../specs/service-account.ts';
import { serviceMonitor } from '../specs/service-monitor.ts';
import { conditions } from './conditions.ts';
import { deletionOf, drainDeadlineMs, drainIsOver, drainWish, masterCalls, podPatch } from './drain.ts';
import { endpointOf } from './endpoint.ts';
import { decideSize, type SizeDecision } from './fleet-size.ts';
import { withoutForeign } from './foreign.ts';
import { allocatePorts } from './ports.ts';
import { relayStatus, troubleOf, type Trouble } from './relay-status.ts';
import { isFresh, type RelayView, viewRelays } from './relay-view.ts';
import type { Deletion, MasterCall, MetadataPatch, Plan, PlannedEvent, Restoration, World } from './world.ts';

/**
 * What should be done about one WavryRelay, from what is seen of it and nothing else: the same world gives the same
 * plan, and the plan of a world in which the last plan was carried out asks for nothing.
 */
export function plan(world: World): Plan {
  const { fleet } = world;
  const target = revisionOf(fleet);
  const relays = viewRelays(world);
  const size = decideSize(world, relays, target);
  const events: PlannedEvent[] = [];
  const faults: Trouble[] = [];

  const apply: AppliedObject[] = fleetObjects(world);
  const deletions: Deletion[] = [];
  const master: MasterCall[] = [];
  const restore: Restoration[] = [];
  const relayPatches: MetadataPatch[] = [];
  const podPatches: MetadataPatch[] = [];
  const looks: number[] = [];

  for (const view of relays) {
    const drains = size.drain.includes(view);
    const returns = size.takeBack.includes(view);
    const draining = drains || (view.draining && !returns);
    const sinceMs = view.relay.drainingSinceMs ?? world.nowMs;
    const endpoint = endpointOf(world, view);

    const over = draining ? drainIsOver(world, view, sinceMs) : undefined;
    if (over) {
      deletions.push(deletionOf(view));
      events.push(gone(view, over, fleet.spec.drain.timeout));
    } else {
      const wish = drainWish(view, draining ? sinceMs : undefined);
      if (wish) relayPatches.push(wish);
      if (draining) looks.push(drainDeadlineMs(world, sinceMs));
      const patch = podPatch(view, draining, endpoint);
      if (patch) podPatches.push(patch);
    }
    master.push(...masterCalls(world, view, draining, drains || returns));
    if (view.pod) {
      const service = endpointService(fleet, view.pod);
      if (service) apply.push(service);
    }
    if (drains) events.push(normal('DrainStarted', `${view.relay.name} drains ${view.sessions} sessions`));
    if (returns) events.push(normal('DrainTakenBack', `${view.relay.name} serves again`));
    if (!over && view.relay.foreignManagers.length > 0 && view.relay.appliedSpec) {
      restore.push({ name: view.relay.name, uid: view.relay.uid, spec: view.relay.appliedSpec });
      events.push(
        warning(
          'ForeignChangeReverted',
          `what ${view.relay.foreignManagers.join(', ')} changed in Deployment ${view.relay.name} is put back: it ends its sessions. To restart the relays set spec.restartedAt`,
        ),
      );
    }
  }

  const created = newRelays(world, size.create, target, faults);
  for (const deployment of created) {
    events.push(normal('RelayCreated', `${deployment.metadata.name} is added`));
  }

  const applied = withoutForeign(world, apply);
  const creations = withoutForeign(world, created);
  faults.push(
    ...[...applied.problems, ...creations.problems].map((message) => ({ reason: 'ForeignObject', message })),
  );
  faults.push(...world.referenceProblems.map((message) => ({ reason: 'ReferenceMissing', message })));
  faults.push(...[...world.failures.values()].map((message) => ({ reason: 'ApplyFailed', message })));
  if (fleet.spec.monitoring.serviceMonitor && world.unknownKinds.has('ServiceMonitor')) {
    faults.push({
      reason: 'MonitoringUnavailable',
      message:
        'this cluster has no ServiceMonitor: install the Prometheus Operator, or set spec.monitoring.serviceMonitor to false',
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
    status: statusOf(world, relays, size, target, faults),
    events,
    nextLookMs: earliest([...looks, ...lostNodeLooks(world), ...readyLooks(world, relays)], world.nowMs),
  };
}

function fleetObjects(world: World): AppliedObject[] {
  const { fleet } = world;
  const objects = [
    serviceAccount(fleet),
    masterKeys(fleet),
    metricsService(fleet),
    podDisruptionBudget(fleet),
    networkPolicy(fleet),
    world.unknownKinds.has('ServiceMonitor') ? undefined : serviceMonitor(fleet),
  ];
  return objects.filter((object) => object !== undefined);
}

/** Further relays with the lowest free ordinals, so that planning the same world twice cannot make two of one. */
function newRelays(world: World, count: number, target: string, faults: Trouble[]): AppliedObject[] {
  if (count === 0 || world.fleet.deleting) return [];
  const { fleet } = world;
  const taken = new Set(
    world.relays
      .filter((relay) => relay.revision === target)
      .map((relay) => relayOrdinal(fleet.name, relay.name)),
  );
  const onHost = fleet.spec.exposure.type === 'HostPort' || fleet.spec.exposure.type === 'HostNetwork';
  const ports = onHost ? allocatePorts(world, count) : Array<number>(count).fill(DATA_PORT);
  if (ports.includes(undefined)) {
    faults.push({
      reason: 'PortsUsedUp',
      message: `every port of spec.exposure.portRange ${fleet.spec.exposure.portRange} is taken on every node; widen it (and your firewall), or add nodes`,
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

function statusOf(
  world: World,
  relays: readonly RelayView[],
  size: SizeDecision,
  target: string,
  faults: readonly Trouble[],
): WavryRelayStatus {
  const { fleet } = world;
  const endpoints = new Map(relays.map((view) => [view, endpointOf(world, view)]));
  const troubles = relays.flatMap((view) => {
    const trouble = troubleOf(world, view, endpoints.get(view)!);
    return trouble ? [{ view, trouble }] : [];
  });
  const kept = relays.filter((view) => !view.draining && !size.drain.includes(view));
  const serving = kept.filter((view) => view.serving === 'yes');
  const draining = relays.length - kept.length;
  const capacity = capacityOf(fleet.spec).maxSessions;

  return {
    observedGeneration: fleet.generation,
    // Surge isn't counted, or a rollout would look like idleness to the autoscaler (design-operator 5).
    replicas:
      fleet.status === undefined
        ? fleet.spec.replicas
        : Math.min(fleet.spec.replicas, kept.length + size.create),
    readyReplicas: serving.length,
    drainingReplicas: draining,
    selector: `${Label.fleet}=${fleet.name}`,
    totalSessions: relays.reduce((sum, view) => sum + view.sessions, 0),
    sessionCapacity: serving.reduce((sum, view) => sum + (view.poll?.maxSessions ?? capacity), 0),
    ...(size.outdated === 0 && serving.length >= fleet.spec.replicas
      ? { currentRevision: target }
      : fleet.status?.currentRevision === undefined
        ? {}
        : { currentRevision: fleet.status.currentRevision }),
    targetRevision: target,
    relays: relays
      .map((view) =>
        relayStatus(view, endpoints.get(view)!, troubles.find((entry) => entry.view === view)?.trouble),
      )
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    conditions: conditions(world, {
      size,
      relays,
      troubles: troubles.map((entry) => entry.trouble),
      faults,
    }),
  };
}

/** The next time at which a node turns from not ready to lost. */
function lostNodeLooks(world: World): number[] {
  return [...world.nodes.values()].flatMap((node) =>
    node.notReadySinceMs === undefined ? [] : [node.notReadySinceMs + 20_000],
  );
}

/** The next time at which a relay that isn't registered stops the rollout, or a poll grows stale. */
function readyLooks(world: World, relays: readonly RelayView[]): number[] {
  const timeoutMs = durationSeconds(world.fleet.spec.exposure.readyTimeout) * 1000;
  return relays.flatMap((view) => [
    ...(view.serving === 'yes' ? [] : [view.relay.createdMs + timeoutMs]),
    ...(view.poll && isFresh(view.poll, world.nowMs) ? [view.poll.answeredMs + 15_001] : []),
  ]);
}

function earliest(times: readonly number[], nowMs: number): number | undefined {
  const future = times.filter((time) => time > nowMs);
  return future.length === 0 ? undefined : Math.min(...future);
}

function gone(view: RelayView, over: 'empty' | 'timeout', timeout: string): PlannedEvent {
  return over === 'empty'
    ? normal('DrainFinished', `${view.relay.name} is empty and goes`)
    : warning(
        'DrainTimedOut',
        `${view.relay.name} still held ${view.sessions} sessions when drain.timeout (${timeout}) passed, and goes`,
      );
}

function normal(reason: string, message: string): PlannedEvent {
  return { type: 'Normal', reason, message };
}

function warning(reason: string, message: string): PlannedEvent {
  return { type: 'Warning', reason, message };
}
