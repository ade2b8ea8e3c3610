import { Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/**
 * Lets others end one serving relay at a time. Draining relays are unready, so that they never stand in the way of
 * anybody's drain (https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy).
 *
 * @param able relays that serve or may yet: one that never will must not hold up every drain
 */
export function podDisruptionBudget(fleet: Fleet, able: number): AppliedObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    spec: {
      // An integer: percentages and maxUnavailable need one controller with a scale, and a fleet has a Deployment per relay.
      minAvailable: Math.max(0, Math.min(fleet.spec.replicas, able) - 1),
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: { [Label.fleet]: fleet.name } },
    },
  };
}
