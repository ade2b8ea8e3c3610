import type { Fleet } from './fleet.ts';
import { fleetSelector, Recorded, recordingRules } from './recording-rules.ts';

/** One panel, as much of it as says what is seen: dashboard.ts makes Grafana's JSON of it. */
export interface Panel {
  readonly title: string;
  readonly description?: string;
  readonly kind: 'stat' | 'gauge' | 'timeseries';
  /** Grafana's name of the unit: https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts */
  readonly unit: 'short' | 'pps' | 'bps' | 'percentunit' | 's' | 'bytes' | 'cps';
  readonly queries: readonly Query[];
  /** Series lie on top of each other and add up. */
  readonly stacked?: boolean;
  /** From this value on it is a warning, and from that an error. */
  readonly thresholds?: readonly [number, number];
}

export interface Query {
  readonly expr: string;
  /** Grafana's legend format: text with `{{label}}`. */
  readonly legend: string;
}

export interface PanelRow {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** The panels of the operations guide and more. Rates are over Grafana's own interval where no recording rule has them. */
export function dashboardRows(fleet: Fleet): readonly PanelRow[] {
  return [overview(fleet), traffic(fleet), relays(fleet), scaling(fleet), drains(fleet)];
}

function overview(fleet: Fleet): PanelRow {
  const scope = fleetSelector(fleet);
  const active = recorded(fleet, Recorded.activeSessions);
  const room = recorded(fleet, Recorded.sessionCapacity);
  const dropped = recorded(fleet, Recorded.fleetRate('dropped_packets'));
  const received = recorded(fleet, Recorded.fleetRate('packets_rx'));
  return {
    title: 'Fleet',
    panels: [
      {
        title: 'Active sessions',
        description: 'Of what the relays in service can hold. The guide scales up from 80%.',
        kind: 'gauge',
        unit: 'percentunit',
        thresholds: [0.7, 0.8],
        queries: [{ expr: `${active} / ${room}`, legend: 'load' }],
      },
      stat(
        'Relays in service',
        'short',
        `sum(wavry_relay_registered${scope} * (1 - wavry_relay_draining${scope}))`,
      ),
      stat('Session capacity', 'short', room),
      {
        ...stat('Packets dropped', 'percentunit', `${dropped} / (${received} > 0) or 0 * ${received}`),
        thresholds: [0.01, 0.05],
      },
      {
        ...stat(
          'Alerts firing',
          'short',
          `count(ALERTS{alertstate="firing",${scope.slice(1)} or ALERTS{alertstate="firing",${operatorSelector(fleet).slice(1)}) or vector(0)`,
        ),
        description: 'On the relays, and what the operator alone knows of the fleet (autoscaling, rollouts).',
        thresholds: [1, 5],
      },
      {
        title: 'Sessions and capacity',
        kind: 'timeseries',
        unit: 'short',
        queries: [
          { expr: active, legend: 'active' },
          { expr: recorded(fleet, Recorded.totalSessions), legend: 'held, waiting ones included' },
          { expr: room, legend: 'capacity' },
        ],
      },
    ],
  };
}

function traffic(fleet: Fleet): PanelRow {
  const rate = (counter: string): string => fleetRate(fleet, counter);
  const bits = (counter: 'bytes_rx' | 'bytes_forwarded'): string =>
    `8 * ${recorded(fleet, Recorded.fleetRate(counter))}`;
  return {
    title: 'Traffic',
    panels: [
      {
        title: 'Packet throughput',
        kind: 'timeseries',
        unit: 'pps',
        queries: [
          { expr: recorded(fleet, Recorded.fleetRate('packets_rx')), legend: 'received' },
          { expr: recorded(fleet, Recorded.fleetRate('packets_forwarded')), legend: 'forwarded' },
        ],
      },
      {
        title: 'Bandwidth',
        kind: 'timeseries',
        unit: 'bps',
        queries: [
          { expr: bits('bytes_rx'), legend: 'received' },
          { expr: bits('bytes_forwarded'), legend: 'forwarded' },
        ],
      },
      {
        title: 'Error rates',
        description: 'Dropped packets by reason; each is counted under one.',
        kind: 'timeseries',
        unit: 'pps',
        stacked: true,
        queries: DROPS.map(([counter, legend]) => ({ expr: rate(counter), legend })),
      },
      {
        title: 'Session lifecycle',
        kind: 'timeseries',
        unit: 'cps',
        queries: [
          { expr: rate('lease_accepted_packets'), legend: 'leases accepted' },
          { expr: rate('cleanup_expired_sessions'), legend: 'sessions expired' },
          { expr: rate('cleanup_idle_sessions'), legend: 'sessions idle' },
        ],
      },
      {
        title: 'NAT rebind events',
        description: 'Peers whose NAT gave them another port in the middle of a session, and were followed.',
        kind: 'timeseries',
        unit: 'cps',
        queries: [{ expr: rate('nat_rebind_events'), legend: 'rebindings' }],
      },
    ],
  };
}

/** relay/pipeline/counters.ts, PRIMARY_DROP_REASONS, and what the kernel dropped before the relay saw it. */
const DROPS = [
  ['invalid_packets', 'invalid'],
  ['auth_reject_packets', 'auth reject'],
  ['wrong_relay_rejects', 'wrong relay'],
  ['session_full_rejects', 'full'],
  ['overload_shed_packets', 'shed'],
  ['drain_refused_packets', 'draining'],
  ['rate_limited_packets', 'rate limited'],
  ['session_not_found_packets', 'no session'],
  ['session_not_active_packets', 'not active'],
  ['unknown_peer_packets', 'unknown peer'],
  ['replay_dropped_packets', 'replay'],
  ['backpressure_dropped_packets', 'backpressure'],
  ['send_failed_packets', 'send failed'],
  ['kernel_dropped_packets', 'kernel (socket buffer)'],
] as const;

function relays(fleet: Fleet): PanelRow {
  const scope = fleetSelector(fleet);
  const dropped = recorded(fleet, Recorded.relayRate('dropped_packets'));
  const received = recorded(fleet, Recorded.relayRate('packets_rx'));
  const each = (title: string, unit: Panel['unit'], expr: string): Panel => ({
    title,
    kind: 'timeseries',
    unit,
    queries: [{ expr, legend: '{{wavry_dev_relay}}' }],
  });
  return {
    title: 'Relays',
    panels: [
      each('Sessions by relay', 'short', `wavry_relay_total_sessions${scope}`),
      each('Packets forwarded by relay', 'pps', recorded(fleet, Recorded.relayRate('packets_forwarded'))),
      each('Share dropped by relay', 'percentunit', `${dropped} / (${received} > 0) or 0 * ${received}`),
      each('CPU of the busiest worker', 'percentunit', `wavry_relay_worker_busy_ratio${scope}`),
      each('Memory', 'bytes', `process_resident_memory_bytes${scope}`),
      each('Registered at Master', 'short', `wavry_relay_registered${scope}`),
    ],
  };
}

/** The operator's own view: the panels stay empty where it isn't scraped (the chart's monitoring.serviceMonitor). */
function scaling(fleet: Fleet): PanelRow {
  const scope = operatorSelector(fleet);
  const scaled = fleet.spec.autoscaling !== undefined;
  const demand = `wavry_operator_fleet_sessions${scope}`;
  const target = `wavry_operator_fleet_autoscaling_target_sessions${scope}`;
  return {
    title: 'Autoscaling',
    panels: [
      {
        title: 'Relays asked for and serving',
        description: 'Needed: what the sessions ask for at the target utilisation.',
        kind: 'timeseries',
        unit: 'short',
        queries: [
          { expr: `wavry_operator_fleet_spec_replicas${scope}`, legend: 'asked for' },
          {
            expr: `wavry_operator_fleet_relays{state="Serving",${scope.slice(1)}`,
            legend: 'serving',
          },
          ...(scaled
            ? [
                { expr: `ceil(${demand} / ${target})`, legend: 'needed' },
                { expr: `wavry_operator_fleet_autoscaling_bound${scope}`, legend: '{{bound}}' },
              ]
            : []),
        ],
      },
      {
        title: 'Sessions a relay',
        description: 'Held sessions for each relay asked for, and where autoscaling holds them.',
        kind: 'timeseries',
        unit: 'short',
        queries: [
          {
            expr: `${demand} / (wavry_operator_fleet_spec_replicas${scope} > 0)`,
            legend: 'sessions a relay',
          },
          ...(scaled ? [{ expr: target, legend: 'target' }] : []),
        ],
      },
      {
        title: 'Sessions refused for want of room',
        description: 'Any steps an autoscaled fleet up.',
        kind: 'timeseries',
        unit: 'cps',
        queries: [
          { expr: fleetRate(fleet, 'session_full_rejects'), legend: 'full' },
          { expr: fleetRate(fleet, 'overload_shed_packets'), legend: 'shed' },
        ],
      },
      {
        title: 'Relays by state',
        kind: 'timeseries',
        unit: 'short',
        stacked: true,
        queries: [{ expr: `wavry_operator_fleet_relays${scope}`, legend: '{{state}}' }],
      },
      {
        title: 'Conditions',
        description: '1 while a condition of the WavryRelay is True.',
        kind: 'timeseries',
        unit: 'short',
        queries: [
          {
            expr: `max by (type) (wavry_operator_fleet_condition{status="True",${scope.slice(1)})`,
            legend: '{{type}}',
          },
        ],
      },
    ],
  };
}

function drains(fleet: Fleet): PanelRow {
  const scope = fleetSelector(fleet);
  const since = `wavry_operator_relay_drain_start_timestamp_seconds${operatorSelector(fleet)}`;
  return {
    title: 'Drains',
    panels: [
      {
        title: 'Draining relays',
        kind: 'timeseries',
        unit: 'short',
        queries: [{ expr: `sum(wavry_relay_draining${scope})`, legend: 'draining' }],
      },
      {
        title: 'Sessions on draining relays',
        kind: 'timeseries',
        unit: 'short',
        stacked: true,
        queries: [
          {
            expr: `wavry_relay_total_sessions${scope} * wavry_relay_draining${scope}`,
            legend: '{{wavry_dev_relay}}',
          },
        ],
      },
      {
        title: 'Longest drain',
        description: `A drain ends when its relay is empty, or after spec.drain.timeout (${fleet.spec.drain.timeout}).`,
        kind: 'timeseries',
        unit: 's',
        queries: [{ expr: `max(time() - ${since}) or vector(0)`, legend: 'oldest' }],
      },
      {
        title: 'Sessions refused by draining relays',
        description: 'Master sent a peer to a relay that was already leaving.',
        kind: 'timeseries',
        unit: 'cps',
        queries: [{ expr: fleetRate(fleet, 'drain_refused_packets'), legend: 'refused' }],
      },
    ],
  };
}

/** Series of the operator speak of a fleet by labels of their own. */
function operatorSelector(fleet: Fleet): string {
  return `{namespace="${fleet.namespace}",fleet="${fleet.name}"}`;
}

function fleetRate(fleet: Fleet, counter: string): string {
  return `sum(rate(wavry_relay_${counter}${fleetSelector(fleet)}[$__rate_interval]))`;
}

/** A recorded series, or the expression behind it where the fleet has no PrometheusRule. */
function recorded(fleet: Fleet, record: string): string {
  const scope = fleetSelector(fleet);
  if (fleet.spec.monitoring.prometheusRule !== false) return `${record}${scope}`;
  const rules = recordingRules(fleet);
  const expand = (name: string): string =>
    rules.reduce(
      (expr, rule) => expr.replaceAll(`${rule.record}${scope}`, () => expand(rule.record)),
      `(${rules.find((rule) => rule.record === name)?.expr ?? name})`,
    );
  return expand(record);
}

function stat(title: string, unit: Panel['unit'], expr: string): Panel {
  return { title, kind: 'stat', unit, queries: [{ expr, legend: title }] };
}
