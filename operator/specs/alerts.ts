import { durationSeconds } from '../api/duration.ts';
import { capacityOf, type Fleet } from './fleet.ts';
import { FLEET_LABELS, fleetSelector, Recorded, RELAY_LABELS } from './recording-rules.ts';
import { runbookUrl } from './runbook.ts';

/** https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ */
export interface AlertingRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: 'critical' | 'warning' | 'info' };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook_url: string;
  };
}

/** A rule before it gets its link to the runbooks. */
type Unlinked = Omit<AlertingRule, 'annotations'> & {
  readonly annotations: Omit<AlertingRule['annotations'], 'runbook_url'>;
};

/** Packets a second that a relay must receive before a share of them means something. */
const LEAST_RATE = 10;
/** After which Master hands out no session on a relay that it doesn't hear (wire reference 4). */
const UNHEARD_SECONDS = 120;
/** A drain that is this much beyond its timeout hangs. */
const DRAIN_SLACK_SECONDS = 600;

const RELAY = '{{ $labels.wavry_dev_relay }}';
const COUNT = '{{ printf "%.0f" $value }}';
const SHARE = '{{ $value | humanizePercentage }}';

/** The thresholds of the operations guide's table ("Key Metrics to Monitor"), and what it leaves out. */
export function alertingRules(fleet: Fleet): AlertingRule[] {
  const rules = [...availability(fleet), ...traffic(fleet), ...capacity(fleet), ...drains(fleet)];
  return rules.map((rule) => ({
    ...rule,
    annotations: { ...rule.annotations, runbook_url: runbookUrl(fleet.runbooks, rule.alert) },
  }));
}

function availability(fleet: Fleet): Unlinked[] {
  const scope = fleetSelector(fleet);
  const name = `${fleet.namespace}/${fleet.name}`;
  const allDown = `sum by (${FLEET_LABELS}) (up${scope}) == 0`;
  return [
    // A fleet of none has nothing to scrape.
    ...(fleet.spec.replicas === 0
      ? []
      : [
          rule(
            'WavryRelayFleetDown',
            'critical',
            '5m',
            // Without a ServiceMonitor nobody may be there to scrape: that there is nothing says nothing.
            fleet.spec.monitoring.serviceMonitor === false ? allDown : `absent(up${scope}) or ${allDown}`,
            {
              summary: `No relay of ${name} can be scraped.`,
              description: `For 5 minutes Prometheus has reached no relay of WavryRelay ${name}: all are down, or it can't find or reach them.`,
            },
          ),
        ]),
    rule('WavryRelayDown', 'critical', '2m', `up${scope} == 0`, {
      summary: `Relay ${RELAY} of ${name} is down.`,
      description: `Pod {{ $labels.pod }} hasn't answered a scrape for 2 minutes. Its sessions may be cut.`,
    }),
    rule(
      'WavryRelayNotRegistered',
      'warning',
      '5m',
      `wavry_relay_registered${scope} == 0 and wavry_relay_draining${scope} == 0`,
      {
        summary: `Relay ${RELAY} of ${name} isn't registered at Master.`,
        description: `Master has not known pod {{ $labels.pod }} for 5 minutes, so it gets no session. Sessions that it holds go on.`,
      },
    ),
    // A relay counts as registered until Master says otherwise, which a Master that is away never does.
    rule(
      'WavryRelayMasterUnreachable',
      'warning',
      undefined,
      `wavry_relay_master_outage_secs${scope} > ${UNHEARD_SECONDS} and wavry_relay_registered${scope} == 1`,
      {
        summary: `Relay ${RELAY} of ${name} gets no heartbeat through to Master.`,
        description: `Master has taken no heartbeat of pod {{ $labels.pod }} for {{ $value | humanizeDuration }}, so it gets no session. Sessions that it holds go on.`,
      },
    ),
    rule(
      'WavryRelayStateWriteErrors',
      'warning',
      undefined,
      `increase(wavry_relay_state_write_errors${scope}[5m]) > 0`,
      {
        summary: `Relay ${RELAY} of ${name} can't save its sessions.`,
        description: `Writes to the state directory of pod {{ $labels.pod }} fail: should the relay restart, it forgets the sessions that weren't saved.`,
      },
    ),
  ];
}

function traffic(fleet: Fleet): Unlinked[] {
  const scope = fleetSelector(fleet);
  const name = `${fleet.namespace}/${fleet.name}`;
  const received = `${Recorded.relayRate('packets_rx')}${scope}`;
  const enough = `${received} > ${LEAST_RATE}`;
  const share = (rate: string, threshold: string): string =>
    `${rate} / ${received} ${threshold} and ${enough}`;
  const rate = (counter: string): string =>
    `sum by (${RELAY_LABELS}) (rate(wavry_relay_${counter}${scope}[5m]))`;
  const recorded = (counter: 'packets_forwarded' | 'dropped_packets'): string =>
    `${Recorded.relayRate(counter)}${scope}`;
  return [
    rule('WavryRelayForwardingLow', 'warning', '5m', share(recorded('packets_forwarded'), '< 0.95'), {
      summary: `Relay ${RELAY} of ${name} forwards less than 95% of its packets.`,
      description: `Pod {{ $labels.pod }} forwards ${SHARE} of the packets it receives; the others are dropped, or are leases.`,
    }),
    rule('WavryRelayDropsHigh', 'warning', '5m', share(recorded('dropped_packets'), '> 0.05'), {
      summary: `Relay ${RELAY} of ${name} drops more than 5% of its packets.`,
      description: `Pod {{ $labels.pod }} drops ${SHARE} of the packets it receives. The counters by reason tell why.`,
    }),
    rule('WavryRelayRateLimited', 'warning', '5m', share(rate('rate_limited_packets'), '> 0.01'), {
      summary: `Relay ${RELAY} of ${name} drops more than 1% of its packets by rate limits.`,
      description: `Pod {{ $labels.pod }} drops ${SHARE} of its packets because a source, an identity or a session is over its limit.`,
    }),
    rule('WavryRelayInvalidPackets', 'warning', '5m', share(rate('invalid_packets'), '> 0.001'), {
      summary: `More than 0.1% of the packets of relay ${RELAY} of ${name} are malformed.`,
      description: `${SHARE} of what pod {{ $labels.pod }} receives isn't of the relay's protocol: a client of another version, or somebody who knocks.`,
    }),
    rule('WavryRelayAuthRejects', 'warning', '5m', `${rate('auth_reject_packets')} > 1`, {
      summary: `Relay ${RELAY} of ${name} refuses leases.`,
      description: `Pod {{ $labels.pod }} refuses {{ $value | humanize }} leases a second: keys out of step with Master, clocks that differ, or abuse.`,
    }),
    rule(
      'WavryRelayKernelDrops',
      'warning',
      '2m',
      `increase(wavry_relay_kernel_dropped_packets${scope}[5m]) > 0`,
      {
        summary: `The kernel drops packets for relay ${RELAY} of ${name}.`,
        description: `${COUNT} packets within 5 minutes found the receive buffer of pod {{ $labels.pod }} full: it is too small, or the relay gets too little CPU.`,
      },
    ),
  ];
}

function capacity(fleet: Fleet): Unlinked[] {
  const scope = fleetSelector(fleet);
  const name = `${fleet.namespace}/${fleet.name}`;
  const refused = (counter: string): string => `increase(wavry_relay_${counter}${scope}[5m]) > 0`;
  const demand = `${Recorded.totalSessions}${scope}`;
  const bounds = fleet.spec.autoscaling;
  const largest = bounds ? bounds.maxReplicas * capacityOf(fleet.spec).maxSessions : undefined;
  const room = largest === undefined ? `${Recorded.sessionCapacity}${scope}` : `${largest}`;
  return [
    rule('WavryRelaySessionsFull', 'warning', undefined, refused('session_full_rejects'), {
      summary: `Relay ${RELAY} of ${name} is full.`,
      description: `Pod {{ $labels.pod }} refused ${COUNT} sessions within 5 minutes because it holds max_sessions. Scale the fleet up.`,
    }),
    rule('WavryRelayOverloadShed', 'warning', undefined, refused('overload_shed_packets'), {
      summary: `Relay ${RELAY} of ${name} sheds load.`,
      description: `Pod {{ $labels.pod }} refused ${COUNT} sessions within 5 minutes because it is near its limit of sessions, throughput or CPU. Scale the fleet up.`,
    }),
    rule(
      'WavryRelaySessionsHigh',
      'warning',
      '10m',
      `wavry_relay_active_sessions${scope} / wavry_relay_max_sessions${scope} > 0.8`,
      {
        summary: `Relay ${RELAY} of ${name} holds more than 80% of its sessions.`,
        description: `Pod {{ $labels.pod }} has been at ${SHARE} of max_sessions for 10 minutes. Scale the fleet up.`,
      },
    ),
    rule('WavryRelayBusy', 'warning', '10m', `wavry_relay_worker_busy_ratio${scope} > 0.7`, {
      summary: `Relay ${RELAY} of ${name} is short of CPU.`,
      description: `The busiest worker of pod {{ $labels.pod }} has been using ${SHARE} of a core for 10 minutes; from 90% the relay refuses new sessions.`,
    }),
    rule(
      'WavryRelayFleetNearCapacity',
      'warning',
      '10m',
      `predict_linear(${demand}[30m], 3600) > ${room} and ${demand} > 0.5 * ${room}`,
      {
        summary: `${name} will be full within an hour.`,
        description:
          largest === undefined
            ? `By the growth of the last 30 minutes WavryRelay ${name} will have ${COUNT} sessions in an hour, more than its relays can hold. Raise spec.replicas.`
            : `By the growth of the last 30 minutes WavryRelay ${name} will have ${COUNT} sessions in an hour, more than the ${largest} of spec.autoscaling.maxReplicas relays. Raise maxReplicas.`,
      },
    ),
  ];
}

function drains(fleet: Fleet): Unlinked[] {
  const scope = fleetSelector(fleet);
  const name = `${fleet.namespace}/${fleet.name}`;
  const { timeout } = fleet.spec.drain;
  const seconds = Math.ceil(durationSeconds(timeout)) + DRAIN_SLACK_SECONDS;
  return [
    rule('WavryRelayDrainStuck', 'warning', `${seconds}s`, `wavry_relay_draining${scope} == 1`, {
      summary: `Relay ${RELAY} of ${name} drains without an end.`,
      description: `Pod {{ $labels.pod }} still drains 10 minutes after spec.drain.timeout (${timeout}): nobody deletes it.`,
    }),
    rule(
      'WavryRelayDrainedStays',
      'warning',
      '10m',
      `wavry_relay_draining${scope} == 1 and wavry_relay_total_sessions${scope} == 0`,
      {
        summary: `Relay ${RELAY} of ${name} is drained and stays.`,
        description: `Pod {{ $labels.pod }} has been draining without a session for 10 minutes, and nobody deletes it.`,
      },
    ),
  ];
}

function rule(
  alert: string,
  severity: AlertingRule['labels']['severity'],
  wait: string | undefined,
  expr: string,
  annotations: Unlinked['annotations'],
): Unlinked {
  return {
    alert,
    expr,
    ...(wait === undefined ? {} : { for: wait }),
    labels: { severity },
    annotations,
  };
}
