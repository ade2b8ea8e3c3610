import { Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.ServiceMonitor */
export function serviceMonitor(fleet: Fleet): AppliedObject | undefined {
  const { monitoring } = fleet.spec;
  if (monitoring.serviceMonitor === false) return undefined;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: { ...monitoring.labels, ...fleetLabels(fleet) },
      ownerReferences: [ownedBy(fleet)],
    },
    spec: {
      selector: { matchLabels: { [Label.fleet]: fleet.name } },
      targetLabels: [Label.fleet],
      podTargetLabels: [Label.relay, Label.revision],
      endpoints: [{ port: 'health', path: '/metrics/prometheus', interval: '15s' }],
    },
  };
}
