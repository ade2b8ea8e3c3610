import type { Fleet } from './fleet.ts';

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

/**
 * Selects the series of one fleet: the ServiceMonitor hands the label of the metrics Service on to every target, and
 * Prometheus Operator adds the namespace.
 */
export function fleetSelector(fleet: Pick<Fleet, 'name' | 'namespace'>): string {
  return `{namespace="${fleet.namespace}",wavry_dev_fleet="${fleet.name}"}`;
}

/** Labels of a fleet, and of one of its relays: pods of one relay follow each other, and for a while both may be there. */
export const FLEET_LABELS = 'namespace, wavry_dev_fleet';
export const RELAY_LABELS = 'namespace, wavry_dev_fleet, wavry_dev_relay, pod';

/** Names after https://prometheus.io/docs/practices/rules/#naming: level:metric:operations. */
export const Recorded = {
  relayRate: (counter: RateCounter): string => `wavry_dev_relay:wavry_relay_${counter}:rate5m`,
  fleetRate: (counter: RateCounter): string => `wavry_dev_fleet:wavry_relay_${counter}:rate5m`,
  activeSessions: 'wavry_dev_fleet:wavry_relay_active_sessions:sum',
  totalSessions: 'wavry_dev_fleet:wavry_relay_total_sessions:sum',
  /** Of relays that Master may hand out. */
  sessionCapacity: 'wavry_dev_fleet:wavry_relay_max_sessions:sum',
} as const;

const RATES = ['packets_rx', 'packets_forwarded', 'dropped_packets', 'bytes_rx', 'bytes_forwarded'] as const;
type RateCounter = (typeof RATES)[number];

/** What alerts and dashboard ask for again and again. */
export function recordingRules(fleet: Pick<Fleet, 'name' | 'namespace'>): RecordingRule[] {
  const scope = fleetSelector(fleet);
  const sum = (record: string, metric: string): RecordingRule => ({
    record,
    expr: `sum by (${FLEET_LABELS}) (${metric})`,
  });
  return [
    ...RATES.map((counter) => ({
      record: Recorded.relayRate(counter),
      expr: `sum by (${RELAY_LABELS}) (rate(wavry_relay_${counter}${scope}[5m]))`,
    })),
    ...RATES.map((counter) => sum(Recorded.fleetRate(counter), `${Recorded.relayRate(counter)}${scope}`)),
    sum(Recorded.activeSessions, `wavry_relay_active_sessions${scope}`),
    sum(Recorded.totalSessions, `wavry_relay_total_sessions${scope}`),
    sum(
      Recorded.sessionCapacity,
      `wavry_relay_max_sessions${scope} and wavry_relay_registered${scope} == 1 and wavry_relay_draining${scope} == 0`,
    ),
  ];
}
