import { durationSeconds } from '../api/duration.ts';
import { type RelayExposure, takesHostPort } from '../api/exposure.ts';
import { exposureOf } from './relay-exposure.ts';
import type { RelayStatus } from '../api/status.ts';
import type { ObservedNode, ObservedPod, ObservedRelay, Poll, World } from './world.ts';

/** A poll older than this says nothing of the present. Relays are asked every 2 s. */
export const POLL_STALE_MS = 15_000;

/** A node that has been NotReady for so long is taken as lost: its relays are replaced by further ones. */
export const NODE_LOST_MS = 20_000;

/**
 * One relay with all that is known of it. `serving` is three-valued on purpose: what can't be asked, or has just lost its
 * registration, is neither proof of service nor proof that nobody is served. 'no' is said of what never served, and of what
 * kubelet and relay have called unready for long: with sessions for exposure.readyTimeout, without any for NODE_LOST_MS.
 */
export interface RelayView {
  readonly relay: ObservedRelay;
  /** The pod that counts: the newest that isn't terminating. */
  readonly pod: ObservedPod | undefined;
  /** Its own, whatever the spec asks of later ones. */
  readonly exposure: RelayExposure;
  readonly terminatingPods: readonly ObservedPod[];
  readonly poll: Poll | undefined;
  /** What it said is recent enough to be true still. */
  readonly fresh: boolean;
  /** What the last status said of its pod, perhaps by an operator before this one. */
  readonly written: RelayStatus | undefined;
  readonly serving: 'yes' | 'no' | 'unknown';
  /** Why a further relay stands in for it. */
  readonly away: 'NodeLost' | 'PortHeld' | undefined;
  /** It doesn't serve, and hasn't for exposure.readyTimeout. */
  readonly late: boolean;
  readonly draining: boolean;
  /** Taken back from a drain, of which it hasn't heard yet: it serves again soon. */
  readonly returning: boolean;
  /** Of its pod and of those before it that are still ending. */
  readonly sessions: number;
  /** It said itself, lately, that it holds no session and none may still come; or it never served anybody. */
  readonly empty: boolean;
}

export function viewRelays(world: World): RelayView[] {
  const pods = Map.groupBy(world.pods, (pod) => pod.relay);
  const written = writtenRelays(world);
  return world.relays
    .filter((relay) => !relay.deleting)
    .map((relay) => viewRelay(world, relay, pods.get(relay.name) ?? [], written));
}

/** What the last status said of relays, by id. */
export function writtenRelays({ fleet }: Pick<World, 'fleet'>): ReadonlyMap<string, RelayStatus> {
  return new Map(
    (fleet.status?.relays ?? []).flatMap((relay) => (relay.relayId ? [[relay.relayId, relay]] : [])),
  );
}

/** Pods whose relay's Deployment is gone already: they end under their grace period, and may hold sessions until then. */
export function leavingPods(world: World): ObservedPod[] {
  const relays = new Set(world.relays.filter((relay) => !relay.deleting).map((relay) => relay.name));
  return world.pods.filter((pod) => pod.terminating && !relays.has(pod.relay));
}

/** Its containers have ended for good, as after an eviction by its node: the object stays, which nobody tidies up for long. */
export function hasEnded({ phase }: { readonly phase?: string }): boolean {
  return phase === 'Failed' || phase === 'Succeeded';
}

/** It answered this operator at some time. */
export function hasAnswered(poll: Poll | undefined): poll is Poll {
  return poll !== undefined && poll.answeredMs > 0;
}

export function isFresh(poll: Poll | undefined, nowMs: number): boolean {
  // An answer from the future was taken before the clock was set back: nobody knows how old it is.
  return hasAnswered(poll) && Math.abs(nowMs - poll.answeredMs) <= POLL_STALE_MS;
}

function viewRelay(
  world: World,
  relay: ObservedRelay,
  pods: readonly ObservedPod[],
  writtenById: ReadonlyMap<string, RelayStatus>,
): RelayView {
  const terminatingPods = pods.filter((pod) => pod.terminating);
  const pod = pods
    .filter((pod) => !pod.terminating && !hasEnded(pod))
    .toSorted((a, b) => b.createdMs - a.createdMs || (a.uid < b.uid ? 1 : -1))[0];
  const poll = pod ? world.polls.get(pod.uid) : undefined;
  const written = pod && writtenById.get(pod.uid);
  const fresh = isFresh(poll, world.nowMs);
  const node = pod?.node === undefined ? undefined : world.nodes.get(pod.node);
  const exposure = exposureOf(world, relay, pod);
  const mayWaitForPort = takesHostPort(exposure.type) && terminatingPods.length > 0;
  const away = awayOf(world, pod, poll, node, mayWaitForPort);
  const never = neverServed(world, pod, poll, written);
  const serves = away === undefined && fresh && poll?.registered === true && poll.state === 'serving';
  const returning =
    relay.drainingSinceMs === undefined &&
    away === undefined &&
    fresh &&
    (poll?.state === 'draining' || poll?.state === 'drained');
  const outMs = serves || returning ? 0 : world.nowMs - (outSinceMs(relay, pod, node) ?? world.nowMs);
  const late = outMs >= durationSeconds(world.fleet.spec.exposure.readyTimeout) * 1000;
  const holdsNobody = fresh && poll?.totalSessions === 0;
  const out = !pod || away !== undefined || never || late || (holdsNobody && outMs >= NODE_LOST_MS);
  return {
    relay,
    pod,
    exposure,
    terminatingPods,
    poll,
    fresh,
    written,
    serving: serves ? 'yes' : out ? 'no' : 'unknown',
    away,
    late,
    draining: relay.drainingSinceMs !== undefined,
    returning,
    sessions: sumOf(pod ? [pod, ...terminatingPods] : terminatingPods, world, writtenById),
    empty: (fresh && poll?.state === 'drained' && poll.totalSessions === 0) || never,
  };
}

/** Since when its kubelet has called it unready; a node that wasn't heard of begins anew. */
export function outSinceMs(
  relay: ObservedRelay,
  pod: ObservedPod | undefined,
  node: ObservedNode | undefined,
): number | undefined {
  if (!pod) return relay.replicaFailure === undefined ? undefined : relay.createdMs;
  if (pod.ready) return undefined;
  return Math.max(pod.readyChangedMs ?? pod.createdMs, node?.readySinceMs ?? 0);
}

function awayOf(
  world: World,
  pod: ObservedPod | undefined,
  poll: Poll | undefined,
  node: ObservedNode | undefined,
  mayWaitForPort: boolean,
): RelayView['away'] {
  if (!pod) return undefined;
  if (pod.node !== undefined) {
    const sinceMs = node ? node.notReadySinceMs : unknownSinceMs(pod, poll);
    return sinceMs !== undefined && world.nowMs - sinceMs >= NODE_LOST_MS ? 'NodeLost' : undefined;
  }
  // Words of the scheduler (pkg/scheduler/framework/plugins/nodeports): its port is that of the pod before it.
  const noPort = pod.waiting?.message.includes("didn't have free ports") === true;
  return mayWaitForPort && noPort && world.nowMs - pod.createdMs >= NODE_LOST_MS ? 'PortHeld' : undefined;
}

/** A node that isn't known may be a new one, of which the news comes after that of its pods: one whose relay answers is there. */
export function unknownSinceMs(pod: ObservedPod, poll: Poll | undefined): number {
  return Math.max(pod.scheduledMs ?? pod.createdMs, poll?.answeredMs ?? 0);
}

/**
 * A pod that can't have served anybody: its container never started (a pod is Pending until then), or it starts in vain
 * and neither Master nor any operator has ever heard of it. Such a relay needn't drain.
 */
function neverServed(
  world: World,
  pod: ObservedPod | undefined,
  poll: Poll | undefined,
  written: RelayStatus | undefined,
): boolean {
  if (!pod || hasAnswered(poll) || written?.sessions !== undefined) return false;
  if (pod.phase === 'Pending') return true;
  return pod.waiting !== undefined && world.master?.has(pod.uid) === false;
}

/** One that this operator hasn't heard yet counts at what it said to the one before. */
function sumOf(
  pods: readonly ObservedPod[],
  world: World,
  written: ReadonlyMap<string, RelayStatus>,
): number {
  return pods.reduce((sum, { uid }) => {
    const poll = world.polls.get(uid);
    return sum + ((hasAnswered(poll) ? poll.totalSessions : written.get(uid)?.sessions) ?? 0);
  }, 0);
}
