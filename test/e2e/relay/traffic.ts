import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { startDevMaster } from '../../../local/master/server.ts';
import type { DevMasterOptions, RunningDevMaster } from '../../../local/master/server.ts';
import type { LeaseSource } from '../../../local/peers/lease-source.ts';
import { leasesFromMaster } from '../../../local/peers/lease-source.ts';
import { startPeers } from '../../../local/peers/peers.ts';
import type { RunningPeers } from '../../../local/peers/peers.ts';
import { bookImbalance, Counter, COUNTER_CELLS } from '../../../relay/pipeline/counters.ts';
import { until } from './relay-process.ts';
import type { RelayProcess } from './relay-process.ts';

/** A development Master that asks for frequent heartbeats; closed when the test ends. */
export async function devMaster(
  context: TestContext,
  options: DevMasterOptions = {},
): Promise<RunningDevMaster> {
  const master = await startDevMaster({ heartbeatIntervalMs: 500, ...options });
  context.after(() => master.close().catch(() => {}));
  return master;
}

/** Pairs of deployed peers that both send 50 packets a second, until they are stopped or the test ends. */
export function talking(
  context: TestContext,
  leases: LeaseSource | RunningDevMaster,
  sessions: number,
): RunningPeers {
  const source = typeof leases === 'function' ? leases : leasesFromMaster(leases.url);
  const peers = startPeers({ leases: source, sessions, rate: 50, size: 200, bidirectional: true });
  context.after(() => peers.stop());
  return peers;
}

/** Waits until `more` further packets have come through, right and in time for the check. */
export async function received(peers: RunningPeers, more: number): Promise<void> {
  const before = peers.snapshot().tally.received;
  await until(`${more} more packets`, () =>
    peers.snapshot().tally.received >= before + more ? true : undefined,
  );
}

/** Ends the talk and holds it to having lost nothing. */
export async function stopWithoutLoss(peers: RunningPeers): Promise<void> {
  const { lost, tally, failures } = await peers.stop();
  assert.deepEqual([lost, tally.corrupted, tally.duplicated, failures], [0, 0, 0, {}]);
}

/** `/metrics`, once no lease waits in a queue; fails if the books don't balance (design-relay 7). */
export async function balancedMetrics(relay: RelayProcess): Promise<Record<string, number>> {
  return until('the books to balance', async () => {
    const metrics = (await relay.json('/metrics')) as Record<string, number>;
    const cells = new Float64Array(COUNTER_CELLS);
    for (const [name, cell] of Object.entries(Counter)) cells[cell] = metrics[name]!;
    return bookImbalance(cells) === undefined ? metrics : undefined;
  });
}

export function temporaryDirectory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'wavry-relay-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
