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
  const held = spec.rollout.paused || !world.mayRollOut;
  // A relay that somebody wants drained is replaced like one of another revision, and nothing holds that up.
  const outgoing = present.filter((view) => view.relay.drainRequested || isOld(view, target));
  const going = outgoing.filter((view) => view.relay.drainRequested || !held);

  // Replacements come first, as many at a time as the surge allows.
  const wanted = Math.min(desired - (present.length - going.length), desired + surge - present.length);
  const missing = Math.max(0, wanted);
  const usable = relays
    .filter((view) => view.draining && !view.lost && view.pod !== undefined && !isOld(view, target))
    .filter((view) => !view.relay.drainRequested)
    .toSorted(mostWorthKeeping);
  // Who no longer wants a relay drained means that one, also where another has taken its place meanwhile.
  const withdrawn = usable.filter((view) => view.relay.drainReason === 'Requested');
  const others = usable.filter((view) => view.relay.drainReason !== 'Requested');
  const takeBack = [...withdrawn, ...others.slice(0, Math.max(0, missing - withdrawn.length))];
  const stuck = isStuck(world, fresh, takeBack.length);

  return {
    create: Math.max(0, missing - takeBack.length),
    takeBack,
    drain: victims(present, target, {
      desired,
      unavailable,
      outgoing,
      going: stuck ? [] : going,
      added: takeBack.length,
      surge,
    }),
    outdated: alive.filter((view) => isOld(view, target)).length,
    rollingOut: !held && present.some((view) => isOld(view, target)),
    stuck,
  };
}

interface Bounds {
  readonly desired: number;
  readonly unavailable: number;
  /** Relays that others are to take the place of, and those of them of which that may happen now. */
  readonly outgoing: readonly RelayView[];
  readonly going: readonly RelayView[];
  readonly added: number;
  readonly surge: number;
}

/** Relays that start to drain now, worst first. Serving ones never fall below what is asked, less maxUnavailable. */
function victims(present: readonly RelayView[], target: string, bounds: Bounds): RelayView[] {
  const { outgoing } = bounds;
  const least = bounds.desired - bounds.unavailable;
  const fresh = present.filter((view) => !outgoing.includes(view));
  const order = (a: RelayView, b: RelayView): number =>
    standing(a, target) - standing(b, target) || leastWorthKeeping(a, b);
  const chosen: RelayView[] = [];

  // Each relay that is to stay and has registered lets one that is to go do so; those that serve nobody go with the
  // first that could take their place.
  let spare = present.filter((view) => view.serving === 'yes').length - least;
  for (const view of bounds.going.toSorted(order)) {
    if (view.serving === 'no' && fresh.length > 0) chosen.push(view);
    else if (view.serving === 'yes' && spare > 0) {
      chosen.push(view);
      spare -= 1;
    } else if (view.serving === 'unknown' && spare > 0) chosen.push(view);
  }

  // While a rollout goes on or is held where it is, the surge is not a surplus.
  const room = bounds.desired + (outgoing.length > chosen.length && fresh.length > 0 ? bounds.surge : 0);
  const left = present.filter((view) => !chosen.includes(view));
  let serving = left.filter((view) => view.serving === 'yes').length;
  let surplus = left.length + bounds.added - room;
  let waiting = false;
  for (const view of left.toSorted(order)) {
    if (surplus <= 0) break;
    if (view.serving === 'yes') {
      if (serving <= least) {
        waiting = true;
        continue;
      }
      serving -= 1;
    }
    // It is worth more than one that only has to wait for it: else every relay taken back would go again at once.
    if (view.returning && waiting) continue;
    chosen.push(view);
    surplus -= 1;
  }
  return chosen;
}

function isOld(view: RelayView, target: string): boolean {
  return view.relay.revision !== target;
}

/** Those go first that somebody wants drained, then those of another revision. */
function standing(view: RelayView, target: string): number {
  if (view.relay.drainRequested) return 0;
  return isOld(view, target) ? 1 : 2;
}

/** Not registered, then fewest sessions, then youngest (design-operator 4, Scale); the name breaks ties for good. */
function leastWorthKeeping(a: RelayView, b: RelayView): number {
  return (
    worth(a) - worth(b) ||
    a.sessions - b.sessions ||
    b.relay.createdMs - a.relay.createdMs ||
    (a.relay.name < b.relay.name ? 1 : -1)
  );
}

function worth(view: RelayView): number {
  return view.returning ? 2 : { no: 0, unknown: 1, yes: 2 }[view.serving];
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
