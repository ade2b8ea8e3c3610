import type { RelayStatus } from '../../operator/api/status.ts';
import { grouped, ms } from '../peers/report.ts';
import type { ClusterState } from './cluster-state.ts';
import type { CrowdReport } from './crowd/crowd-report.ts';
import { FLEET } from './fleet.ts';
import type { Size } from './screen.ts';
import type { Paint, Style } from './view.ts';
import { clock, label, megabits, sparkline } from './view.ts';

/** All that the view of a cluster shows. */
export interface ClusterScene {
  readonly title: string;
  /** Since the demo began. */
  readonly seconds: number;
  readonly masterUrl: string;
  readonly operatorHow: string;
  /** The last answer of the API server; undefined before the first. */
  readonly cluster: ClusterState | undefined;
  readonly crowd: CrowdReport | undefined;
  /** What doesn't answer at the moment. */
  readonly trouble: string | undefined;
  /** Unix milliseconds: events have ages. */
  readonly nowMs: number;
  /** p99 of the slowest session in the last seconds, the latest last. */
  readonly history: readonly number[];
  /** To be typed in another terminal. */
  readonly shellLines: readonly string[];
}

/** The view's lines, as many as there is room for: what can be left out is, from the bottom up. */
export function drawCluster(scene: ClusterScene, paint: Paint, { columns, rows }: Size): string[] {
  const width = Math.max(60, columns - 1);
  const room = rows - 1;
  const head = [
    heading(scene, paint, width),
    '',
    label(paint, 'Fleet', fleetLine(scene, paint)),
    label(paint, '', conditionLine(scene, paint)),
    label(paint, 'Objects', objectsLine(scene.cluster)),
    label(paint, 'Control', operatorLine(scene)),
    label(paint, 'Master', masterLine(scene)),
    '',
  ];
  const peers = peersLines(scene, paint, width);
  const shell = [
    '',
    paint('dim', ' In another terminal:'),
    ...scene.shellLines.map((line) => `   ${paint('cyan', line)}`),
  ];
  const fixed = head.length + peers.length + shell.length;
  const relays = relayLines(scene, paint, width, Math.max(2, room - fixed));
  const left = room - fixed - relays.length;
  const events = left >= 3 ? eventLines(scene, paint, left) : [];
  return [...head, ...relays, ...peers, ...events, ...shell];
}

/** The same on one line, for logs. */
export function clusterLine({ seconds, cluster, crowd, trouble }: ClusterScene): string {
  const { fleet } = cluster ?? {};
  const now = traffic(crowd);
  const relays = rowsOf(cluster, crowd).map(
    ({ relay, sessions }) => `${relay.name} ${relay.state} ${sessions ?? 0}`,
  );
  return [
    `${seconds.toFixed(0).padStart(4)} s`,
    fleet ? `wr/${FLEET} ${fleet.status.readyReplicas ?? 0}/${fleet.desired} ready` : `no wr/${FLEET}`,
    `sessions ${now.sessions}`,
    `${grouped(now.packets)} pkt/s`,
    `${megabits(now.bytes)} Mbit/s`,
    `p50 ${figure(now.p50)} p99 ${figure(now.p99)} ms`,
    `lost ${grouped(crowd?.total.lost ?? 0)}`,
    ...(relays.length > 0 ? [`relays ${relays.join(', ')}`] : []),
    ...(trouble === undefined ? [] : [trouble]),
  ].join('  ');
}

/** All sessions together; the latency is that of the slowest one. */
export function traffic(crowd: CrowdReport | undefined): {
  sessions: number;
  packets: number;
  bytes: number;
  p50: number;
  p99: number;
} {
  const all = { sessions: 0, packets: 0, bytes: 0, p50: 0, p99: 0 };
  for (const relay of Object.values(crowd?.relays ?? {})) {
    all.sessions += relay.sessions;
    all.packets += relay.packets;
    all.bytes += relay.bytes;
    all.p50 = Math.max(all.p50, relay.p50);
    all.p99 = Math.max(all.p99, relay.p99);
  }
  return all;
}

function heading({ title, seconds }: ClusterScene, paint: Paint, width: number): string {
  const name = 'Wavry relays on Kubernetes';
  const right = `${clock(seconds)}   Ctrl-C ends`;
  const middle = `  ${title}`.slice(0, Math.max(0, width - name.length - right.length - 2));
  return ` ${paint('bold', name)}${paint('dim', middle)}${right.padStart(width - 1 - name.length - middle.length)}`;
}

function fleetLine({ cluster }: ClusterScene, paint: Paint): string {
  if (!cluster?.fleet) return `wavryrelay/${FLEET}  ${paint('red', cluster ? 'is not there' : '…')}`;
  const { desired, status } = cluster.fleet;
  const ready = status.readyReplicas ?? 0;
  const draining = status.drainingReplicas ?? 0;
  return [
    `wavryrelay/${FLEET}`,
    `${desired} desired`,
    paint(ready >= desired ? 'green' : 'bold', `${ready} ready`),
    ...(draining > 0 ? [paint('bold', `${draining} draining`)] : []),
    `room for ${grouped(status.sessionCapacity ?? 0)} sessions`,
  ].join('   ');
}

/** What Ready says, or what doesn't answer. */
function conditionLine({ cluster, trouble }: ClusterScene, paint: Paint): string {
  if (trouble !== undefined) return paint('red', trouble);
  const conditions = cluster?.fleet?.status.conditions ?? [];
  const ready = conditions.find(({ type }) => type === 'Ready');
  if (!ready) return paint('dim', 'the operator has not seen it yet');
  return `${paint(ready.status === 'True' ? 'green' : 'bold', ready.reason)}  ${paint('dim', ready.message)}`;
}

function objectsLine(cluster: ClusterState | undefined): string {
  const objects = cluster?.objects ?? [];
  if (objects.length === 0) return '…';
  return objects.map(([kind, count]) => `${count} ${SHORT[kind] ?? kind}`).join(', ');
}

/** As `kubectl api-resources` shortens them where it does. */
const SHORT: Readonly<Record<string, string>> = {
  Deployment: 'deploy',
  Pod: 'pods',
  Service: 'svc',
  ConfigMap: 'cm',
  ServiceAccount: 'sa',
  PodDisruptionBudget: 'pdb',
  NetworkPolicy: 'netpol',
};

function operatorLine({ operatorHow, cluster }: ClusterScene): string {
  if (!cluster?.operator) return `operator: ${operatorHow}`;
  const { ready, desired } = cluster.operator;
  return `operator: ${operatorHow}, ${ready} of ${desired} ready`;
}

function masterLine({ masterUrl, crowd }: ClusterScene): string {
  const registered = crowd?.registered ?? 0;
  return `${masterUrl}   ${registered} relay${registered === 1 ? '' : 's'} registered`;
}

interface Row {
  readonly relay: RelayStatus;
  /** As the relay itself counts them. */
  readonly sessions: number | undefined;
  readonly packets: number;
  readonly p50: number;
  readonly p99: number;
  readonly lost: number;
}

function rowsOf(cluster: ClusterState | undefined, crowd: CrowdReport | undefined): Row[] {
  return (cluster?.fleet?.status.relays ?? []).map((relay) => {
    const now = crowd?.relays[relay.relayId ?? ''];
    return {
      relay,
      sessions: cluster?.health[relay.name]?.sessions ?? relay.sessions,
      packets: now?.packets ?? 0,
      p50: now?.p50 ?? 0,
      p99: now?.p99 ?? 0,
      lost: now?.lost ?? 0,
    };
  });
}

function relayLines({ cluster, crowd }: ClusterScene, paint: Paint, width: number, most: number): string[] {
  const wide = width >= 110;
  const rows = rowsOf(cluster, crowd);
  const shown = rows.length + 1 <= most ? rows : rows.slice(0, Math.max(0, most - 2));
  const lines = [
    paint(
      'dim',
      relayLine(['RELAY', 'STATE', 'NODE', 'ENDPOINT', 'SESS', 'PKT/S', 'P99 MS'], ['P50 MS', 'LOST'], wide),
    ),
    ...shown.map((row) => drawRow(row, paint, wide)),
  ];
  if (shown.length < rows.length) lines.push(paint('dim', ` and ${rows.length - shown.length} more`));
  if (rows.length === 0) lines.push(paint('dim', ' none yet'));
  return lines;
}

function drawRow({ relay, sessions, packets, p50, p99, lost }: Row, paint: Paint, wide: boolean): string {
  const where = relay.state === 'Serving' || relay.state === 'Draining';
  const line = relayLine(
    [
      relay.name,
      relay.state,
      relay.node ?? '-',
      relay.endpoint ?? '-',
      sessions === undefined ? '-' : String(sessions),
      grouped(packets),
      figure(p99),
    ],
    [figure(p50), grouped(lost)],
    wide,
  );
  const painted = line.replace(relay.state, paint(STATE_STYLE[relay.state], relay.state));
  return wide && !where && relay.reason !== undefined ? `${painted}  ${paint('dim', relay.reason)}` : painted;
}

/** A latency, or `-` before there is one. */
function figure(latencyMs: number): string {
  return latencyMs > 0 ? ms(latencyMs) : '-';
}

const STATE_STYLE: Readonly<Record<RelayStatus['state'], Style>> = {
  Pending: 'dim',
  Starting: 'dim',
  Serving: 'green',
  Draining: 'bold',
  Drained: 'bold',
  Unreachable: 'red',
  Failed: 'red',
};

/** 79 characters, or 100 where there is room for all figures. */
function relayLine(cells: readonly string[], more: readonly string[], wide: boolean): string {
  const [name, state, node, endpoint, sessions, packets, p99] = cells as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const [p50, lost] = more as [string, string];
  const left = [fit(name, wide ? 24 : 16), fit(state, 11), fit(node, wide ? 12 : 7), fit(endpoint, 18)].join(
    ' ',
  );
  const figures = [
    sessions.padStart(4),
    packets.padStart(6),
    ...(wide ? [p50.padStart(7)] : []),
    p99.padStart(7),
  ];
  return ` ${left} ${figures.join(' ')}${wide ? ` ${lost.padStart(6)}` : ''}`;
}

/** As wide as that, cut where it is longer. */
function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}

function peersLines({ crowd, history }: ClusterScene, paint: Paint, width: number): string[] {
  const now = traffic(crowd);
  const total = crowd?.total;
  const { lost = 0, wrong = 0, received = 0, sent = 0 } = total ?? {};
  const percent = sent > 0 ? (100 * lost) / sent : 0;
  const failures = Object.entries(crowd?.failures ?? {});
  return [
    '',
    label(
      paint,
      'Peers',
      `${now.sessions} sessions   ${grouped(now.packets)} pkt/s   ${megabits(now.bytes)} Mbit/s   p50 ${figure(now.p50)} ms   p99 ${figure(now.p99)} ms`,
    ),
    label(
      paint,
      '',
      `${grouped(received)} packets   ${mark(paint, lost, `${grouped(lost)} lost (${percent.toFixed(2)} %)`)}   ${mark(paint, wrong, `${grouped(wrong)} wrong`)}`,
    ),
    ...failures.slice(0, 1).map(([why, count]) => label(paint, '', paint('red', `${count} failed: ${why}`))),
    label(paint, 'p99', paint('cyan', sparkline(history, Math.min(100, width - 22)))),
  ];
}

function mark(paint: Paint, count: number, text: string): string {
  return count > 0 ? paint('red', text) : paint('green', text);
}

function eventLines({ cluster, nowMs }: ClusterScene, paint: Paint, room: number): string[] {
  const events = cluster?.events ?? [];
  const shown = events.slice(-Math.min(room - 1, MOST_EVENTS));
  if (shown.length === 0) return [];
  return [
    '',
    ...shown.map((event, i) =>
      label(
        paint,
        i === 0 ? 'Events' : '',
        `${paint('dim', age(nowMs - Date.parse(event.time)).padStart(4))}  ${event.reason}  ${paint('dim', event.message)}`,
      ),
    ),
  ];
}

const MOST_EVENTS = 8;

/** As kubectl shows ages, in whole units. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
