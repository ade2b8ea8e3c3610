import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../../relay/config/config.ts';
import { parseCommandLine } from '../../../relay/config/parse.ts';
import type { Datapath } from '../../../relay/datapath/datapath.ts';
import { startDatapath } from '../../../relay/datapath/start-datapath.ts';
import { newKeyRing, type KeyRingState } from '../../../relay/lease/key-ring.ts';
import { bookImbalance, Counter, type CounterName } from '../../../relay/pipeline/counters.ts';
import { HEADER_BYTES, MessageType, writeHeader } from '../../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../../relay/protocol/lease-present.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { ALPHA, keyOf, masterClaims, RELAY, signV4Public } from '../lease/leases.ts';

export const KEYS: KeyRingState = newKeyRing([keyOf(ALPHA)]);

/** A relay's configuration for a test: nothing of a packet's rate is limited unless the test says so. */
export function configOf(changes: Partial<Config> = {}): Config {
  const flags = ['--listen', '127.0.0.1:4000', '--master-public-key', ALPHA.hex];
  const line = parseCommandLine(flags, {}, { workers: 1, memoryMib: 0 });
  if (line.kind !== 'run') throw new Error(line.text);
  return {
    ...line.config,
    listen: { host: '127.0.0.1', port: 0, family: 4 },
    ipRateLimitPps: 1_000_000,
    identityRateLimitPps: 1_000_000,
    loadShedThresholdPct: 100,
    ...changes,
  };
}

export interface Rig {
  readonly datapath: Datapath;
  readonly lines: string[];
  count(name: CounterName): number;
  /** Waits until so many packets were received and all of them are accounted for, and checks the books. */
  settled(received: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a datapath; `stop` checks the books once more. */
export async function startRig(
  changes: Partial<Config> = {},
  more: { restored?: readonly Uint8Array[]; keys?: KeyRingState } = {},
): Promise<Rig> {
  const lines: string[] = [];
  const datapath = await startDatapath({
    config: configOf(changes),
    relayId: RELAY,
    restored: more.restored ?? [],
    keys: more.keys ?? KEYS,
    log: (level, message) => lines.push(`${level} ${message}`),
  });
  return {
    datapath,
    lines,
    count: (name) => datapath.totals()[Counter[name]]!,
    settled: (received) => settled(datapath, received),
    stop: async () => {
      await datapath.stop();
      assert.equal(bookImbalance(datapath.totals()), undefined);
    },
  };
}

/** Polls until `ready`, for as long as a slow machine may take. */
export async function eventually(what: string, ready: () => boolean): Promise<void> {
  for (let waited = 0; !ready(); waited += 5) {
    if (waited > 20_000) assert.fail(`waited 20 s for: ${what}`);
    await sleep(5);
  }
}

async function settled(datapath: Datapath, received: number): Promise<void> {
  let totals = datapath.totals();
  await eventually(`${received} packets received and accounted for`, () => {
    totals = datapath.totals();
    return totals[Counter.packets_rx]! >= received && bookImbalance(totals) === undefined;
  });
  assert.equal(totals[Counter.packets_rx], received);
}

/** A peer's UDP socket. */
export class TestPeer {
  readonly socket: Socket;
  readonly received: Buffer[] = [];
  readonly #to: { readonly host: string; readonly port: number };

  static async open(datapath: Datapath, host = '127.0.0.1', relayHost = host): Promise<TestPeer> {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1 << 22 });
    socket.bind(0, host);
    await once(socket, 'listening');
    return new TestPeer(socket, { host: relayHost, port: datapath.address.port });
  }

  private constructor(socket: Socket, to: { readonly host: string; readonly port: number }) {
    this.socket = socket;
    this.#to = to;
    socket.on('message', (datagram) => this.received.push(datagram));
  }

  send(datagram: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.send(datagram, this.#to.port, this.#to.host, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  /** Waits for the next datagram of this type, and takes it. */
  async take(type: number): Promise<Buffer> {
    let found = -1;
    await eventually(`a datagram of type ${type}`, () => {
      found = this.received.findIndex((datagram) => datagram[2] === type);
      return found >= 0;
    });
    return this.received.splice(found, 1)[0]!;
  }

  close(): void {
    this.socket.close();
  }
}

export function newSessionId(): Buffer {
  return randomBytes(16);
}

export function uuidOf(id: Uint8Array): string {
  return Buffer.from(id)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A LEASE_PRESENT that Master signed just now. */
export function presentOf(id: Uint8Array, role: Role, claims: Record<string, unknown> = {}): Buffer {
  const token = signV4Public(
    JSON.stringify({
      ...masterClaims(Date.now()),
      kid: undefined,
      sid: uuidOf(id),
      sub: `peer-${role}`,
      role: role === Role.Client ? 'client' : 'server',
      slimit: 4_000_000,
      hlimit: 4_000_000,
      ...claims,
    }),
    ALPHA.privateKey,
  );
  return Buffer.from(leasePresentDatagram(id, role, token));
}

/** A FORWARD of `length` bytes in all, with a plain sequence number, told from others by its filling. */
export function forwardOf(id: Uint8Array, sequence: number, length = 100): Buffer {
  const datagram = Buffer.alloc(length, sequence & 0xff);
  writeHeader(datagram, 0, MessageType.Forward, id, 0);
  datagram.writeBigUInt64BE(BigInt(sequence), HEADER_BYTES);
  return datagram;
}

export async function presentBoth(client: TestPeer, server: TestPeer, id: Uint8Array): Promise<void> {
  for (const [peer, role] of [
    [client, Role.Client],
    [server, Role.Server],
  ] as const) {
    await peer.send(presentOf(id, role));
    await peer.take(MessageType.LeaseAck);
  }
}
