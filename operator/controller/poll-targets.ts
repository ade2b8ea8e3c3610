import { Label } from '../api/meta.ts';
import type { PollTarget } from '../fleet/transport.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { type PodBody, portOf } from './observe-pod.ts';

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
