import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { flagList, runPinned } from './child.ts';
import { badLeases, peerLeases } from './leases.ts';
import type { Pattern, TrafficReport } from './results.ts';
import { PATTERN_FLAGS } from './scenarios.ts';
import type { Workspace } from './workspace.ts';

export interface TrafficOrder {
  readonly port: number;
  readonly sessions: number;
  readonly size: number;
  readonly pattern: Pattern;
  /** Packets a second, both directions together. */
  readonly rate: number;
  readonly seconds: number;
  readonly flood?: { readonly file: string; readonly leasesPerSecond: number };
  /** Relayed ports of a TURN server, by session. */
  readonly turnFile?: string | undefined;
  readonly measureLatency?: boolean;
}

export async function sendTraffic(workspace: Workspace, order: TrafficOrder): Promise<TrafficReport> {
  const flags = [
    ...portFlags(workspace, order.port),
    ...flagList({ sessions: order.sessions, size: order.size, rate: order.rate, seconds: order.seconds }),
    ...PATTERN_FLAGS[order.pattern],
  ];
  if (order.flood) {
    flags.push('--flood-file', order.flood.file, '--flood-rate', `${order.flood.leasesPerSecond}`);
  }
  if (order.turnFile !== undefined) flags.push('--turn', order.turnFile);
  if (order.measureLatency) flags.push('--latency');
  if (workspace.cores.generator.length > 1) flags.push('--sink-thread');
  return runPinned('the traffic generator', workspace.cores.generator, workspace.programs.traffic, flags);
}

interface PresentReport {
  readonly leases: number;
  readonly acknowledged: number;
  readonly seconds: number;
}

/** Presents a file of genuine leases until each is acknowledged; throws, saying what the relay answered, when one is not. */
export async function presentLeases(
  workspace: Workspace,
  port: number,
  file: string,
): Promise<PresentReport> {
  const flags = [...portFlags(workspace, port), '--leases', file];
  return runPinned('presenting leases', workspace.cores.generator, workspace.programs.present, flags);
}

export interface SpoofReport {
  readonly sent: number;
  readonly seconds: number;
}

/** A flood by strangers (bench/c/spoof.c). `sessions`: how many exist. */
export async function sendSpoofed(
  workspace: Workspace,
  { file, ...orderFlags }: { port: number; file: string; packets: number; rate: number; sessions: number },
): Promise<SpoofReport> {
  const flags = flagList({ relay: '127.0.0.1', ...orderFlags, leases: file });
  return runPinned('the spoofed flood', workspace.cores.generator, workspace.programs.spoof, flags);
}

/** Allocates channels on a TURN server; returns the file for {@link TrafficOrder.turnFile}. */
export async function prepareTurn(workspace: Workspace, port: number, sessions: number): Promise<string> {
  const file = join(workspace.scratch, `turn-${port}`);
  const flags = [...portFlags(workspace, port), '--sessions', `${sessions}`, '--out', file];
  await runPinned('preparing coturn', workspace.cores.generator, workspace.programs.turn, flags);
  return file;
}

/** Writes genuine leases for both peers of each session to a file. */
export function writePeerLeases(workspace: Workspace, sessions: number): string {
  const file = join(workspace.scratch, `leases-${sessions}`);
  writeFileSync(
    file,
    peerLeases(sessions, workspace.relayId, workspace.key, BigInt(Date.now()) * 1_000_000n),
  );
  return file;
}

/** Writes leases that have to be refused to a file. */
export function writeBadLeases(workspace: Workspace, count: number, sessions: number): string {
  const file = join(workspace.scratch, `bad-leases-${sessions}`);
  writeFileSync(file, badLeases(count, sessions, workspace.relayId, BigInt(Date.now()) * 1_000_000n));
  return file;
}

function portFlags(workspace: Workspace, port: number): string[] {
  const { client, server } = workspace.ports;
  return flagList({ relay: '127.0.0.1', port, 'client-port': client, 'server-port': server });
}
