import { Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, heldBy, MANAGED_BY, ownedBy, type PodIdentity } from './object.ts';

/** A policy is sent to every node, and a fleet may have a thousand relays: so many outlast the rest well enough. */
const MOST_HOLDERS = 100;

/** Without it there are no sessions to be seen, so whoever else may ask, it may: by the label that its chart gives it. */
const OPERATOR_PODS = {
  namespaceSelector: {},
  podSelector: { matchLabels: { 'app.kubernetes.io/name': MANAGED_BY } },
};

/**
 * Peers from anywhere reach the data port; health and metrics are for the cluster, or for whom the spec names. Egress
 * stays open: peers may be anywhere. Kubernetes applies no policy to pods on the host's network.
 * The pods own it too, as it goes with the last of its owners: of a deleted fleet relays drain on, and where policies deny by
 * default they need it to the end.
 * @param pods oldest first, so that the order stays
 */
export function networkPolicy(fleet: Fleet, pods: readonly PodIdentity[] = []): AppliedObject {
  const { from } = fleet.spec.monitoring;
  const holders = pods.slice(0, MOST_HOLDERS);
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet), ...holders.map(heldBy)],
    },
    spec: {
      podSelector: { matchLabels: { [Label.fleet]: fleet.name } },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: [{ protocol: 'UDP', port: 'relay' }] },
        {
          from: from ? [...from, OPERATOR_PODS] : [{ namespaceSelector: {} }],
          ports: [{ protocol: 'TCP', port: 'health' }],
        },
      ],
    },
  };
}
