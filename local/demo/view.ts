import type { PeersSnapshot } from '../peers/peers-snapshot.ts';
import { grouped, ms } from '../peers/report.ts';
import type { RelayCost, RelayMetrics } from './relay-process.ts';

/** All that the view shows. */
export interface Scene {
  readonly masterUrl: string;
  readonly masterKeyId: string;
  readonly relayAddress: string;
  readonly healthUrl: string;
  readonly packetBytes: number;
  readonly peers: PeersSnapshot;
  /** Counts of the last second, both peers together. */
  readonly second: {
    readonly packets: number;
    readonly bytes: number;
    readonly lost: number;
    readonly bad: number;
  };
  readonly metrics: RelayMetrics | undefined;
  readonly cost: RelayCost;
  /** p99 of the last seconds in ms, the latest last. */
  readonly history: readonly number[];
  /** What else is going on. */
  readonly notice?: string | undefined;
}

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'cyan';
/** Colours a text, or leaves it as it is where there are no colours. */
export type Paint = (style: Style, text: string) => string;

/** The counters that say why the relay dropped a packet; each dropped packet is in exactly one (design-relay 7). */
export const DROP_REASONS = [
  'invalid_packets',
  'auth_reject_packets',
  'wrong_relay_rejects',
  'session_full_rejects',
  'overload_shed_packets',
  'drain_refused_packets',
  'rate_limited_packets',
  'session_not_found_packets',
  'session_not_active_packets',
  'unknown_peer_packets',
  'replay_dropped_packets',
  'backpressure_dropped_packets',
  'send_failed_packets',
] as const;

/** The view's lines, at most 79 characters wide without their colours. */
export function drawView(scene: Scene, paint: Paint): string[] {
  const { peers, second, metrics, cost } = scene;
  const { tally, overall, recent } = peers;
  const bad = tally.corrupted + tally.duplicated;
  const lostPercent = (100 * peers.lost) / Math.max(1, tally.sent);
  return [
    ` ${paint('bold', 'Wavry relay')}${`${clock(peers.seconds)}   Ctrl-C ends`.padStart(66)}`,
    '',
    label(paint, 'Master', `${scene.masterUrl.padEnd(22)}  key ${scene.masterKeyId}`),
    label(paint, 'Relay', `${scene.relayAddress.padEnd(22)}  ${relayCost(cost)}`),
    label(paint, 'Peers', peersLine(scene)),
    '',
    paint('dim', `${'now'.padStart(30)}${'since the start'.padStart(34)}`),
    row(paint, 'packets', [grouped(second.packets), '/s'], [grouped(tally.received), '']),
    row(
      paint,
      'bandwidth',
      [megabits(second.bytes), 'Mbit/s'],
      [(tally.receivedBytes / 1e6).toFixed(1), 'MB'],
    ),
    row(paint, 'latency p50', [ms(recent.p50), 'ms'], [ms(overall.p50), 'ms']),
    row(paint, 'latency p99', [ms(recent.p99), 'ms'], [ms(overall.p99), 'ms']),
    row(
      paint,
      'lost',
      [grouped(second.lost), ''],
      [grouped(peers.lost), `${lostPercent.toFixed(2)} %`],
      peers.lost > 0,
    ),
    row(paint, 'wrong', [grouped(second.bad), ''], [grouped(bad), ''], bad > 0),
    '',
    label(paint, 'p99', paint('cyan', sparkline(scene.history, 60))),
    '',
    ...relayLines(metrics, paint),
    '',
    paint('dim', ` curl ${scene.healthUrl}/metrics/prometheus`),
    ...(scene.notice === undefined ? [] : ['', label(paint, 'Cluster', paint('bold', scene.notice))]),
  ];
}

/** The same on one line, for logs. */
export function drawLine(scene: Scene): string {
  const { peers, second, cost, metrics } = scene;
  const drops = metrics ? dropText(metrics) : 'unknown';
  return [
    `${peers.seconds.toFixed(0).padStart(4)} s`,
    `${grouped(second.packets).padStart(6)} pkt/s`,
    `${megabits(second.bytes)} Mbit/s`,
    `p50 ${ms(peers.recent.p50)} p99 ${ms(peers.recent.p99)} ms`,
    `lost ${grouped(peers.lost)}`,
    `sessions ${metrics?.['active_sessions'] ?? '?'}`,
    `relay CPU ${cost.cpuPercent === null ? '?' : `${cost.cpuPercent.toFixed(1)} %`}`,
    `drops ${drops}`,
    ...(scene.notice === undefined ? [] : [scene.notice]),
  ].join('  ');
}

/** Bars of eight heights, the highest value full, for the last `width` values. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const most = Math.max(...shown, 0);
  if (most === 0) return '';
  const bars = shown.map(
    (value) => BARS[Math.min(BARS.length - 1, Math.floor((value / most) * BARS.length))]!,
  );
  return `${bars.join('')} ${ms(shown.at(-1)!)} ms`;
}

const BARS = '▁▂▃▄▅▆▇█';

type Figure = readonly [number: string, unit: string];

/** Figures one below the other, units too; red when something is wrong. */
function row(paint: Paint, name: string, now: Figure, total: Figure, alarm = false): string {
  const figures = `${now[0].padStart(16)} ${now[1].padEnd(16)}${total[0].padStart(17)} ${total[1]}`;
  return ` ${paint('dim', name.padEnd(13))}${alarm ? paint('red', figures) : figures}`;
}

/** A line of the view that begins with its name. */
export function label(paint: Paint, name: string, text: string): string {
  return ` ${paint('dim', name.padEnd(8))}${text}`;
}

function peersLine({ peers, packetBytes }: Scene): string {
  const { wanted, established } = peers.sessions;
  const sessions = `${grouped(established)} of ${grouped(wanted)} session${wanted === 1 ? '' : 's'}`;
  return `${sessions}, ${packetBytes}-byte packets both ways, every byte checked`;
}

function relayCost({ cpuPercent, residentBytes }: RelayCost): string {
  if (cpuPercent === null || residentBytes === null) return '';
  return `CPU ${cpuPercent.toFixed(1)} %  memory ${(residentBytes / 1e6).toFixed(0)} MB`;
}

function relayLines(metrics: RelayMetrics | undefined, paint: Paint): string[] {
  if (!metrics) return [label(paint, 'Counts', 'the relay does not answer'), ''];
  const count = (name: string): string => grouped(metrics[name] ?? 0);
  const drops = dropText(metrics);
  return [
    label(
      paint,
      'Counts',
      `received ${count('packets_rx')}  forwarded ${count('packets_forwarded')}  active sessions ${count('active_sessions')}`,
    ),
    label(paint, 'Drops', drops === 'none' ? paint('green', drops) : paint('red', drops)),
  ];
}

/** "none", or the reasons with the most drops first, as many as fit. */
function dropText(metrics: RelayMetrics): string {
  const reasons = DROP_REASONS.map((name) => [name, metrics[name] ?? 0] as const)
    .filter(([, count]) => count > 0)
    .toSorted((a, b) => b[1] - a[1])
    .map(
      ([name, count]) =>
        `${name.replace(/_(dropped_)?(packets|rejects)$/, '').replaceAll('_', ' ')} ${grouped(count)}`,
    );
  if (reasons.length === 0) return 'none';
  let text = reasons[0]!;
  for (const [i, reason] of reasons.slice(1).entries()) {
    if (text.length + reason.length > 55) return `${text}, ${reasons.length - 1 - i} more`;
    text += `, ${reason}`;
  }
  return text;
}

export function megabits(bytes: number): string {
  return ((bytes * 8) / 1e6).toFixed(1);
}

/** Minutes and seconds, as 07:05. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  return `${String(minutes).padStart(2, '0')}:${String(whole % 60).padStart(2, '0')}`;
}
