import { Label } from '../api/meta.ts';
import { DATA_PORT } from './deployment.ts';
import type { Fleet } from './fleet.ts';
import { type AppliedObject, fleetLabels } from './object.ts';

export interface RelayPod {
  readonly name: string;
  readonly uid: string;
  readonly relay: string;
}

export function endpointServiceName(pod: RelayPod): string {
  return `${pod.relay}-${pod.uid.slice(0, 8)}`;
}

/**
 * The address of one relay, where the exposure gives it one by a Service. It belongs to the *pod* and selects it by a
 * label of its own, so that it outlives the Deployment while sessions drain; the data path must not depend on
 * readiness, hence publishNotReadyAddresses (design-operator 4, Endpoints).
 */
export function endpointService(fleet: Fleet, pod: RelayPod): AppliedObject | undefined {
  const { type, serviceTemplate } = fleet.spec.exposure;
  if (type !== 'LoadBalancer' && type !== 'NodePort') return undefined;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: endpointServiceName(pod),
      namespace: fleet.namespace,
      labels: { ...serviceTemplate?.labels, ...fleetLabels(fleet), [Label.relay]: pod.relay },
      ...(serviceTemplate?.annotations ? { annotations: serviceTemplate.annotations } : {}),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid }],
    },
    spec: {
      type,
      externalTrafficPolicy: 'Local',
      publishNotReadyAddresses: true,
      selector: { [Label.pod]: pod.uid },
      ports: [{ name: 'relay', protocol: 'UDP', port: DATA_PORT, targetPort: 'relay' }],
      ...(serviceTemplate?.loadBalancerClass === undefined
        ? {}
        : { loadBalancerClass: serviceTemplate.loadBalancerClass }),
    },
  };
}
