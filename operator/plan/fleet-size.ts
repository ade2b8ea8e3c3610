import { durationSeconds } from '../api/duration.ts';
import { percentOrNumber } from './percent.ts';
import type { RelayView } from './relay-view.ts';
import type { World } from './world.ts';

/** What is to become of the relays of a fleet: names that exist, and how many further ones to make. */
export interface SizeDecision {
  readonly create: number;
  readonly takeBack: readonly RelayView[];
  readonly drain: readonly RelayView[];
  /** Relays that others take the place of, as somebody wants them drained or the rollout goes on. */
  readonly going: ReadonlySet<RelayView>;
  /** Relays of another revision than the target that aren't draining yet, after this decision. */
  readonly outdated: number;
  readonly rollingOut: boolean;
  /** The target revision doesn't come to serve. */
  readonly stuck: boolean;
}

/**
 * How many relays of which revision (design-operator 4, Rollout and Scale), judged afresh from what is there: nothing
 * is remembered, so a reverted spec or a restarted operator goes on from where things stand. What is made or taken back
 * depends on whether the rollout may go on; what drains, on what it holds and whether it serves.
 */
export function decideSize(world: World, relays: readonly RelayView[], target: string): SizeDecision {
  const { spec } = world.fleet;
  const desired = spec.replicas;
  const surge = Math.max(1, percentOrNumber(spec.rollout.maxSurge, desired, 'up'));
  const unavailable = percentOrNumber(spec.rollout.maxUnavailable, desired, 'down');
  const isOld = (view: RelayView): boolean => view.relay.revision !== target;

  const alive = relays.filter((view) => !view.draining);
  const present = alive.filter((view) => view.away === undefined);
  const fresh = present.filter((view) => !isOld(view));
  const changing = fresh.length < present.length;
  const stuck = isStuck(world, fresh, changing);
  const held = spec.rollout.paused || !world.mayRollOut;
  const goesOn = !held && !stuck;
  // A relay that somebody wants drained is replaced like one of another revision, and nothing holds that up.
  const going = new Set(present.filter((view) => view.relay.drainRequested || (goesOn && isOld(view))));
  // What a stuck rollout has made serves nobody, and only tries to.
  const trials = new Set(stuck && changing ? fresh.filter((view) => view.serving !== 'yes') : []);
  const staying = present.filter((view) => !going.has(view) && !trials.has(view));

  // Replacements come first, as many at a time as the surge allows.
  const missing = Math.max(0, Math.min(desired - staying.length, desired + surge - present.length));
  // Those of another revision serve better than none, unless they are being replaced.
  const usable = relays
    .filter((view) => view.draining && view.away === undefined && view.pod !== undefined)
    .filter((view) => !view.relay.drainRequested && !(goesOn && isOld(view)))
    .toSorted((a, b) => Number(isOld(a)) - Number(isOld(b)) || mostWorthKeeping(a, b));
  // Who no longer wants a relay drained means that one, also where another has taken its place meanwhile.
  const withdrawn = usable.filter((view) => view.relay.drainReason === 'Requested');
  const others = usable.filter((view) => view.relay.drainReason !== 'Requested');
  const takeBack = [...withdrawn, ...others.slice(0, Math.max(0, missing - withdrawn.length))];

  const outgoing = present.filter((view) => view.relay.drainRequested || isOld(view)).length;
  const standing = (view: RelayView): number => {
    if (view.relay.drainRequested) return 0;
    if (going.has(view)) return 1;
    return trials.has(view) ? 3 : 2;
  };
  return {
    create: Math.max(0, missing - takeBack.length),
    takeBack,
    drain: victims(present, {
      desired,
      least: desired - unavailable,
      outgoing,
      going,
      added: takeBack.length,
      surge,
      order: (a, b) => standing(a) - standing(b) || leastWorthKeeping(a, b),
    }),
    going,
    outdated: alive.filter(isOld).length,
    rollingOut: !held && changing,
    stuck,
  };
}

interface Bounds {
  readonly desired: number;
  /** Serving relays never fall below this by a decision. */
  readonly least: number;
  /** How many others are to take the place of, and those of them of which that may happen now. */
  readonly outgoing: number;
  readonly going: ReadonlySet<RelayView>;
  readonly added: number;
  readonly surge: number;
  readonly order: (a: RelayView, b: RelayView) => number;
}

/** Relays that start to drain now, worst first. */
function victims(present: readonly RelayView[], bounds: Bounds): RelayView[] {
  const { desired, least, going, order } = bounds;
  const fresh = present.length - bounds.outgoing;
  const proven = present.some((view) => view.serving === 'yes' && !going.has(view));
  const chosen: RelayView[] = [];

  // Each relay that serves beyond what is asked lets one that is to go do so. Those that serve nobody go with the first
  // that could take their place; while they hold sessions, with the first that does.
  let spare = present.filter((view) => view.serving === 'yes').length - least;
  for (const view of [...going].toSorted(order)) {
    if (view.serving === 'no') {
      if (fresh > 0 && (proven || view.sessions === 0)) chosen.push(view);
    } else if (spare > 0) {
      chosen.push(view);
      if (view.serving === 'yes') spare -= 1;
    }
  }

  // While a rollout goes on or is held where it is, the surge is not a surplus.
  const room = desired + (bounds.outgoing > chosen.length && fresh > 0 ? bounds.surge : 0);
  const left = present.filter((view) => !chosen.includes(view));
  let serving = left.filter(isInService).length;
  let surplus = left.length + bounds.added - room;
  let waiting = false;
  for (const view of left.toSorted(order)) {
    if (surplus <= 0) break;
    if (isInService(view)) {
      if (serving <= least) {
        waiting = true;
        continue;
      }
      serving -= 1;
    } else if (view.serving === 'unknown' && (waiting || serving < least)) {
      // It may serve, or soon will, and is worth more than one that only has to wait for it: else every relay that was
      // taken back, has just lost its registration or hasn't been asked since its node returned would go.
      continue;
    }
    chosen.push(view);
    surplus -= 1;
  }
  return chosen;
}

/** By its own word or, while it can't be asked, by its kubelet's: that calls a relay ready which Master has forgotten. */
function isInService({ serving, pod, fresh }: RelayView): boolean {
  return serving === 'yes' || (serving === 'unknown' && !fresh && pod?.ready === true);
}

/** Not in service, then fewest sessions, then youngest (design-operator 4, Scale); the name breaks ties for good. */
function leastWorthKeeping(a: RelayView, b: RelayView): number {
  return (
    worth(a) - worth(b) ||
    a.sessions - b.sessions ||
    b.relay.createdMs - a.relay.createdMs ||
    (a.relay.name < b.relay.name ? 1 : -1)
  );
}

function worth(view: RelayView): number {
  if (view.serving === 'no') return 0;
  return isInService(view) || view.returning || view.sessions > 0 ? 2 : 1;
}

function mostWorthKeeping(a: RelayView, b: RelayView): number {
  return (
    b.sessions - a.sessions || a.relay.createdMs - b.relay.createdMs || (a.relay.name < b.relay.name ? -1 : 1)
  );
}

/** One of the target revision is late, and none has come to serve meanwhile; without others beside them: none serves. */
function isStuck(world: World, fresh: readonly RelayView[], changing: boolean): boolean {
  const timeoutMs = durationSeconds(world.fleet.spec.exposure.readyTimeout) * 1000;
  const sinceMs = changing ? world.nowMs - timeoutMs : 0;
  return (
    fresh.some((view) => view.late) &&
    !fresh.some(
      ({ serving, pod }) =>
        serving === 'yes' && !(pod?.ready === true && (pod.readyChangedMs ?? Infinity) <= sinceMs),
    )
  );
}
