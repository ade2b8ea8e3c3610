import { Label } from '../api/meta.ts';
import type { PollTarget } from '../fleet/transport.ts';
import { hasAnswered } from '../plan/relay-view.ts';
import type { Poll } from '../plan/world.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { observePod, type PodBody, portOf } from './observe-pod.ts';

/** Relays that can be asked: of one fleet, or of all. */
export function pollTargets(view: ClusterView, fleet?: string): PollTarget[] {
  const pods = fleet === undefined ? view.ofKind('Pod') : view.ofFleet(fleet, 'Pod');
  return pods.flatMap((pod) => {
    const { spec, status } = pod as typeof pod & PodBody;
    const port = portOf(spec, 'health')?.containerPort;
    if (status?.phase !== 'Running' || status.podIP === undefined || port === undefined) return [];
    if (!isRelayPod(pod)) return [];
    const { uid, namespace = '', name, labels } = pod.metadata;
    return [{ uid, fleet: `${namespace}/${labels?.[Label.fleet]}`, namespace, name, ip: status.podIP, port }];
  });
}

/**
 * Whether more is to be heard of a fleet's relays soon: not each has been asked, or one that its kubelet finds ready didn't
 * answer the first time (a machine that is busy, a network that doesn't know the operator's new address yet).
 */
export function awaitsFirstAnswers(
  view: ClusterView,
  fleet: string,
  polls: ReadonlyMap<string, Poll>,
): boolean {
  const ready = new Set(
    view
      .ofFleet(fleet, 'Pod')
      .filter((pod) => observePod(pod).ready)
      .map((pod) => pod.metadata.uid),
  );
  return pollTargets(view, fleet).some(({ uid }) => {
    const poll = polls.get(uid);
    return poll === undefined || (ready.has(uid) && !hasAnswered(poll));
  });
}
