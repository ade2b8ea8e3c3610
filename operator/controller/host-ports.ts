import { Label } from '../api/meta.ts';
import type { KubeObject } from '../kube/object.ts';
import { hasEnded } from '../plan/relay-view.ts';
import type { HeldPort } from '../plan/world.ts';
import type { AppliedObject } from '../specs/object.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { hostPortOf, type PodBody } from './observe-pod.ts';

/** Relays that were planned, and the port of its node that each takes; by the key of their fleet. */
export type PlannedPorts = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * Ports of nodes that relays of all fleets hold: those of pods, a draining one's whose Deployment is gone included; of
 * Deployments that have no pod yet; and of relays that another worker has planned and that no store has yet.
 */
export function hostPorts(view: ClusterView, fleetKey: string, planned: PlannedPorts): HeldPort[] {
  const held: HeldPort[] = [];
  const withPod = new Set<string>();
  for (const pod of view.ofKind('Pod')) {
    const { spec, status } = pod as KubeObject & PodBody;
    const port = hostPortOf(spec);
    if (port === undefined || hasEnded(status ?? {}) || !isRelayPod(pod)) continue;
    held.push({ port, node: spec?.nodeName });
    const { namespace, labels, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp === undefined) withPod.add(`${namespace}/${labels?.[Label.relay]}`);
  }
  for (const { metadata, spec } of view.ofKind('Deployment') as (KubeObject & DeploymentBody)[]) {
    const port = hostPortOf(spec?.template?.spec);
    if (port === undefined || metadata.deletionTimestamp !== undefined) continue;
    if (!withPod.has(`${metadata.namespace}/${metadata.name}`)) held.push({ port, node: undefined });
  }
  for (const [key, relays] of planned) {
    if (key === fleetKey) continue;
    const namespace = key.split('/')[0]!;
    for (const [name, port] of relays)
      if (!view.find('Deployment', namespace, name)) held.push({ port, node: undefined });
  }
  return held;
}

/** The ports that these Deployments are going to take. */
export function portsOf(deployments: readonly AppliedObject[]): ReadonlyMap<string, number> {
  return new Map(
    deployments.flatMap((deployment) => {
      const port = hostPortOf((deployment as DeploymentBody).spec?.template?.spec);
      return port === undefined ? [] : [[deployment.metadata.name, port]];
    }),
  );
}

interface DeploymentBody {
  readonly spec?: { readonly template?: { readonly spec?: PodBody['spec'] } };
}
