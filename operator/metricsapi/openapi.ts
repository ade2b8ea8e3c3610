import { createHash } from 'node:crypto';

import { GROUP, VERSIONS } from './request-info.ts';

/**
 * What the API server's aggregator asks each APIService for once a minute (k8s.io/kube-aggregator/pkg/controllers/openapi); a
 * 404 is a warning in its log each time. No path is described: metrics are for HorizontalPodAutoscalers, which know them.
 */
export function openApiV2(): unknown {
  return { swagger: '2.0', info: INFO, paths: {} };
}

/** `/openapi/v3`: where the documents are. The hash lets clients keep them (k8s.io/kube-openapi/pkg/handler3). */
export function openApiV3Root(): unknown {
  const hash = createHash('sha256').update(JSON.stringify(openApiV3())).digest('hex').toUpperCase();
  return {
    paths: Object.fromEntries(
      VERSIONS.map((version) => [
        `apis/${GROUP}/${version}`,
        { serverRelativeURL: `/openapi/v3/apis/${GROUP}/${version}?hash=${hash}` },
      ]),
    ),
  };
}

/** `/openapi/v3/apis/custom.metrics.k8s.io/v1beta2`: the same for each version. */
export function openApiV3(): unknown {
  return { openapi: '3.0.0', info: INFO, paths: {} };
}

const INFO = { title: 'wavry-relay-operator: the load of fleets of relays', version: 'v1beta2' };
