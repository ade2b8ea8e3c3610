import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** The relays' own identity in the cluster: none. A relay never speaks to the API server. */
export function serviceAccount(fleet: Fleet): AppliedObject {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    automountServiceAccountToken: false,
  };
}
