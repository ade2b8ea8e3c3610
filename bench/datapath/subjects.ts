import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

import { BenchError } from '../bench-error.ts';
import { flagList, startPinned } from './child.ts';
import { prepareTurn } from './generator.ts';
import { startRelay } from './relay-process.ts';
import type { SubjectId } from './results.ts';
import type { Workspace } from './workspace.ts';
import { freeUdpPort } from './workspace.ts';

/** Something that forwards, running and full of sessions. */
export interface Subject {
  readonly id: SubjectId;
  readonly pid: number;
  readonly port: number;
  /** How many threads do the forwarding: the busiest ones are counted. */
  readonly packetThreads: number;
  readonly turnFile?: string;
  readonly stop: () => Promise<void>;
}

/** `leases`: from writePeerLeases, for `sessions`. */
export async function startSubject(
  workspace: Workspace,
  id: SubjectId,
  sessions: number,
  leases: string,
): Promise<Subject> {
  return await STARTERS[id](workspace, id, sessions, leases);
}

type Starter = (workspace: Workspace, id: SubjectId, sessions: number, leases: string) => Promise<Subject>;

const STARTERS: Readonly<Record<SubjectId, Starter>> = {
  'relay-mmsg': relay('mmsg', 1),
  'relay-mmsg-2': relay('mmsg', 2),
  'relay-dgram': relay('dgram', 1),
  'c-gro': reference('gro', 1),
  'c-gro-2': reference('gro', 2),
  'c-batch': reference('batch', 1),
  'c-single': reference('single', 1),
  coturn,
};

/** The path of coturn's server, or undefined when it is not installed. */
export function findCoturn(): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  return directories.map((directory) => join(directory, 'turnserver')).find(executable);
}

function relay(datapath: 'mmsg' | 'dgram', workers: number): Starter {
  return async (workspace, id, sessions, leases) => {
    const { pid, port, stop } = await startRelay(workspace, { datapath, workers, sessions, leases });
    return { id, pid, port, packetThreads: workers, stop };
  };
}

function reference(calls: 'single' | 'batch' | 'gro', workers: number): Starter {
  return async (workspace, id, sessions) => {
    const port = await freeUdpPort();
    const cores = workers > 1 ? workspace.cores.twoWorkers : workspace.cores.oneWorker;
    const { client, server } = workspace.ports;
    const ports = { port, 'client-port': client, 'server-port': server };
    const flags = { calls, listen: '127.0.0.1', sessions, workers, ...ports };
    const program = workspace.programs['reference-relay'];
    const child = startPinned(`the C relay (${calls})`, cores, program, flagList(flags));
    if (!(await child.printed('READY'))) {
      throw new BenchError(`bench: ${child.name} ended at start: ${child.tail()}`);
    }
    return { id, pid: child.pid, port, packetThreads: workers, stop: child.stop };
  };
}

async function coturn(workspace: Workspace, id: SubjectId, sessions: number): Promise<Subject> {
  const program = findCoturn();
  if (program === undefined) throw new BenchError('bench: coturn is not installed');
  const port = await freeUdpPort();
  const switches = [
    '-n',
    '--no-auth',
    '--no-tls',
    '--no-dtls',
    '--no-tcp',
    '--no-cli',
    '--allow-loopback-peers',
  ];
  const flags = flagList({
    'listening-ip': '127.0.0.1',
    'listening-port': port,
    'relay-ip': '127.0.0.1',
    'min-port': 30_000,
    'max-port': 60_000,
    'relay-threads': 1,
    'log-file': '/dev/null',
    pidfile: join(workspace.scratch, 'coturn.pid'),
    userdb: join(workspace.scratch, 'coturn.db'),
  });
  const child = startPinned('coturn', workspace.cores.oneWorker, program, [...switches, ...flags]);
  try {
    const turnFile = await prepareTurn(workspace, port, sessions);
    // Its listener and its relay thread both touch packets: all of its threads count.
    return { id, pid: child.pid, port, packetThreads: Infinity, turnFile, stop: child.stop };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
