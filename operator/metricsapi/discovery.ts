import { METRICS, RESOURCES } from './metrics.ts';
import { GROUP, type Version, VERSIONS } from './request-info.ts';

const KIND = 'MetricValueList';

/** `/apis` for those who ask for nothing newer. */
export function groupList(): unknown {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: [groupOf()] };
}

/** `/apis/custom.metrics.k8s.io` */
export function group(): unknown {
  return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf() };
}

/** `/apis/custom.metrics.k8s.io/v1beta2` */
export function resourceList(version: Version): unknown {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: `${GROUP}/${version}`,
    resources: RESOURCES.flatMap((resource) =>
      METRICS.map((metric) => ({
        name: `${resource}/${metric}`,
        singularName: '',
        namespaced: true,
        kind: KIND,
        verbs: ['get'],
      })),
    ),
  };
}

export const AGGREGATED_DISCOVERY = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** `/apis` in one answer (KEP-3352), as the API server's aggregator and kubectl ask for it. */
export function aggregatedDiscovery(): unknown {
  const nothing = { group: '', version: '', kind: '' };
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: [
      {
        metadata: { name: GROUP },
        versions: VERSIONS.map((version) => ({
          version,
          freshness: 'Current',
          resources: RESOURCES.map((resource) => ({
            resource,
            // Metrics are subresources of objects that live in another API.
            responseKind: nothing,
            scope: 'Namespaced',
            singularResource: '',
            verbs: [],
            subresources: METRICS.map((subresource) => ({
              subresource,
              responseKind: { ...nothing, kind: KIND },
              verbs: ['get'],
            })),
          })),
        })),
      },
    ],
  };
}

function groupOf(): Record<string, unknown> {
  const versions = VERSIONS.map((version) => ({ groupVersion: `${GROUP}/${version}`, version }));
  return { name: GROUP, versions, preferredVersion: versions[0] };
}
