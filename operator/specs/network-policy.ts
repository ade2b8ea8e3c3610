import { Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/**
 * Peers from anywhere reach the data port; health and metrics are for the cluster. Egress stays open: peers may be
 * anywhere. Kubernetes applies no policy to pods on the host's network.
 */
export function networkPolicy(fleet: Fleet): AppliedObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    spec: {
      podSelector: { matchLabels: { [Label.fleet]: fleet.name } },
      policyTypes: ['Ingress'],
      ingress: [
        { ports: [{ protocol: 'UDP', port: 'relay' }] },
        { from: [{ namespaceSelector: {} }], ports: [{ protocol: 'TCP', port: 'health' }] },
      ],
    },
  };
}
