import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { MasterKey } from '../../local/master/keys.ts';
import { generateKey, writeKeyFile } from '../../local/master/keys.ts';
import type { Cores } from './machine.ts';
import type { Toolchain } from './toolchain.ts';

/** What every measurement of a run shares. */
export interface Workspace extends Toolchain {
  readonly cores: Cores;
  /** For leases and other files of this run; removed at its end. */
  readonly scratch: string;
  readonly relayId: string;
  readonly key: MasterKey;
  readonly keyFile: string;
  /** From which all peers of a role send; their addresses differ. */
  readonly ports: { readonly client: number; readonly server: number };
  /** Says what goes on; on stderr, so that `--json` stays clean. */
  readonly progress: (line: string) => void;
}

export async function openWorkspace(
  toolchain: Toolchain,
  cores: Cores,
  progress: (line: string) => void,
): Promise<Workspace> {
  const scratch = mkdtempSync(join(tmpdir(), 'wavry-bench-'));
  const key = generateKey();
  const keyFile = join(scratch, 'master.pem');
  writeKeyFile(keyFile, key);
  const ports = { client: await freeUdpPort(), server: await freeUdpPort() };
  return { ...toolchain, cores, scratch, relayId: 'bench-relay', key, keyFile, ports, progress };
}

export function closeWorkspace(workspace: Workspace): void {
  rmSync(workspace.scratch, { recursive: true, force: true });
}

/** A UDP port that was free on every address a moment ago. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '0.0.0.0');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

export async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
