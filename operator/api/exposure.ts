import { z } from 'zod';

import { cel, duration, formed, stringMap } from './fields.ts';

export const EXPOSURE_TYPES = ['HostPort', 'HostNetwork', 'LoadBalancer', 'NodePort', 'PodIP'] as const;
export type ExposureType = (typeof EXPOSURE_TYPES)[number];

/** Whether each relay takes a port of its node (`portRange`). */
export function takesHostPort(type: ExposureType): boolean {
  return type === 'HostPort' || type === 'HostNetwork';
}

const serviceTemplate = z
  .object({
    annotations: stringMap(
      'Annotations for each relay’s Service, as your load balancer asks for.',
      64,
    ).optional(),
    labels: stringMap('Labels for each relay’s Service.', 64).optional(),
    loadBalancerClass: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe(
        'Load balancer implementation to use; the default of the cluster when absent. Changing it replaces the relays, as a Service keeps its own for life.',
      ),
  })
  .describe('What is added to the Service that each relay has with type LoadBalancer or NodePort.');

const fields = z.object({
  type: z
    .enum(EXPOSURE_TYPES)
    .default('HostPort')
    .describe(
      'How peers reach each relay. HostPort: a port of the node. HostNetwork: the node’s network itself. LoadBalancer: a load balancer for each relay. NodePort: a node port for each relay. PodIP: the pod’s own address, where peers can route to it.',
    ),
  portRange: formed(
    z
      .string()
      .max(11)
      .describe(
        'UDP ports of the node that HostPort and HostNetwork take, first-last. Relays of all WavryRelays on one node share them; open them in your firewall.',
      ),
    /^[0-9]{1,5}-[0-9]{1,5}$/,
    'must be first-last with 1024 <= first <= last <= 65535, such as "4000-4015"',
    "int(self.split('-')[0]) >= 1024 && int(self.split('-')[1]) <= 65535 && int(self.split('-')[0]) <= int(self.split('-')[1])",
  ).default('4000-4015'),
  addressType: z
    .enum(['ExternalIP', 'InternalIP'])
    .optional()
    .describe(
      'Which of the node’s addresses peers are sent to (HostPort, HostNetwork, NodePort). The external one when absent; InternalIP where peers can reach the nodes’ internal addresses.',
    ),
  serviceTemplate: serviceTemplate.optional(),
  readyTimeout: duration(
    'How long a new relay may take to be registered before the rollout stops and says why.',
    '30s',
    '24h',
  ).default('10m'),
});

/** What of it a relay keeps, written down when it is made. */
export const relayExposure = fields.pick({ type: true, addressType: true, serviceTemplate: true });
export type RelayExposure = z.infer<typeof relayExposure>;

/** How peers reach a relay. Both peers of a session must reach the same process, so each relay has an address of its own. */
export const exposure = cel(
  fields,
  {
    rule: "!has(self.serviceTemplate) || self.type in ['LoadBalancer', 'NodePort']",
    message: 'serviceTemplate goes with type LoadBalancer or NodePort only; remove it or change the type',
    reason: 'FieldValueForbidden',
    fieldPath: '.serviceTemplate',
  },
  {
    // As the API server has it of a Service.
    rule: "!has(self.serviceTemplate) || !has(self.serviceTemplate.loadBalancerClass) || self.type != 'NodePort'",
    message: 'loadBalancerClass goes with type LoadBalancer only; remove it or change the type',
    reason: 'FieldValueForbidden',
    fieldPath: '.serviceTemplate.loadBalancerClass',
  },
  {
    rule: "!has(self.addressType) || self.type in ['HostPort', 'HostNetwork', 'NodePort']",
    message:
      'addressType chooses among a node’s addresses and goes with HostPort, HostNetwork or NodePort only; remove it or change the type',
    reason: 'FieldValueForbidden',
    fieldPath: '.addressType',
  },
).describe('How peers reach the relays.');
