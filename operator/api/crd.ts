import { z } from 'zod';

import { GROUP, KIND, PLURAL, VERSION } from './meta.ts';
import { spec } from './spec.ts';
import { status } from './status.ts';

/** A JSON object of a Kubernetes manifest. */
export type Manifest = Record<string, unknown>;

/**
 * The CustomResourceDefinition, made from the zod types that the operator itself uses.
 *
 * @param patterns also where a rule says the same in words, for a reader that knows no rules
 */
export function customResourceDefinition({ patterns = false } = {}): Manifest {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${PLURAL}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: `${KIND}List`,
        plural: PLURAL,
        singular: KIND.toLowerCase(),
        shortNames: ['wr'],
        categories: ['wavry'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: [
            {
              name: 'Desired',
              type: 'integer',
              jsonPath: '.spec.replicas',
              description: 'Relays asked for.',
            },
            {
              name: 'Ready',
              type: 'integer',
              jsonPath: '.status.readyReplicas',
              description: 'Relays that serve.',
            },
            {
              name: 'Sessions',
              type: 'integer',
              jsonPath: '.status.totalSessions',
              description: 'Sessions held.',
            },
            {
              name: 'Capacity',
              type: 'integer',
              jsonPath: '.status.sessionCapacity',
              description: 'Sessions that the serving relays can hold.',
            },
            {
              name: 'Region',
              type: 'string',
              jsonPath: '.spec.region',
              description: 'Region of the relays.',
            },
            {
              name: 'Status',
              type: 'string',
              jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
              description: 'Why the fleet is or is not ready.',
            },
            {
              name: 'Draining',
              type: 'integer',
              priority: 1,
              jsonPath: '.status.drainingReplicas',
              description: 'Relays that are draining.',
            },
            {
              name: 'Exposure',
              type: 'string',
              priority: 1,
              jsonPath: '.spec.exposure.type',
              description: 'How peers reach the relays.',
            },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description:
                'A fleet of Wavry relays: blind UDP forwarders for peers that cannot reach each other.',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
                kind: { type: 'string', description: 'The kind of this object: WavryRelay.' },
                metadata: {
                  type: 'object',
                  // The longest name made from it is `<fleet>-<revision>-<n>` plus a Deployment's pod suffix (63 characters).
                  properties: { name: { type: 'string', maxLength: 40 } },
                },
                spec: structural(spec, patterns),
                status: structural(status, patterns),
              },
              'x-kubernetes-validations': [
                {
                  rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                  message:
                    'the name must start with a letter and hold only lower-case letters, digits and "-": Services are named after it',
                },
              ],
            },
          },
        },
      ],
    },
  };
}

/** The OpenAPI v3 schema of a zod type in the structural form that Kubernetes asks for. */
function structural(type: z.ZodType, patterns: boolean): Manifest {
  return z.toJSONSchema(type, {
    target: 'openapi-3.0',
    io: 'input',
    override: ({ jsonSchema }) => {
      const schema = jsonSchema as Manifest;
      // Structural schemas exclude additionalProperties beside properties; unknown fields are pruned or refused anyway.
      if (schema['additionalProperties'] === false) delete schema['additionalProperties'];
      if (schema['x-kubernetes-preserve-unknown-fields'] === true) delete schema['additionalProperties'];
      delete schema['propertyNames'];
      if (!patterns && schema['x-kubernetes-validations'] !== undefined) delete schema['pattern'];
    },
  });
}
