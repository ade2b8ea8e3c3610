import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';

import { createApp } from './app.ts';
import type { ClaimChanges, Clocks, PeerLeases } from './dev-master.ts';
import { DevMaster } from './dev-master.ts';
import { generateKey, loadOrCreateKey, publicKeyHex, writeKeyFile } from './keys.ts';
import { DEFAULT_LEASE_SECONDS } from './lease.ts';
import type { Fault } from './misbehave.ts';
import type { RelayEntry, RelayState } from './registry.ts';
import type { SessionBody } from './requests.ts';

export interface DevMasterOptions {
  /** `ip:port`, default 127.0.0.1:0 (a free port). */
  readonly listen?: string;
  readonly token?: string;
  readonly adminToken?: string;
  /** Default 5000. */
  readonly heartbeatIntervalMs?: number;
  /** Default 900. */
  readonly leaseSeconds?: number;
  /** PEM file of the signing key, made when it is missing; without it a key for this process. */
  readonly keyFile?: string;
  readonly misbehave?: Fault;
  readonly clocks?: Partial<Clocks>;
  /** Gets a line about each event; silent by default. */
  readonly log?: (line: string) => void;
}

export interface RunningDevMaster {
  /** `http://ip:port` */
  readonly url: string;
  /** Of the key that signs now. */
  readonly publicKeyHex: string;
  readonly keyId: string;
  /** Leases for both peers. Throws when no relay can be assigned, with the reason. */
  session(request?: SessionBody, changes?: ClaimChanges): PeerLeases;
  /** Signs with a new key from now on. */
  rotate(): void;
  /** False: unknown relay. */
  setState(relayId: string, state: RelayState): boolean;
  relays(): RelayEntry[];
  calls(): { readonly register: number; readonly heartbeat: number };
  misbehave(fault: Fault | undefined): void;
  /** Ends every connection, also those whose answer hangs. */
  close(): Promise<void>;
}

/** Starts a Master of the wire reference, for development and tests. Rejects with the system's error if it can't listen. */
export async function startDevMaster(options: DevMasterOptions = {}): Promise<RunningDevMaster> {
  const { host, port } = parseListen(options.listen ?? '127.0.0.1:0');
  const { keyFile } = options;
  const master = new DevMaster(
    keyFile === undefined ? generateKey() : loadOrCreateKey(keyFile),
    options.leaseSeconds ?? DEFAULT_LEASE_SECONDS,
    { monotonicMs: () => performance.now(), unixNs: increasingUnixNs(), ...options.clocks },
    (key) => keyFile !== undefined && writeKeyFile(keyFile, key),
  );
  master.misbehave(options.misbehave);
  const app = createApp(master, {
    ...(options.token !== undefined && { token: options.token }),
    ...(options.adminToken !== undefined && { adminToken: options.adminToken }),
    heartbeatIntervalMs: options.heartbeatIntervalMs ?? 5000,
    log: options.log ?? (() => {}),
  });
  const server = createServer(app).listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    url: `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    get publicKeyHex() {
      return publicKeyHex(master.key());
    },
    get keyId() {
      return master.key().keyId;
    },
    session: (request, changes) => {
      const session = master.session(request, changes);
      if ('refused' in session) throw new Error(session.refused);
      return session;
    },
    rotate: () => master.rotate(),
    setState: (relayId, state) => master.setState(relayId, state),
    relays: () => master.relays(),
    calls: () => master.calls(),
    misbehave: (fault) => master.misbehave(fault),
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** `ip:port` or `[ip]:port`. Throws on anything else. */
export function parseListen(listen: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(listen);
  if (!match || Number(match[3]) > 65_535) throw new Error(`${listen} is not an ip:port`);
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}

/** Wall-clock time in which a later lease is always the newer one: relays order a peer's tokens by their time of issue. */
function increasingUnixNs(): () => bigint {
  let last = 0n;
  return () => {
    const now = BigInt(Date.now()) * 1_000_000n;
    last = now > last ? now : last + 1000n;
    return last;
  };
}
