import { durationSeconds } from '../api/duration.ts';
import { percentOrNumber } from './percent.ts';
import type { RelayView } from './relay-view.ts';
import type { World } from './world.ts';

/** What is to become of the relays of a fleet: names that exist, and how many further ones to make. */
export interface SizeDecision {
  readonly create: number;
  readonly takeBack: readonly RelayView[];
  readonly drain: readonly RelayView[];
  /** Relays of another revision than the target that aren't draining yet, after this decision. */
  readonly outdated: number;
  readonly rollingOut: boolean;
  /** A target revision of which no relay registered in time. */
  readonly stuck: boolean;
}

/**
 * How many relays of which revision (design-operator 4, Rollout and Scale), judged afresh from what is there: nothing
 * is remembered, so a reverted spec or a restarted operator goes on from where things stand.
 */
export function decideSize(world: World, relays: readonly RelayView[], target: string): SizeDecision {
  const { spec } = world.fleet;
  const desired = spec.replicas;
  const surge = Math.max(1, percentOrNumber(spec.rollout.maxSurge, desired, 'up'));
  const unavailable = percentOrNumber(spec.rollout.maxUnavailable, desired, 'down');

  const alive = relays.filter((view) => !view.draining);
  const present = alive.filter((view) => !view.lost);
  const fresh = present.filter((view) => view.relay.revision === target);
  const old = present.filter((view) => view.relay.revision !== target);
  const held = spec.rollout.paused || !world.mayRollOut;
  const rollingOut = old.length > 0 && !held;

  const wanted = rollingOut
    ? Math.min(desired - fresh.length, desired + surge - present.length)
    : desired - present.length;
  const missing = Math.max(0, wanted);
  const takeBack = relays
    .filter((view) => view.draining && !view.lost && view.pod !== undefined && view.relay.revision === target)
    .toSorted(mostWorthKeeping)
    .slice(0, missing);
  const stuck = isStuck(world, fresh, takeBack.length);

  return {
    create: missing - takeBack.length,
    takeBack,
    drain: victims(present, target, { desired, unavailable, held, stuck, added: takeBack.length, surge }),
    outdated: alive.filter((view) => view.relay.revision !== target).length,
    rollingOut,
    stuck,
  };
}

interface Bounds {
  readonly desired: number;
  readonly unavailable: number;
  readonly held: boolean;
  readonly stuck: boolean;
  readonly added: number;
  readonly surge: number;
}

/** Relays that start to drain now, worst first. Serving ones never fall below what is asked, less maxUnavailable. */
function victims(present: readonly RelayView[], target: string, bounds: Bounds): RelayView[] {
  const old = present.filter((view) => view.relay.revision !== target);
  const fresh = present.length - old.length;
  const chosen: RelayView[] = [];

  if (old.length > 0 && !bounds.held && !bounds.stuck) {
    // Each relay of the target revision that has registered lets one old one go; those that serve nobody go with the
    // first that could take their place.
    let spare =
      present.filter((view) => view.serving === 'yes').length - (bounds.desired - bounds.unavailable);
    const servingFresh = present.some((view) => view.relay.revision === target && view.serving === 'yes');
    for (const view of old.toSorted(leastWorthKeeping)) {
      if (view.serving === 'no' && (servingFresh || fresh > 0)) chosen.push(view);
      else if (view.serving === 'yes' && spare > 0) {
        chosen.push(view);
        spare -= 1;
      } else if (view.serving === 'unknown' && spare > 0) chosen.push(view);
    }
  }

  // While a rollout goes on or is held where it is, the surge is not a surplus.
  const room = bounds.desired + (old.length > chosen.length && fresh > 0 ? bounds.surge : 0);
  const left = present.filter((view) => !chosen.includes(view));
  let serving = left.filter((view) => view.serving === 'yes').length;
  let surplus = left.length + bounds.added - room;
  const order = left.toSorted(
    (a, b) =>
      Number(a.relay.revision === target) - Number(b.relay.revision === target) || leastWorthKeeping(a, b),
  );
  for (const view of order) {
    if (surplus <= 0) break;
    if (view.serving === 'yes') {
      if (serving <= bounds.desired - bounds.unavailable) continue;
      serving -= 1;
    }
    chosen.push(view);
    surplus -= 1;
  }
  return chosen;
}

/** Not registered, then fewest sessions, then youngest (design-operator 4, Scale); the name breaks ties for good. */
function leastWorthKeeping(a: RelayView, b: RelayView): number {
  const rank = { no: 0, unknown: 1, yes: 2 } as const;
  return (
    rank[a.serving] - rank[b.serving] ||
    a.sessions - b.sessions ||
    b.relay.createdMs - a.relay.createdMs ||
    (a.relay.name < b.relay.name ? 1 : -1)
  );
}

function mostWorthKeeping(a: RelayView, b: RelayView): number {
  return (
    b.sessions - a.sessions || a.relay.createdMs - b.relay.createdMs || (a.relay.name < b.relay.name ? -1 : 1)
  );
}

function isStuck(world: World, fresh: readonly RelayView[], takenBack: number): boolean {
  if (fresh.length === 0 || takenBack > 0 || fresh.some((view) => view.serving === 'yes')) return false;
  const timeoutMs = durationSeconds(world.fleet.spec.exposure.readyTimeout) * 1000;
  return fresh.every((view) => world.nowMs - view.relay.createdMs >= timeoutMs);
}
