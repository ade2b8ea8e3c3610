import { setTimeout as sleep } from 'node:timers/promises';

import { BenchError } from '../bench-error.ts';
import { sendSpoofed, sendTraffic, writeBadLeases, writePeerLeases } from './generator.ts';
import { residentBytes } from './process-stats.ts';
import { startRelay } from './relay-process.ts';
import type { RelayProcess } from './relay-process.ts';
import type { MemorySection } from './results.ts';
import type { Workspace } from './workspace.ts';

export interface MemoryPlan {
  readonly sessions: number;
  /** Starts for each number of workers. */
  readonly starts: number;
  readonly workers: readonly number[];
  readonly trafficSeconds: number;
  /** How long the relay rests before its memory is read. */
  readonly restMs: number;
  readonly floodHours: number;
  readonly floodPacketsPerSecond: number;
}

const PARTS = 10;
/** Packets a second at which the flood is offered; what the relay can't take is offered again. */
const OFFER_RATE = 250_000;
/** A relay that got no CPU yet on a busy machine has the packets in its socket's buffer. */
const TAKEN_WITHIN_MS = 10_000;
const BAD_LEASES = 8192;
const TRAFFIC_RATE = 60_000;

/** Resident memory with many sessions after real traffic, and what a flood of spoofed packets adds to it. */
export async function measureMemory(workspace: Workspace, plan: MemoryPlan): Promise<MemorySection> {
  const leases = writePeerLeases(workspace, plan.sessions);
  const rss: MemorySection['rss'][number][] = [];
  for (let start = 0; start < plan.starts; start++) {
    for (const workers of plan.workers) {
      const relay = await loadedRelay(workspace, plan, workers, leases);
      const bytes = residentBytes(relay.pid);
      await relay.stop();
      rss.push({ workers, bytes });
      workspace.progress(
        `memory: ${workers} worker(s), ${plan.sessions} sessions: ${megabytes(bytes)} MB resident`,
      );
    }
  }
  const relay = await loadedRelay(workspace, plan, 1, leases);
  try {
    return { sessions: plan.sessions, rss, flood: await spoof(workspace, plan, relay) };
  } finally {
    await relay.stop();
  }
}

async function loadedRelay(
  workspace: Workspace,
  plan: MemoryPlan,
  workers: number,
  leases: string,
): Promise<RelayProcess> {
  const { sessions } = plan;
  const relay = await startRelay(workspace, { datapath: 'mmsg', workers, sessions, leases });
  for (const pattern of ['interleaved', 'segmented'] as const) {
    await sendTraffic(workspace, {
      port: relay.port,
      sessions,
      size: 1200,
      pattern,
      rate: TRAFFIC_RATE,
      seconds: plan.trafficSeconds,
    });
  }
  await sleep(plan.restMs);
  return relay;
}

async function spoof(
  workspace: Workspace,
  plan: MemoryPlan,
  relay: RelayProcess,
): Promise<MemorySection['flood']> {
  const packets = Math.round(plan.floodHours * 3600 * plan.floodPacketsPerSecond);
  const file = writeBadLeases(workspace, Math.min(BAD_LEASES, packets), plan.sessions);
  const before = await relay.metrics();
  const rss = [residentBytes(relay.pid)];
  let offered = 0;
  let seconds = 0;
  let received = 0;
  for (let part = 1; part <= PARTS; part++) {
    const wanted = (packets / PARTS) * part;
    while (received < wanted) {
      const order = {
        port: relay.port,
        file,
        packets: Math.ceil(wanted - received),
        rate: OFFER_RATE,
        sessions: plan.sessions,
      };
      const report = await sendSpoofed(workspace, order);
      offered += report.sent;
      seconds += report.seconds;
      received += await takenSince(relay, before['packets_rx']! + received);
    }
    rss.push(residentBytes(relay.pid));
  }
  await sleep(plan.restMs);
  rss.push(residentBytes(relay.pid));
  const after = await relay.metrics();
  workspace.progress(
    `memory: ${received} spoofed packets taken in ${seconds.toFixed(1)} s: ${megabytes(rss[0]!)} → ${megabytes(rss.at(-1)!)} MB`,
  );
  return {
    hours: plan.floodHours,
    packetsPerSecond: plan.floodPacketsPerSecond,
    offered,
    receivedByRelay: received,
    seconds,
    sessionsBefore: before['active_sessions'] ?? NaN,
    sessionsAfter: after['active_sessions'] ?? NaN,
    rss,
  };
}

/** Packets that the relay has received beyond `known`; waits for the first of them. */
async function takenSince(relay: RelayProcess, known: number): Promise<number> {
  const deadlineMs = performance.now() + TAKEN_WITHIN_MS;
  for (;;) {
    const taken = (await relay.metrics())['packets_rx']! - known;
    if (taken > 0) return taken;
    if (performance.now() > deadlineMs)
      throw new BenchError('bench: the relay counts no packet of the spoofed flood (packets_rx in /metrics)');
    await sleep(20);
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
