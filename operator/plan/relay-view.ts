import type { ObservedPod, ObservedRelay, Poll, World } from './world.ts';

/** A poll older than this says nothing of the present. Relays are asked every 2 s. */
export const POLL_STALE_MS = 15_000;

/** A node that has been NotReady for so long is taken as lost: its relays are replaced by further ones. */
export const NODE_LOST_MS = 20_000;

/**
 * One relay with all that is known of it. `serving` is three-valued on purpose: what cannot be asked is neither proof
 * of service nor proof that no session is left.
 */
export interface RelayView {
  readonly relay: ObservedRelay;
  /** The pod that counts: the newest that isn't terminating. */
  readonly pod: ObservedPod | undefined;
  readonly terminatingPods: readonly ObservedPod[];
  readonly poll: Poll | undefined;
  readonly serving: 'yes' | 'no' | 'unknown';
  readonly lost: boolean;
  readonly draining: boolean;
  readonly sessions: number;
  /** It said itself, lately, that it holds no session and none may still come. */
  readonly empty: boolean;
}

export function viewRelays(world: World): RelayView[] {
  return world.relays.filter((relay) => !relay.deleting).map((relay) => viewRelay(world, relay));
}

export function isFresh(poll: Poll | undefined, nowMs: number): boolean {
  return poll !== undefined && poll.answeredMs > 0 && nowMs - poll.answeredMs <= POLL_STALE_MS;
}

function viewRelay(world: World, relay: ObservedRelay): RelayView {
  const pods = world.pods.filter((pod) => pod.relay === relay.name);
  const terminatingPods = pods.filter((pod) => pod.terminating);
  const pod = pods
    .filter((pod) => !pod.terminating && pod.phase !== 'Failed' && pod.phase !== 'Succeeded')
    .toSorted((a, b) => b.createdMs - a.createdMs || (a.uid < b.uid ? 1 : -1))[0];
  const poll = pod ? world.polls.get(pod.uid) : undefined;
  const fresh = isFresh(poll, world.nowMs);
  const node = pod?.node === undefined ? undefined : world.nodes.get(pod.node);
  const lost =
    pod?.node !== undefined &&
    (node === undefined ||
      (node.notReadySinceMs !== undefined && world.nowMs - node.notReadySinceMs >= NODE_LOST_MS));
  return {
    relay,
    pod,
    terminatingPods,
    poll,
    serving: servingOf(pod, fresh ? poll : undefined, lost),
    lost,
    draining: relay.drainingSinceMs !== undefined,
    sessions: poll?.totalSessions ?? 0,
    empty: fresh && poll?.state === 'drained' && poll.totalSessions === 0,
  };
}

function servingOf(
  pod: ObservedPod | undefined,
  poll: Poll | undefined,
  lost: boolean,
): RelayView['serving'] {
  if (!pod || lost) return 'no';
  if (!poll) return pod.phase === 'Running' ? 'unknown' : 'no';
  return poll.registered && poll.state === 'serving' ? 'yes' : 'no';
}
