import { z } from 'zod';

import { int64, podFragment, podFragments, stringMap } from './fields.ts';

export const pod = z
  .object({
    labels: stringMap('Further labels of the pods.', 64).optional(),
    annotations: stringMap('Further annotations of the pods.', 64).optional(),
    nodeSelector: stringMap('Labels a node must have, beside kubernetes.io/os: linux.', 64).optional(),
    tolerations: podFragments('Taints that the pods tolerate.', 64).optional(),
    affinity: podFragment('Affinity and anti-affinity of the pods.').optional(),
    topologySpreadConstraints: podFragments(
      'How relays spread. By default over nodes, as far as possible.',
      16,
    ).optional(),
    resources: podFragment(
      'Replaces the requests and limits that the size gives; see resources of a container.',
    ).optional(),
    priorityClassName: z.string().max(253).optional().describe('Priority class of the pods.'),
    imagePullPolicy: z
      .enum(['Always', 'IfNotPresent', 'Never'])
      .optional()
      .describe('When to pull the image.'),
    imagePullSecrets: podFragments('Secrets to pull the image with: a list of {name}.', 16).optional(),
    serviceAccountName: z
      .string()
      .max(253)
      .optional()
      .describe('A service account of your own in place of the fleet’s; its token isn’t mounted either way.'),
    runtimeClassName: z.string().max(253).optional().describe('Runtime class of the pods.'),
    hostNetworkDNSPolicy: z
      .enum(['ClusterFirstWithHostNet', 'ClusterFirst', 'Default'])
      .optional()
      .describe(
        'DNS policy of the pods; ClusterFirstWithHostNet with exposure.type HostNetwork when absent.',
      ),
    runAsUser: int64('Numeric user of the relay; the image’s own when absent.', 1, 4_294_967_294).optional(),
  })
  .describe('What is added to the relays’ pods.');
