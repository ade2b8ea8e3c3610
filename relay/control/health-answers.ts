import { VERSION } from '../config/version.ts';
import { metricsJson } from './metrics.ts';
import type { Moment } from './metrics.ts';

export interface Answer {
  readonly status: 200 | 500 | 503;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The operator reads no longer reasons; dozens of pinned key ids would make one. */
const MAX_REASON_CHARS = 1024;

/** `/health`: the guide's keys and today's relay's; 500 only for a data plane that is dead or stalled. */
export function healthAnswer(moment: Moment): Answer {
  const { status } = moment;
  return {
    status: status.healthy ? 200 : 500,
    body: {
      relay_id: status.relayId,
      status: status.healthy ? 'ok' : 'failing',
      ...(!status.healthy && { reason: status.unhealthyReason ?? 'unknown' }),
      state: status.state,
      ready: status.ready,
      ...(!status.ready && { not_ready_reason: cut(status.notReadyReason ?? 'unknown') }),
      has_master_key: moment.hasMasterKey,
      registered_with_master: status.registered,
      draining: status.draining,
      endpoints: status.endpoints,
      active_sessions: moment.activeSessions,
      total_sessions: moment.totalSessions,
      max_sessions: moment.maxSessions,
      uptime_secs: moment.uptimeSecs,
      version: VERSION,
      metrics: metricsJson(moment),
    },
  };
}

/** `/ready`: whether Master may send peers here; says nothing about load. */
export function readyAnswer({ status }: Moment): Answer {
  const body = { relay_id: status.relayId, ready: status.ready, state: status.state };
  if (status.ready) return { status: 200, body };
  return { status: 503, body: { ...body, reason: status.notReadyReason ?? 'unknown' } };
}

function cut(reason: string): string {
  return reason.length > MAX_REASON_CHARS ? `${reason.slice(0, MAX_REASON_CHARS - 1)}…` : reason;
}
