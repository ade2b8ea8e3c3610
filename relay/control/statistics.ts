import { Counter } from '../pipeline/counters.ts';
import type { ControlLog } from './control-log.ts';
import { takeMoment } from './metrics.ts';
import type { MetricSources, Moment } from './metrics.ts';

export interface Statistics {
  /** Ends the periodic lines and logs the last one. */
  finish(): void;
}

/** Logs a line of totals each `intervalMs`, with the rates since the line before. */
export function startStatistics(intervalMs: number, sources: MetricSources, log: ControlLog): Statistics {
  let last = { cells: takeMoment(sources).cells, atMs: sources.uptimeMs() };
  const timer = setInterval(() => {
    const moment = takeMoment(sources);
    const atMs = sources.uptimeMs();
    log('info', 'relay metrics', { ...totals(moment), ...rates(last.cells, moment.cells, atMs - last.atMs) });
    last = { cells: moment.cells, atMs };
  }, intervalMs);
  timer.unref();
  return {
    finish: () => {
      clearInterval(timer);
      log('info', 'final relay metrics', totals(takeMoment(sources)));
    },
  };
}

/** With the keys of today's relay, which scripts may read; the new counters under their own names. */
function totals(moment: Moment): Record<string, string | number> {
  const at = (name: keyof typeof Counter): number => moment.cells[Counter[name]]!;
  return {
    relay_id: moment.status.relayId,
    state: moment.status.state,
    active_sessions: moment.activeSessions,
    total_sessions: moment.totalSessions,
    packets_rx: at('packets_rx'),
    bytes_rx: at('bytes_rx'),
    forwarded_packets: at('packets_forwarded'),
    forwarded_bytes: at('bytes_forwarded'),
    lease_present: at('lease_present_packets'),
    lease_renew: at('lease_renew_packets'),
    lease_accepted: at('lease_accepted_packets'),
    dropped: at('dropped_packets'),
    rate_limited: at('rate_limited_packets'),
    invalid: at('invalid_packets'),
    auth_rejects: at('auth_reject_packets'),
    session_not_found: at('session_not_found_packets'),
    session_not_active: at('session_not_active_packets'),
    unknown_peer: at('unknown_peer_packets'),
    replay_drops: at('replay_dropped_packets'),
    backpressure_drops: at('backpressure_dropped_packets'),
    send_failed: at('send_failed_packets'),
    kernel_drops: moment.kernelDrops,
    session_full: at('session_full_rejects'),
    wrong_relay: at('wrong_relay_rejects'),
    expired_leases: at('expired_lease_rejects'),
    drain_refused: at('drain_refused_packets'),
    overload_shed: at('overload_shed_packets'),
    cleanup_expired: at('cleanup_expired_sessions'),
    cleanup_idle: at('cleanup_idle_sessions'),
    nat_rebinds: at('nat_rebind_events'),
  };
}

function rates(before: Float64Array, after: Float64Array, elapsedMs: number): Record<string, number> {
  const perSecond = (cell: number): number =>
    ((after[cell]! - before[cell]!) / Math.max(1, elapsedMs)) * 1000;
  return {
    forwarded_pps: Math.round(perSecond(Counter.packets_forwarded)),
    forwarded_mbps: Math.round((perSecond(Counter.bytes_forwarded) * 8) / 10_000) / 100,
  };
}
