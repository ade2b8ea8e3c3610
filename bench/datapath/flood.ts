import { sendTraffic, writeBadLeases, writePeerLeases } from './generator.ts';
import { cpuUse, threadTimes } from './process-stats.ts';
import { startRelay } from './relay-process.ts';
import type { RelayProcess } from './relay-process.ts';
import type { FloodSample, FloodSection } from './results.ts';
import type { Workspace } from './workspace.ts';

export interface FloodPlan {
  readonly pairs: number;
  readonly sessions: number;
  readonly packetsPerSecond: number;
  readonly leasesPerSecond: number;
  readonly seconds: number;
}

const BAD_LEASES = 8192;
const SIZE = 1200;

/** Forwarding with and without a flood of bad leases, in turns, on the same relay. */
export async function measureFlood(workspace: Workspace, plan: FloodPlan): Promise<FloodSection> {
  const leases = writePeerLeases(workspace, plan.sessions);
  const file = writeBadLeases(workspace, BAD_LEASES, plan.sessions);
  const relay = await startRelay(workspace, {
    datapath: 'mmsg',
    workers: 1,
    sessions: plan.sessions,
    leases,
  });
  const samples: FloodSample[] = [];
  try {
    await measure(workspace, plan, relay, { file, leasesPerSecond: plan.leasesPerSecond }, -1); // warms up both paths
    for (let round = 0; round < plan.pairs; round++) {
      const order = round % 2 === 0 ? [false, true] : [true, false];
      for (const flooded of order) {
        const flood = flooded ? { file, leasesPerSecond: plan.leasesPerSecond } : undefined;
        const sample = await measure(workspace, plan, relay, flood, round);
        samples.push(sample);
        const { sent, received, latencyUs } = sample.traffic;
        workspace.progress(
          `flood: ${flooded ? `with ${Math.round(sample.leasesPerSecond)} bad leases/s` : 'without'}: ` +
            `${sent - received} of ${sent} lost, p99 ${latencyUs!.p99} us`,
        );
      }
    }
  } finally {
    await relay.stop();
  }
  const { pairs, packetsPerSecond, leasesPerSecond, seconds } = plan;
  return { pairs, packetsPerSecond, leasesPerSecond, seconds, samples };
}

async function measure(
  workspace: Workspace,
  plan: FloodPlan,
  relay: RelayProcess,
  flood: { file: string; leasesPerSecond: number } | undefined,
  round: number,
): Promise<FloodSample> {
  const before = await relay.metrics();
  const times = threadTimes(relay.pid);
  const traffic = await sendTraffic(workspace, {
    port: relay.port,
    sessions: plan.sessions,
    size: SIZE,
    pattern: 'spaced',
    rate: plan.packetsPerSecond,
    seconds: plan.seconds,
    measureLatency: true,
    ...(flood && { flood }),
  });
  const { waitedNs } = cpuUse(times, threadTimes(relay.pid), 1);
  const after = await relay.metrics();
  const moved = Object.entries(after)
    .map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
    .filter(([name, value]) => value > 0 && /_packets$|_rejects$|^packets_/.test(name));
  return {
    round,
    flooded: flood !== undefined,
    leasesPerSecond: traffic.floodSent / traffic.seconds,
    traffic,
    counted: Object.fromEntries(moved),
    waited: waitedNs / (traffic.seconds * 1e9),
  };
}
