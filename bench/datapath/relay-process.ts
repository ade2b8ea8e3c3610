import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { publicKeyHex } from '../../local/master/keys.ts';
import { startDevMaster } from '../../local/master/server.ts';
import { BenchError } from '../bench-error.ts';
import { flagList, startPinned } from './child.ts';
import { presentLeases } from './generator.ts';
import type { Workspace } from './workspace.ts';
import { freeTcpPort, freeUdpPort } from './workspace.ts';

export interface RelayOrder {
  readonly datapath: 'mmsg' | 'dgram';
  readonly workers: number;
  readonly sessions: number;
  /** From writePeerLeases, for that many sessions. */
  readonly leases: string;
}

export interface RelayProcess {
  readonly pid: number;
  readonly port: number;
  /** The numbers of `/metrics`. */
  readonly metrics: () => Promise<Readonly<Record<string, number>>>;
  readonly stop: () => Promise<void>;
}

const MAIN = join(import.meta.dirname, '..', '..', 'relay', 'main.ts');
const READY_MS = 20_000;

/** Starts the relay with a development Master of its own and fills it with sessions. */
export async function startRelay(workspace: Workspace, order: RelayOrder): Promise<RelayProcess> {
  const master = await startDevMaster({ keyFile: workspace.keyFile });
  const port = await freeUdpPort();
  const healthPort = await freeTcpPort();
  const cores = order.workers > 1 ? workspace.cores.twoWorkers : workspace.cores.oneWorker;
  const flags = {
    listen: `127.0.0.1:${port}`,
    'health-listen': `127.0.0.1:${healthPort}`,
    'master-url': master.url,
    'master-public-key': publicKeyHex(workspace.key),
    'relay-id': workspace.relayId,
    datapath: order.datapath,
    workers: order.workers,
    'max-sessions': order.sessions,
    // All of them are wanted, and none may end while others are measured.
    'load-shed-threshold-pct': 100,
    'idle-timeout': 3600,
    'log-level': 'warn',
  };
  const child = startPinned(
    'the relay',
    cores,
    process.execPath,
    [MAIN, ...flagList(flags)],
    relayEnvironment(),
  );
  const stop = async (): Promise<void> => {
    await child.stop();
    await master.close();
  };
  const health = `http://127.0.0.1:${healthPort}`;
  try {
    await untilReady(`${health}/ready`, child.ended);
    await presentLeases(workspace, port, order.leases);
  } catch (error) {
    await stop();
    if (error instanceof BenchError && child.tail() !== '') {
      throw new BenchError(`${error.message}\nThe relay said last:\n${child.tail()}`);
    }
    throw error;
  }
  const metrics = async (): Promise<Record<string, number>> => {
    const answer = (await (await fetch(`${health}/metrics`)).json()) as Record<string, unknown>;
    const numbers = Object.entries(answer).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number',
    );
    return Object.fromEntries(numbers);
  };
  return { pid: child.pid, port, metrics, stop };
}

/** Nobody's settings but ours. */
function relayEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('WAVRY_') && name !== 'RUST_LOG'),
  );
}

async function untilReady(url: string, ended: () => boolean): Promise<void> {
  const deadline = Date.now() + READY_MS;
  let reason = 'no answer';
  while (Date.now() < deadline) {
    if (ended()) throw new BenchError('bench: the relay ended at start.');
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(1000) });
      if (answer.ok) return;
      reason = `${answer.status} ${(await answer.text()).trim()}`;
    } catch {
      // not listening yet
    }
    await sleep(50);
  }
  throw new BenchError(`bench: the relay was not ready within ${READY_MS / 1000} s: ${reason}`);
}
