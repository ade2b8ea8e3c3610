import { Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';
import { metricsServiceName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** What Prometheus finds the relays by. Draining relays are unready and are scraped all the same. */
export function metricsService(fleet: Fleet): AppliedObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: metricsServiceName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { [Label.fleet]: fleet.name },
      ports: [{ name: 'health', protocol: 'TCP', port: 9091, targetPort: 'health' }],
    },
  };
}
