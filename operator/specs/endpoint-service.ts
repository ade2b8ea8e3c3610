import type { RelayExposure } from '../api/exposure.ts';
import { Label } from '../api/meta.ts';
import { DATA_PORT } from './deployment.ts';
import type { Fleet } from './fleet.ts';
import { type AppliedObject, fleetLabels } from './object.ts';

export interface RelayPod {
  readonly name: string;
  readonly uid: string;
  readonly relay: string;
}

/** What of a Service can't be changed any more. */
export interface LiveService {
  readonly type: string | undefined;
  readonly loadBalancerClass: string | undefined;
}

export function endpointServiceName(pod: RelayPod): string {
  return `${pod.relay}-${pod.uid.slice(0, 8)}`;
}

/**
 * The address of one relay, where the exposure gives it one by a Service. It belongs to the *pod* and selects it by a
 * label of its own, so that it outlives the Deployment while sessions drain; the data path must not depend on
 * readiness, hence publishNotReadyAddresses (design-operator 4, Endpoints).
 *
 * @param exposure the relay's own
 * @param live the Service as it is there already
 */
export function endpointService(
  fleet: Fleet,
  { type, serviceTemplate }: RelayExposure,
  pod: RelayPod,
  live?: LiveService,
): AppliedObject | undefined {
  if (type !== 'LoadBalancer' && type !== 'NodePort') return undefined;
  // https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-class: set once, and never changed.
  const loadBalancerClass =
    live?.type === 'LoadBalancer' ? live.loadBalancerClass : serviceTemplate?.loadBalancerClass;
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
      ...(type === 'LoadBalancer' && loadBalancerClass !== undefined ? { loadBalancerClass } : {}),
    },
  };
}
