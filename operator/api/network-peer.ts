import { z } from 'zod';

import { cel } from './fields.ts';

/** A peer of a NetworkPolicy: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/ */
export const networkPeer = cel(
  z.object({
    namespaceSelector: labelSelector(
      'Namespaces by label: all of their pods, or those of podSelector; {} is every namespace.',
    ).optional(),
    podSelector: labelSelector(
      'Pods by label; in the WavryRelay’s own namespace where no namespaceSelector stands beside it.',
    ).optional(),
    ipBlock: z
      .object({
        cidr: cidr('Addresses, such as 10.0.0.0/8; of one host 10.0.0.7/32.'),
        except: z
          .array(cidr('Addresses of it.'))
          .max(16)
          .optional()
          .describe('Addresses of it that may not.'),
      })
      .optional()
      .describe('Addresses of what is no pod: machines, load balancers, pods on the network of their node.'),
  }),
  {
    rule: 'has(self.ipBlock) != (has(self.namespaceSelector) || has(self.podSelector))',
    message: 'name either ipBlock, or namespaceSelector, podSelector or both',
  },
);

function labelSelector(description: string): z.ZodObject {
  return z
    .object({
      matchLabels: z
        .record(z.string(), z.string().max(63))
        .meta({ maxProperties: 16 })
        .optional()
        .describe('Labels, each of which must be there.'),
      matchExpressions: z
        .array(
          z.object({
            key: z.string().min(1).max(317).describe('Name of the label.'),
            operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('What is asked of it.'),
            values: z.array(z.string().max(63)).max(64).optional().describe('Values, with In and NotIn.'),
          }),
        )
        .max(16)
        .optional()
        .describe('Requirements, each of which must hold.'),
    })
    .describe(description);
}

function cidr(description: string): z.ZodString {
  return cel(z.string().max(64).describe(description), {
    rule: 'isCIDR(self)',
    message: 'must be an address and the length of its prefix, such as "10.0.0.0/8"',
  });
}
