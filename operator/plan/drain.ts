import { durationSeconds } from '../api/duration.ts';
import { Annotation, type DrainReason, Label } from '../api/meta.ts';
import type { EndpointDecision } from './endpoint.ts';
import type { SizeDecision } from './fleet-size.ts';
import type { RelayView } from './relay-view.ts';
import type { Deletion, MasterCall, MetadataPatch, ObservedPod, World } from './world.ts';

/** The drain of one relay: over when it is empty by its own word, never had a pod, or its time has passed. */
export function drainIsOver(world: World, view: RelayView, sinceMs: number): 'empty' | 'timeout' | undefined {
  if (view.pod ? view.empty && heardSince(view, sinceMs) : view.terminatingPods.length === 0) return 'empty';
  return world.nowMs >= drainDeadlineMs(world, sinceMs) ? 'timeout' : undefined;
}

/** What a relay said before the drain began, or an earlier drain, says nothing of sessions that came since. */
function heardSince({ poll }: RelayView, sinceMs: number): boolean {
  return poll === undefined || poll.answeredMs === 0 || poll.answeredMs >= sinceMs;
}

export function drainDeadlineMs(world: World, sinceMs: number): number {
  return sinceMs + durationSeconds(world.fleet.spec.drain.timeout) * 1000;
}

export function deletionOf(view: RelayView): Deletion {
  return { apiVersion: 'apps/v1', kind: 'Deployment', name: view.relay.name, uid: view.relay.uid };
}

/**
 * Master's mark for every pod that the operator knows: it is asserted again whenever Master says otherwise, because a
 * re-registration clears it (wire reference 4). Without a registry to read, it is told at each change only.
 */
export function masterCalls(
  world: World,
  view: RelayView,
  draining: boolean,
  changed: boolean,
): MasterCall[] {
  const calls: MasterCall[] = [];
  if (view.pod && masterHasToHear(world, view.pod.uid, draining ? 'Draining' : 'Active', changed)) {
    calls.push({ relayId: view.pod.uid, state: draining ? 'Draining' : 'Active' });
  }
  return [...calls, ...leavingCalls(world, view.terminatingPods)];
}

/** Pods that others end drain as well. Without a registry to read, nothing tells which of them Master still hands out. */
export function leavingCalls(world: Pick<World, 'master'>, pods: readonly ObservedPod[]): MasterCall[] {
  return pods
    .filter((pod) => masterHasToHear(world, pod.uid, 'Draining', false))
    .map((pod) => ({ relayId: pod.uid, state: 'Draining' }));
}

function masterHasToHear(
  world: Pick<World, 'master'>,
  relayId: string,
  state: MasterCall['state'],
  changed: boolean,
): boolean {
  const entry = world.master?.get(relayId);
  return world.master ? entry !== undefined && contradicts(entry.state, state) : changed;
}

/** Active is only ever said to take back a Draining mark: Probation, Degraded and the rest are Master's own judgement. */
function contradicts(is: string, wanted: MasterCall['state']): boolean {
  if (wanted === 'Active') return is === 'Draining';
  return is !== 'Draining' && is !== 'Quarantined' && is !== 'Banned';
}

/** Annotations and labels that a relay's pod should carry and doesn't yet; undefined when it does. */
export function podPatch(
  view: RelayView,
  draining: boolean,
  endpoint: EndpointDecision,
): MetadataPatch | undefined {
  const { pod } = view;
  if (!pod) return undefined;
  const mayMove = draining && view.empty;
  const annotations: Record<string, string | null> = {
    [Annotation.draining]: String(draining),
    'cluster-autoscaler.kubernetes.io/safe-to-evict': String(mayMove),
    'karpenter.sh/do-not-disrupt': mayMove ? null : 'true',
    ...('endpoints' in endpoint ? { [Annotation.endpoints]: endpoint.endpoints.join('\n') } : {}),
  };
  const changedAnnotations = Object.fromEntries(
    Object.entries(annotations).filter(([name, value]) => (pod.annotations[name] ?? null) !== value),
  );
  const labels = pod.labels[Label.pod] === pod.uid ? {} : { [Label.pod]: pod.uid };
  if (Object.keys(changedAnnotations).length === 0 && Object.keys(labels).length === 0) return undefined;
  return { name: pod.name, uid: pod.uid, labels, annotations: changedAnnotations };
}

/** The operator's wish, written on the relay's Deployment: it is the only memory of a drain. */
export function drainWish(
  view: RelayView,
  sinceMs: number | undefined,
  reason: DrainReason | undefined,
): MetadataPatch | undefined {
  if (view.relay.drainingSinceMs === sinceMs) return undefined;
  return {
    name: view.relay.name,
    uid: view.relay.uid,
    labels: {},
    annotations:
      sinceMs === undefined
        ? { [Annotation.drainingSince]: null, [Annotation.drainReason]: null }
        : {
            [Annotation.drainingSince]: new Date(sinceMs).toISOString(),
            ...(reason ? { [Annotation.drainReason]: reason } : {}),
          },
  };
}

/** Why a relay starts to drain, from what the world asks of it. */
export function drainReasonOf(view: RelayView, { going }: SizeDecision): DrainReason {
  if (view.relay.drainRequested) return 'Requested';
  return going.has(view) ? 'Rollout' : 'ScaleDown';
}
