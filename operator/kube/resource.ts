/** Where a kind lives in the API: what client-go calls a GroupVersionResource, with its scope. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): Resource {
  return { group, version, plural, kind, namespaced };
}

export const Resources = {
  apiServices: resource('apiregistration.k8s.io', 'v1', 'apiservices', 'APIService', false),
  configMaps: resource('', 'v1', 'configmaps', 'ConfigMap'),
  deployments: resource('apps', 'v1', 'deployments', 'Deployment'),
  events: resource('', 'v1', 'events', 'Event'),
  horizontalPodAutoscalers: resource(
    'autoscaling',
    'v2',
    'horizontalpodautoscalers',
    'HorizontalPodAutoscaler',
  ),
  leases: resource('coordination.k8s.io', 'v1', 'leases', 'Lease'),
  namespaces: resource('', 'v1', 'namespaces', 'Namespace', false),
  networkPolicies: resource('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy'),
  nodes: resource('', 'v1', 'nodes', 'Node', false),
  podDisruptionBudgets: resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  pods: resource('', 'v1', 'pods', 'Pod'),
  prometheusRules: resource('monitoring.coreos.com', 'v1', 'prometheusrules', 'PrometheusRule'),
  scaledObjects: resource('keda.sh', 'v1alpha1', 'scaledobjects', 'ScaledObject'),
  secrets: resource('', 'v1', 'secrets', 'Secret'),
  serviceAccounts: resource('', 'v1', 'serviceaccounts', 'ServiceAccount'),
  serviceMonitors: resource('monitoring.coreos.com', 'v1', 'servicemonitors', 'ServiceMonitor'),
  services: resource('', 'v1', 'services', 'Service'),
  subjectAccessReviews: resource(
    'authorization.k8s.io',
    'v1',
    'subjectaccessreviews',
    'SubjectAccessReview',
    false,
  ),
  tokenReviews: resource('authentication.k8s.io', 'v1', 'tokenreviews', 'TokenReview', false),
  wavryRelays: resource('wavry.dev', 'v1alpha1', 'wavryrelays', 'WavryRelay'),
} as const satisfies Record<string, Resource>;

const BY_KIND: ReadonlyMap<string, Resource> = new Map(
  Object.values(Resources).map((known): [string, Resource] => [known.kind, known]),
);

/** Throws for a kind that isn't among Resources. */
export function resourceOfKind(kind: string): Resource {
  const known = BY_KIND.get(kind);
  if (!known) throw new Error(`no resource is known for kind ${kind}`);
  return known;
}

/** The path of a collection, or of one object in it. */
export function resourcePath(
  resource: Resource,
  namespace?: string,
  name?: string,
  subresource?: string,
): string {
  const parts = [
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`,
  ];
  if (resource.namespaced && namespace !== undefined) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join('/');
}
