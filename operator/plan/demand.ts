import { capacityOf, targetSessionsOf } from '../specs/fleet.ts';
import { hasAnswered, hasEnded, isFresh, POLL_STALE_MS, writtenRelays } from './relay-view.ts';
import { increaseOf, RATE_WINDOW_MS } from './counter-rate.ts';
import type { ObservedPod, Poll, World } from './world.ts';

/** A figure with the time of the oldest answer that counts in it (Unix ms), or why it isn't known. */
export type Measured =
  | { readonly value: number; readonly atMs: number; readonly windowMs?: number }
  | { readonly unknown: string };

/** What demand is judged from. */
export type DemandWorld = Pick<
  World,
  'nowMs' | 'fleet' | 'relays' | 'pods' | 'polls' | 'pollsComplete' | 'master'
>;

/**
 * Sessions on all relays of a resource, draining and terminating ones and every revision included (design-operator 5).
 * Unknown is never 0: a relay that can't be asked counts at its last answer, and from POLL_STALE_MS on as the larger of
 * that and the target, while its pod exists.
 */
export function activeSessions(world: DemandWorld): Measured {
  const holders = holdersOf(world);
  const blind = blindness(world, holders, (holder) => holder.fresh);
  if (blind !== undefined) return { unknown: blind };
  return {
    value: holders.reduce((sum, holder) => sum + holder.sessions, 0),
    atMs: oldest(
      holders.flatMap(({ poll, fresh }) => (poll && fresh ? [poll.answeredMs] : []), world),
      world,
    ),
  };
}

/**
 * Sessions with a good lease that the relays refused, per second of the last RATE_WINDOW_MS: overload_shed_packets and
 * session_full_rejects.
 */
export function overloadShedRate(world: DemandWorld): Measured {
  const holders = holdersOf(world);
  const rated = holders.flatMap((holder) => {
    const rate = rateOf(world, holder);
    return rate ? [{ holder, rate }] : [];
  });
  const known = new Set(rated.map(({ holder }) => holder));
  const blind = blindness(world, holders, (holder) => known.has(holder));
  if (blind !== undefined) return { unknown: blind };
  return {
    value: rated.reduce((sum, { rate }) => sum + rate.perSecond, 0),
    atMs: oldest(
      rated.map(({ rate }) => rate.atMs),
      world,
    ),
    windowMs: RATE_WINDOW_MS,
  };
}

/** What one relay said lately of the sessions it holds. */
export function podSessions(world: DemandWorld, pod: ObservedPod): Measured {
  const poll = world.polls.get(pod.uid);
  if (!poll || !isFresh(poll, world.nowMs)) return { unknown: silence(pod, poll) };
  return { value: atMost(world, pod, poll.totalSessions), atMs: poll.answeredMs };
}

/** What one relay refused, per second. */
export function podShedRate(world: DemandWorld, pod: ObservedPod): Measured {
  const poll = world.polls.get(pod.uid);
  const rate = rateOf(world, { pod, poll });
  if (!rate) return { unknown: poll ? `pod ${pod.name} has no two samples yet` : silence(pod, poll) };
  return { value: rate.perSecond, atMs: rate.atMs, windowMs: RATE_WINDOW_MS };
}

interface Holder {
  readonly pod: ObservedPod;
  readonly poll: Poll | undefined;
  readonly fresh: boolean;
  readonly sessions: number;
}

/** The pods that may hold sessions, and how many each counts for. One that starts holds none yet, and isn't among them. */
function holdersOf(world: DemandWorld): Holder[] {
  const target = targetSessionsOf(world.fleet.spec);
  const written = writtenRelays(world);
  return world.pods
    .filter((pod) => !hasEnded(pod))
    .flatMap((pod): Holder[] => {
      const poll = world.polls.get(pod.uid);
      if (hasAnswered(poll)) {
        if (isEmptyForGood(world, pod, poll)) return [];
        const fresh = isFresh(poll, world.nowMs);
        const last = atMost(world, pod, poll.totalSessions);
        return [{ pod, poll, fresh, sessions: fresh ? last : Math.max(last, target) }];
      }
      const before = written.get(pod.uid)?.sessions;
      if (!mayHaveServed(world, pod, before)) return [];
      const last = atMost(world, pod, before ?? 0);
      const starts = hasJustStarted(pod, world.nowMs);
      if (starts && last === 0) return [];
      return [{ pod, poll, fresh: false, sessions: starts ? last : Math.max(last, target) }];
    });
}

/** It said that it holds no session and takes none: however long its pod stays, none comes. */
function isEmptyForGood(world: DemandWorld, pod: ObservedPod, poll: Poll): boolean {
  if (poll.state !== 'drained' || poll.totalSessions > 0) return false;
  const relay = world.relays.find(({ name }) => name === pod.relay);
  return pod.terminating || relay === undefined || relay.drainingSinceMs !== undefined;
}

/**
 * The kubelet or the leader may have heard it between two questions of this replica. Counting it at the target would have the
 * HPA add a further relay for each that it adds.
 */
function hasJustStarted({ startedMs }: ObservedPod, nowMs: number): boolean {
  return startedMs !== undefined && Math.abs(nowMs - startedMs) <= POLL_STALE_MS;
}

/** Why the sum over these says nothing; undefined when it does. */
function blindness(
  world: DemandWorld,
  holders: readonly Holder[],
  heard: (holder: Holder) => boolean,
): string | undefined {
  const { name, spec } = world.fleet;
  if (!world.pollsComplete)
    return `the relays of ${name} haven't all been asked yet since the operator started`;
  const silent = holders.filter((holder) => !heard(holder));
  if (silent.length * 2 > holders.length) {
    return `${holders.length - silent.length} of ${holders.length} relays of ${name} answered lately, fewer than half`;
  }
  // Where nothing serves nothing can be asked for: that is no idleness.
  if (holders.length === 0 && spec.replicas > 0) return `no relay of ${name} has answered yet`;
  return undefined;
}

/**
 * Whether a relay that this replica never got an answer from may hold sessions all the same: it was seen to serve, by the
 * kubelet, by Master or by an earlier operator. Without any of that it is one that starts, and counting it at the target
 * would ask for a further one.
 */
function mayHaveServed(world: DemandWorld, pod: ObservedPod, sessionsBefore: number | undefined): boolean {
  if (pod.phase === 'Pending') return false;
  const draining = world.relays.some(
    (relay) => relay.name === pod.relay && relay.drainingSinceMs !== undefined,
  );
  return (
    pod.ready ||
    world.master?.has(pod.uid) === true ||
    sessionsBefore !== undefined ||
    (pod.waiting === undefined && (pod.terminating || draining))
  );
}

/** A relay is untrusted: it counts for no more than it may hold. */
function atMost(world: DemandWorld, pod: ObservedPod, sessions: number): number {
  return Math.min(sessions, mostOf(world, pod));
}

function mostOf(world: DemandWorld, pod: ObservedPod): number {
  return pod.maxSessions ?? capacityOf(world.fleet.spec).maxSessions;
}

/** Refusals in one second beyond what a relay can hold are no better reason to grow than these. */
function rateOf(
  world: DemandWorld,
  { pod, poll }: Pick<Holder, 'pod' | 'poll'>,
): { readonly perSecond: number; readonly atMs: number } | undefined {
  const increase = poll ? increaseOf(poll.refusals, world.nowMs) : undefined;
  if (!increase) return undefined;
  return { perSecond: Math.min(increase.perSecond, mostOf(world, pod)), atMs: increase.atMs };
}

function silence(pod: ObservedPod, poll: Poll | undefined): string {
  if (!poll) return `pod ${pod.name} hasn't been asked yet`;
  return `pod ${pod.name} doesn't answer${poll.error === undefined ? '' : `: ${poll.error}`}`;
}

function oldest(times: readonly number[], world: DemandWorld): number {
  return times.reduce((least, time) => Math.min(least, time), world.nowMs);
}
