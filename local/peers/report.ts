import type { PeersSnapshot } from './peers-snapshot.ts';
import { REJECT_REASONS } from './wire.ts';

/** The `--json` document. */
export interface PeersReport {
  readonly ok: boolean;
  /** Why it is not ok, a line each. */
  readonly problems: readonly string[];
  readonly seconds: number;
  readonly sessions: PeersSnapshot['sessions'] & { readonly failures: Readonly<Record<string, number>> };
  readonly packets: Readonly<Record<PacketCount, number>>;
  readonly bytes: { readonly sent: number; readonly received: number };
  readonly received_per_second: number;
  readonly received_mbit_per_second: number;
  readonly latency_ms: PeersSnapshot['overall'];
  readonly leases: {
    readonly presents: number;
    readonly renews: number;
    readonly renewals_failed: number;
    readonly acks: number;
    /** By the name of the reason. */
    readonly rejects: Readonly<Record<string, number>>;
  };
  readonly handshakes: number;
  readonly socket_errors: number;
  readonly rebinds?: { readonly done: number; readonly recovered: number; readonly slowest_ms: number };
  readonly copied_tokens?: {
    readonly presents: number;
    readonly acks: number;
    readonly stolen_packets: number;
  };
  readonly flood?: {
    readonly sent: number;
    readonly sent_bytes: number;
    readonly answers: number;
    readonly answer_bytes: number;
    readonly skipped: number;
  };
}

type PacketCount =
  | 'sent'
  | 'received'
  | 'lost'
  | 'lost_percent'
  | 'duplicated'
  | 'reordered'
  | 'too_late'
  | 'corrupted'
  | 'replayed'
  | 'trains_skipped';

/** `maxLossPercent` of what was sent may be lost. */
export function makeReport(end: PeersSnapshot, maxLossPercent: number): PeersReport {
  const { tally } = end;
  const lostPercent = tally.sent > 0 ? (100 * end.lost) / tally.sent : 0;
  const problems = findProblems(end, lostPercent, maxLossPercent);
  const perSecond = (count: number): number => (end.seconds > 0 ? count / end.seconds : 0);
  return {
    ok: problems.length === 0,
    problems,
    seconds: end.seconds,
    sessions: { ...end.sessions, failures: end.failures },
    packets: {
      sent: tally.sent,
      received: tally.received,
      lost: end.lost,
      lost_percent: lostPercent,
      duplicated: tally.duplicated,
      reordered: tally.reordered,
      too_late: tally.tooLate,
      corrupted: tally.corrupted,
      replayed: tally.replayed,
      trains_skipped: end.skipped,
    },
    bytes: { sent: tally.sentBytes, received: tally.receivedBytes },
    received_per_second: perSecond(tally.received),
    received_mbit_per_second: perSecond(tally.receivedBytes * 8) / 1e6,
    latency_ms: end.overall,
    leases: {
      presents: tally.presents,
      renews: tally.renews,
      renewals_failed: tally.renewalsFailed,
      acks: tally.acks,
      rejects: named(tally.rejects),
    },
    handshakes: tally.handshakes,
    socket_errors: tally.socketErrors,
    ...(tally.rebinds > 0 && {
      rebinds: { done: tally.rebinds, recovered: tally.rebindsRecovered, slowest_ms: tally.slowestRebindMs },
    }),
    ...(end.loot && {
      copied_tokens: {
        presents: end.loot.presents,
        acks: end.loot.acks,
        stolen_packets: end.loot.stolenPackets,
      },
    }),
    ...(end.flood && {
      flood: {
        sent: end.flood.sent,
        sent_bytes: end.flood.sentBytes,
        answers: end.flood.answers,
        answer_bytes: end.flood.answerBytes,
        skipped: end.flood.skipped,
      },
    }),
  };
}

/** The summary for people, several lines without the last line's end. */
export function summary(report: PeersReport): string {
  const { packets, sessions, latency_ms, leases } = report;
  const rows: [string, string][] = [
    ['sessions', `${grouped(sessions.established)} of ${grouped(sessions.wanted)} set up`],
    [
      'packets',
      `${grouped(packets.sent)} sent, ${grouped(packets.received)} received in ${report.seconds.toFixed(1)} s` +
        ` (${grouped(Math.round(report.received_per_second))}/s, ${report.received_mbit_per_second.toFixed(1)} Mbit/s)`,
    ],
    [
      'checked',
      `${grouped(packets.lost)} lost (${percent(packets.lost_percent)}), ${grouped(packets.duplicated)} duplicated, ` +
        `${grouped(packets.reordered)} reordered, ${grouped(packets.corrupted)} corrupted`,
    ],
    [
      'latency',
      `p50 ${ms(latency_ms.p50)}  p90 ${ms(latency_ms.p90)}  p99 ${ms(latency_ms.p99)}  ` +
        `p99.9 ${ms(latency_ms.p99_9)}  max ${ms(latency_ms.max)} ms`,
    ],
    [
      'leases',
      `${grouped(leases.presents)} presented, ${grouped(leases.acks)} acknowledged${Object.entries(
        leases.rejects,
      )
        .map(([reason, count]) => `, ${grouped(count)} rejected (${reason})`)
        .join('')}`,
    ],
  ];
  if (packets.replayed > 0)
    rows.push(['replays', `${grouped(packets.replayed)} sent, ${grouped(packets.duplicated)} came through`]);
  if (packets.trains_skipped > 0)
    rows.push([
      'too slow',
      `${grouped(packets.trains_skipped)} trains were not sent in time: this machine was busy`,
    ]);
  if (report.rebinds) {
    const { done, recovered, slowest_ms } = report.rebinds;
    rows.push([
      'rebinds',
      `${grouped(recovered)} of ${grouped(done)} heard again, the slowest after ${(slowest_ms / 1000).toFixed(1)} s`,
    ]);
  }
  if (report.copied_tokens) {
    const { presents, acks, stolen_packets } = report.copied_tokens;
    rows.push([
      'thieves',
      `${grouped(presents)} copied tokens presented, ${grouped(acks)} acknowledged, ${grouped(stolen_packets)} packets stolen`,
    ]);
  }
  if (report.flood) {
    const { sent, answers, answer_bytes, sent_bytes } = report.flood;
    rows.push([
      'flood',
      `${grouped(sent)} sent (${grouped(sent_bytes)} bytes), ${grouped(answers)} answers (${grouped(answer_bytes)} bytes)`,
    ]);
  }
  for (const problem of report.problems) rows.push(['problem', problem]);
  return rows.map(([name, text]) => `${name.padEnd(9)} ${text}`).join('\n');
}

/** The line that says every second how it goes. `before` is the snapshot of a second ago. */
export function progressLine(
  now: PeersSnapshot,
  before: PeersSnapshot['tally'] | undefined,
  seconds: number,
): string {
  const packets = (now.tally.received - (before?.received ?? 0)) / seconds;
  const mbit = ((now.tally.receivedBytes - (before?.receivedBytes ?? 0)) * 8) / seconds / 1e6;
  return [
    `${now.seconds.toFixed(0).padStart(4)} s`,
    `${grouped(now.sessions.established)} session${now.sessions.established === 1 ? '' : 's'}`,
    `${grouped(Math.round(packets)).padStart(7)} pkt/s`,
    `${mbit.toFixed(1).padStart(6)} Mbit/s`,
    `p50 ${ms(now.recent.p50)} p99 ${ms(now.recent.p99)} ms`,
    `lost ${grouped(now.lost)}`,
    `bad ${grouped(now.tally.corrupted + now.tally.duplicated)}`,
  ].join('  ');
}

/** 1234567 as 1,234,567. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** Milliseconds with three significant digits at most, as "0.043", "1.25" or "113". */
export function ms(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

function findProblems(end: PeersSnapshot, lostPercent: number, maxLossPercent: number): string[] {
  const { tally, sessions } = end;
  const problems: string[] = [];
  if (sessions.established < sessions.wanted) {
    const reasons = Object.entries(end.failures).map(([reason, count]) => `${reason} (${grouped(count)})`);
    const missing = sessions.wanted - sessions.established;
    problems.push(
      `${grouped(missing)} of ${grouped(sessions.wanted)} sessions were not set up: ${reasons.join('; ') || 'ended before'}`,
    );
  }
  if (sessions.wanted > 0 && tally.sent === 0) problems.push('no packet was sent');
  if (lostPercent > maxLossPercent) {
    problems.push(`${percent(lostPercent)} of the packets were lost, ${percent(maxLossPercent)} are allowed`);
  }
  if (tally.corrupted > 0) problems.push(`${grouped(tally.corrupted)} packets came corrupted`);
  if (tally.duplicated > 0) problems.push(`${grouped(tally.duplicated)} packets came more than once`);
  if (end.loot && end.loot.stolenPackets > 0) {
    problems.push(`${grouped(end.loot.stolenPackets)} packets went to somebody with a copied token`);
  }
  return problems;
}

function percent(value: number): string {
  return `${value === 0 || value >= 0.01 ? Number(value.toFixed(2)) : value.toPrecision(1)} %`;
}

function named(rejects: readonly number[]): Record<string, number> {
  return Object.fromEntries(
    rejects
      .map((count, reason) => [REJECT_REASONS[reason]!, count] as const)
      .filter(([, count]) => count > 0),
  );
}
