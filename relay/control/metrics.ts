import type { Datapath } from '../datapath/datapath.ts';
import { Counter, COUNTER_CELLS, COUNTER_HELP } from '../pipeline/counters.ts';
import type { CounterName } from '../pipeline/counters.ts';
import type { RelayStatus } from './relay-status.ts';

/** Where the figures come from; asked anew for each scrape. */
export interface MetricSources {
  readonly status: () => RelayStatus;
  /** Undefined until it runs. */
  readonly datapath: () => DatapathFigures | undefined;
  /** Whether leases can be verified by now. */
  readonly hasMasterKey: () => boolean;
  readonly maxSessions: number;
  /** Milliseconds since the process started, monotonic. */
  readonly uptimeMs: () => number;
}

type DatapathFigures = Pick<
  Datapath,
  'totals' | 'activeSessions' | 'heldSessions' | 'kernelDrops' | 'socketBufferBytes' | 'workers'
>;

/** One moment's figures, so that what belongs together adds up within an answer. */
export interface Moment {
  readonly status: RelayStatus;
  readonly hasMasterKey: boolean;
  readonly cells: Float64Array;
  readonly activeSessions: number;
  readonly totalSessions: number;
  readonly maxSessions: number;
  readonly kernelDrops: number;
  readonly socketBufferBytes: number;
  readonly workers: number;
  readonly uptimeSecs: number;
}

export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly read: (moment: Moment) => number;
}

export function takeMoment(sources: MetricSources): Moment {
  const datapath = sources.datapath();
  return {
    status: sources.status(),
    hasMasterKey: sources.hasMasterKey(),
    cells: datapath?.totals() ?? new Float64Array(COUNTER_CELLS),
    activeSessions: datapath?.activeSessions() ?? 0,
    totalSessions: datapath?.heldSessions() ?? 0,
    maxSessions: sources.maxSessions,
    kernelDrops: datapath?.kernelDrops() ?? 0,
    socketBufferBytes: datapath?.socketBufferBytes() ?? 0,
    workers: datapath?.workers ?? 0,
    uptimeSecs: Math.floor(sources.uptimeMs() / 1000),
  };
}

/** Everything that the relay measures, under the names of the guide; the one list behind every endpoint (design-relay 7). */
export const METRICS: readonly Metric[] = [
  ...(Object.keys(Counter) as CounterName[]).map((name): Metric => {
    const cell = Counter[name];
    return { name, type: 'counter', help: COUNTER_HELP[name], read: ({ cells }) => cells[cell]! };
  }),
  counter(
    'kernel_dropped_packets',
    'Packets that the kernel dropped because a socket buffer was full; not among packets_rx',
    ({ kernelDrops }) => kernelDrops,
  ),
  gauge('active_sessions', 'Current number of active sessions', (now) => now.activeSessions),
  gauge(
    'total_sessions',
    'Sessions held, active and waiting for their second peer',
    (now) => now.totalSessions,
  ),
  gauge('max_sessions', 'Sessions that may be held at once', (now) => now.maxSessions),
  gauge('uptime_secs', 'Seconds since the relay started', (now) => now.uptimeSecs),
  gauge('ready', 'Whether /ready answers 200', ({ status }) => Number(status.ready)),
  gauge('registered', 'Whether Master knows this relay', ({ status }) => Number(status.registered)),
  gauge('draining', 'Whether the relay is draining', ({ status }) => Number(status.draining)),
  gauge('overloaded', 'Whether new sessions are refused for throughput or busy time', ({ status }) =>
    Number(status.gauges.overloaded),
  ),
  gauge('workers', 'Threads that forward packets', (now) => now.workers),
  gauge(
    'worker_busy_ratio',
    'Share of its time in which the busiest worker had none to spare, mean of 10 seconds',
    ({ status }) => status.gauges.workerBusyRatio,
  ),
  gauge('socket_buffer_bytes', 'Receive buffer of one socket', (now) => now.socketBufferBytes),
  counter(
    'master_registrations',
    'Registrations that Master took',
    ({ status }) => status.gauges.registrationsTotal,
  ),
  counter(
    'master_failures',
    'Calls of Master that failed',
    ({ status }) => status.gauges.masterFailuresTotal,
  ),
  gauge(
    'master_outage_secs',
    'Seconds for which Master has taken none of the calls; 0 while it takes them',
    ({ status }) => status.gauges.masterOutageSecs,
  ),
  counter(
    'state_write_errors',
    'Writes to the state directory that failed',
    ({ status }) => status.gauges.stateWriteErrorsTotal,
  ),
  gauge(
    'state_restored_sessions',
    'Sessions restored from the state directory at start',
    ({ status }) => status.gauges.stateRestoredSessions,
  ),
  gauge(
    'state_corrupt_records',
    'Records of the state directory that were unreadable at start',
    ({ status }) => status.gauges.stateCorruptRecords,
  ),
];

/** The flat object of `/metrics`. */
export function metricsJson(moment: Moment): Record<string, number> {
  return Object.fromEntries(METRICS.map(({ name, read }) => [name, read(moment)]));
}

function counter(name: string, help: string, read: Metric['read']): Metric {
  return { name, type: 'counter', help, read };
}

function gauge(name: string, help: string, read: Metric['read']): Metric {
  return { name, type: 'gauge', help, read };
}
