import { z } from 'zod';

import { int32, int64 } from './fields.ts';

const condition = z
  .object({
    type: z.string().max(316).describe('Ready, Progressing, Autoscaling or Degraded.'),
    status: z.enum(['True', 'False', 'Unknown']).describe('True, False or Unknown.'),
    reason: z.string().max(1024).describe('The reason in one word.'),
    message: z.string().max(32_768).describe('What it means and what to do.'),
    observedGeneration: int64('Generation of the spec that this was judged for.', 0, 2 ** 53).optional(),
    lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When the status last changed.'),
  })
  .describe('One condition, as everywhere in Kubernetes.');

const relay = z
  .object({
    name: z.string().describe('Name of the relay and of its Deployment.'),
    revision: z.string().optional().describe('Revision it runs.'),
    state: z
      .enum(['Pending', 'Starting', 'Serving', 'Draining', 'Drained', 'Unreachable', 'Failed'])
      .describe('What it is doing.'),
    reason: z.string().optional().describe('Why it isn’t serving, in words.'),
    node: z.string().optional().describe('Node it runs on.'),
    pod: z.string().optional().describe('Its pod.'),
    relayId: z.string().optional().describe('Its id at Master: the UID of its pod.'),
    endpoint: z.string().optional().describe('Where peers reach it.'),
    sessions: int32('Sessions it holds, waiting ones included.', 0, 2_147_483_647).optional(),
    drainingSince: z.string().meta({ format: 'date-time' }).optional().describe('Since when it drains.'),
  })
  .describe('One relay.');

export const status = z
  .object({
    observedGeneration: int64('Generation of the spec that this status speaks of.', 0, 2 ** 53).optional(),
    replicas: int32(
      'Relays that count for scaling: neither draining nor terminating.',
      0,
      100_000,
    ).optional(),
    readyReplicas: int32('Relays that serve: registered and reachable.', 0, 100_000).optional(),
    drainingReplicas: int32('Relays that are draining.', 0, 100_000).optional(),
    selector: z.string().optional().describe('Selects the pods of the fleet, for the autoscaler.'),
    totalSessions: int32('Sessions on all relays, draining ones included.', 0, 2_147_483_647).optional(),
    sessionCapacity: int32('Sessions that the serving relays can hold.', 0, 2_147_483_647).optional(),
    currentRevision: z.string().optional().describe('Revision that the fleet ran last in full.'),
    targetRevision: z.string().optional().describe('Revision that the spec asks for.'),
    relays: z
      .array(relay)
      .max(2000)
      // Written as a whole by the operator alone: an entry for each field of each relay in managedFields would double it.
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .optional()
      .describe('Each relay.'),
    conditions: z
      .array(condition)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
      .optional()
      .describe('Ready, Progressing, Autoscaling, Degraded.'),
  })
  .describe('What the fleet is.');

export type WavryRelayStatus = z.output<typeof status>;
export type RelayStatus = z.output<typeof relay>;
export type Condition = z.output<typeof condition>;
