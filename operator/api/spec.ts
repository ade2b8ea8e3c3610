import { z } from 'zod';

import { autoscaling } from './autoscaling.ts';
import { exposure } from './exposure.ts';
import { cel, duration, formed, int32, int64, intOrPercent } from './fields.ts';
import { master } from './master.ts';
import { networkPeer } from './network-peer.ts';
import { pod } from './pod.ts';
import { SIZES } from './size.ts';

const limits = z
  .object({
    maxSessions: int32('Most sessions of one relay; the size’s number when absent.', 1, 100_000).optional(),
    maxThroughputMbps: int32(
      'Aggregate throughput of one relay in Mbit/s from which it refuses new sessions; the size’s number when absent.',
      1,
      1_000_000,
    ).optional(),
    ipRateLimitPps: int32(
      'Packets per second from one address that belong to no active session.',
      1,
      10_000_000,
    ).optional(),
    identityRateLimitPps: int32('Lease requests per second of one identity.', 1, 10_000_000).optional(),
    loadShedThresholdPct: int32(
      'Percent of maxSessions from which new sessions are refused.',
      50,
      100,
    ).optional(),
    maxBitrateKbps: int32(
      'Bitrate in kbit/s that Master may plan for one session.',
      10_000,
      2_000_000_000,
    ).optional(),
  })
  .describe('Limits of each relay.');

const sessions = z
  .object({
    idleTimeout: duration('How long a session without packets is kept.', '5s', '24h').default('60s'),
    leaseDuration: duration('How long an accepted lease carries a session.', '10s', '24h').default('300s'),
    renewOnTraffic: z
      .boolean()
      .default(true)
      .describe('Traffic in both directions extends a session; deployed clients never renew.'),
  })
  .prefault({})
  .describe('Life of sessions.');

const drain = z
  .object({
    timeout: duration(
      'How long a relay that goes may wait for its sessions to end. Also the grace period of its pod: your cloud or autoscaler may cut it short.',
      '0s',
      '168h',
    ).default('1h'),
  })
  .prefault({})
  .describe('How relays go.');

const rollout = z
  .object({
    maxSurge: intOrPercent('Relays beyond spec.replicas while a rollout goes on, at least 1.').default(1),
    maxUnavailable: intOrPercent('Relays that may be missing from spec.replicas meanwhile.').default(0),
    paused: z.boolean().default(false).describe('Holds a rollout where it is.'),
  })
  .prefault({})
  .describe('How a change reaches the relays.');

const monitoring = z
  .object({
    serviceMonitor: z
      .boolean()
      .optional()
      .describe(
        'Whether to make a ServiceMonitor. When absent, where the Prometheus Operator is installed; true says that it has to be.',
      ),
    prometheusRule: z
      .boolean()
      .optional()
      .describe(
        'Whether to make a PrometheusRule with the alerts. When absent, where the Prometheus Operator is installed; true says that it has to be.',
      ),
    dashboard: z
      .boolean()
      .default(false)
      .describe(
        'Whether to make a ConfigMap with a Grafana dashboard of this fleet, labelled grafana_dashboard: "1", which the sidecar of Grafana’s charts picks up.',
      ),
    labels: z
      .record(z.string(), z.string().max(63))
      .meta({ maxProperties: 16 })
      .optional()
      .describe('Labels of ServiceMonitor and PrometheusRule, where your Prometheus selects by label.'),
    from: z
      .array(networkPeer)
      .max(32)
      .optional()
      .describe(
        'Who may reach the relays’ health port (health and metrics), as peers of a NetworkPolicy: every pod of the cluster when absent, nobody where empty; the operator’s pods always. What is no pod needs an ipBlock: the API server (its proxy), a load balancer’s health check, a Prometheus on the network of its node, an operator outside the cluster.',
      ),
  })
  .prefault({})
  .describe('What is made for Prometheus and Grafana, and who may ask the relays.');

export const spec = cel(
  z.object({
    region: formed(
      z.string().max(64).describe('Region that the relays register with, such as us-east-1.'),
      /^[A-Za-z0-9][A-Za-z0-9._-]*$/,
      'must be at most 64 letters, digits, ".", "_" and "-", the first a letter or digit, such as "us-east-1"',
    ).optional(),
    asn: int64('Autonomous system number that the relays register with.', 1, 4_294_967_295).optional(),
    size: z
      .enum(SIZES)
      .default('Medium')
      .describe(
        'Size of each relay: Small 50 sessions, Medium 100, Large 250, XLarge 500, with CPU and memory to match.',
      ),
    replicas: int32(
      'Number of relays. Leave it out with autoscaling: it belongs to the autoscaler then.',
      0,
      1000,
    ).default(1),
    image: z
      .string()
      .min(1)
      .max(1024)
      .optional()
      .describe('Image of the relay; that of the operator’s release when absent.'),
    restartedAt: z
      .string()
      .max(64)
      .meta({ format: 'date-time' })
      .optional()
      .describe(
        'Set it to the present time to restart every relay, one after the other, without losing a session.',
      ),
    master,
    exposure: exposure.prefault({}),
    limits: limits.optional(),
    sessions,
    autoscaling: autoscaling.optional(),
    drain,
    rollout,
    monitoring,
    pod: pod.optional(),
  }),
  {
    rule: "!(has(self.master.allowInsecureDev) && self.master.allowInsecureDev) || self.exposure.type == 'PodIP'",
    message:
      'master.allowInsecureDev lets anybody use the relays, so it goes with exposure.type PodIP only; remove it, or change the exposure',
    reason: 'FieldValueForbidden',
  },
).describe('What the fleet should be.');

/** The spec as the API server hands it out: defaults filled in. */
export type WavryRelaySpec = z.output<typeof spec>;
