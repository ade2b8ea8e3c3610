import { Label } from '../api/meta.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import { capacityOf } from '../specs/fleet.ts';
import { conditions } from './conditions.ts';
import { activeSessions } from './demand.ts';
import { type EndpointDecision, endpointOf } from './endpoint.ts';
import type { SizeDecision } from './fleet-size.ts';
import { mismatchOf, relayStatus, troubleOf, type Trouble } from './relay-status.ts';
import type { RelayView } from './relay-view.ts';
import type { World } from './world.ts';

/** What a plan has decided, as far as the status tells of it. */
export interface Decided {
  readonly relays: readonly RelayView[];
  readonly endpoints: ReadonlyMap<RelayView, EndpointDecision>;
  readonly size: SizeDecision;
  /** Relays that are being made now. */
  readonly created: number;
  readonly target: string;
  /** What is wrong although relays may serve. */
  readonly faults: readonly Trouble[];
}

export function statusOf(world: World, decided: Decided): WavryRelayStatus {
  const { fleet } = world;
  const { relays, endpoints, size, target } = decided;
  const troubles = new Map<RelayView, Trouble>();
  const mismatches: Trouble[] = [];
  for (const view of relays) {
    const trouble = troubleOf(world, view, endpoints.get(view) ?? endpointOf(world, view));
    if (trouble) troubles.set(view, trouble);
    const mismatch = mismatchOf(view, endpoints.get(view) ?? endpointOf(world, view));
    if (mismatch) mismatches.push(mismatch);
  }
  const goes = new Set(size.drain);
  const returns = new Set(size.takeBack);
  const kept = relays.filter((view) => (!view.draining || returns.has(view)) && !goes.has(view));
  const serving = kept.filter((view) => view.serving === 'yes');
  const capacity = capacityOf(fleet.spec).maxSessions;
  const before = fleet.status;

  return {
    observedGeneration: fleet.generation,
    // Surge isn't counted, or a rollout would look like idleness to the autoscaler (design-operator 5).
    replicas:
      before?.replicas === undefined
        ? fleet.spec.replicas
        : Math.min(
            fleet.spec.replicas,
            kept.filter((view) => view.away === undefined).length + decided.created,
          ),
    readyReplicas: serving.length,
    drainingReplicas: relays.length - kept.length,
    selector: `${Label.fleet}=${fleet.name}`,
    ...totalSessions(world),
    sessionCapacity: serving.reduce((sum, view) => sum + capacityOfRelay(view, capacity), 0),
    ...(size.outdated === 0 && serving.length >= fleet.spec.replicas
      ? { currentRevision: target }
      : before?.currentRevision === undefined
        ? {}
        : { currentRevision: before.currentRevision }),
    targetRevision: target,
    relays: relays
      .map((view) => relayStatus(view, endpoints.get(view) ?? endpointOf(world, view), troubles.get(view)))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    conditions: conditions(world, {
      size,
      target,
      relays,
      troubles: [...troubles.values()],
      faults: [...decided.faults, ...mismatches],
    }),
  };
}

/** Demand, by the rule that the autoscaler's metric follows. While that is unknown, what was known last stays. */
function totalSessions(world: World): Pick<WavryRelayStatus, 'totalSessions'> {
  const demand = activeSessions(world);
  const known = 'value' in demand ? demand.value : world.fleet.status?.totalSessions;
  return known === undefined ? {} : { totalSessions: known };
}

/** What a relay says of itself, but no more than it was given. */
function capacityOfRelay({ pod, poll }: RelayView, capacity: number): number {
  const given = pod?.maxSessions ?? capacity;
  return Math.min(poll?.maxSessions ?? given, given);
}
