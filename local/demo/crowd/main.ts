import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import type { RelayListing } from '../../master/dev-master.ts';
import type { RunningDevMaster } from '../../master/server.ts';
import { startDevMaster } from '../../master/server.ts';
import { leasesFromMaster } from '../../peers/lease-source.ts';
import { Crowd } from './crowd.ts';

/** Enough to see, and little beside a control plane on two cores: 800 packets a second through each relay. */
const SESSIONS_PER_RELAY = 2;
const RATE = 200;
const PACKET_BYTES = 1200;
/** Long enough to watch a relay drain, short enough to see it end. */
const LIFE_SECONDS = { least: 20, most: 40 };
const HEARTBEAT_MS = 2000;
const MASTER_TIMEOUT_MS = 5000;

/**
 * The demo's part in the cluster's network: peers through every relay, and the development Master where `--listen` says
 * so. Prints `ready`, then a CrowdReport a second, and a last one when its standard input ends.
 */
const { values } = parseArgs({ options: { master: { type: 'string' }, listen: { type: 'string' } } });
const masterUrl = values.master!;

const over = new AbortController();
// The demo that started it ends it by closing this pipe, or by its own end. Ctrl-C is the demo's to see.
process.stdin.resume().once('close', () => over.abort());
process.on('SIGINT', () => undefined);

let master: RunningDevMaster | undefined;
try {
  if (values.listen !== undefined) master = await startMaster(values.listen);
  await askRelays();
  console.log('ready');
  await run();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await master?.close();
  process.stdin.destroy();
}

async function run(): Promise<void> {
  const crowd = new Crowd({
    leases: leasesFromMaster(masterUrl),
    relays: askRelays,
    perRelay: SESSIONS_PER_RELAY,
    rate: RATE,
    size: PACKET_BYTES,
    lifeSeconds: LIFE_SECONDS,
    random: Math.random,
  });
  let next = performance.now();
  while (!over.signal.aborted) {
    console.log(JSON.stringify(await crowd.second()));
    next += 1000;
    const waitMs = Math.max(0, next - performance.now());
    await sleep(waitMs, undefined, { signal: over.signal }).catch(() => undefined);
  }
  console.log(JSON.stringify(await crowd.stop()));
}

async function startMaster(listen: string): Promise<RunningDevMaster> {
  const adminToken = process.env['WAVRY_DEMO_ADMIN_TOKEN'];
  return startDevMaster({
    listen,
    heartbeatIntervalMs: HEARTBEAT_MS,
    ...(adminToken !== undefined && { adminToken }),
  });
}

async function askRelays(): Promise<readonly RelayListing[]> {
  const target = `${masterUrl.replace(/\/+$/, '')}/v1/relays`;
  try {
    const response = await fetch(target, { signal: AbortSignal.timeout(MASTER_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return (await response.json()) as RelayListing[];
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(
      `no answer from Master at ${masterUrl}: ${cause instanceof Error ? cause.message : message}`,
    );
  }
}
