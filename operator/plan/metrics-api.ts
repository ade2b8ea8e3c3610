/** The names that the autoscalers of a cluster look for. Each belongs to one Service at most. */
export const METRICS_API_SERVICES: readonly string[] = [
  'v1beta1.custom.metrics.k8s.io',
  'v1beta2.custom.metrics.k8s.io',
];

/** Whether autoscalers get this operator's answers: the state of custom.metrics.k8s.io in the cluster. */
export interface MetricsApi {
  readonly state: 'ours' | 'foreign' | 'absent' | 'unavailable' | 'off' | 'unknown';
  /** What stands in the way and what to do; empty when nothing does. */
  readonly message: string;
}

/** An APIService as far as it matters who answers. */
export interface ObservedApiService {
  readonly name: string;
  /** Undefined when the API server answers itself. */
  readonly service: { readonly namespace: string; readonly name: string } | undefined;
  readonly managedBy: string | undefined;
  readonly available: boolean;
  /** Why it isn't available, in the API server's words. */
  readonly problem: string;
}

/**
 * Judges the APIServices that exist. A cluster has one owner of custom.metrics.k8s.io: prometheus-adapter, KEDA's older
 * releases and others want it too, and a foreign one is left alone (design-operator 5).
 */
export function judgeMetricsApi(
  found: readonly ObservedApiService[],
  ours: { readonly namespace: string; readonly name: string },
): MetricsApi {
  const foreign = found.find(
    ({ service }) => service?.name !== ours.name || service.namespace !== ours.namespace,
  );
  if (foreign) {
    const { name, service, managedBy } = foreign;
    const owner = service ? `Service ${service.namespace}/${service.name}` : 'the API server itself';
    return {
      state: 'foreign',
      message: `${name} belongs to ${owner}${managedBy === undefined ? '' : ` (managed by ${managedBy})`}, so autoscalers don't get this operator's metrics. A cluster has one owner of custom.metrics.k8s.io: remove that one and upgrade the operator's chart, or leave spec.autoscaling out and let an autoscaler of your own set spec.replicas`,
    };
  }
  const missing = METRICS_API_SERVICES.filter((name) => found.every((service) => service.name !== name));
  if (found.length === 0) {
    return {
      state: 'absent',
      message: `this cluster has no APIService ${missing.join(' or ')}: upgrade the operator's chart with customMetrics.apiServices=true or, without helm, apply what "npm run manifests -- --api-services" prints`,
    };
  }
  const dead = found.find((service) => !service.available);
  if (dead) {
    return {
      state: 'unavailable',
      message: `the API server doesn't get through to this operator (APIService ${dead.name}: ${dead.problem || 'no reason given'}); it must be let in on the operator's port for custom metrics`,
    };
  }
  return { state: 'ours', message: '' };
}
