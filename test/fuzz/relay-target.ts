import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { PeerLeases } from '../../local/master/dev-master.ts';
import { startDevMaster } from '../../local/master/server.ts';
import type { RunningDevMaster } from '../../local/master/server.ts';
import { leasesFromMaster } from '../../local/peers/lease-source.ts';
import { startPeers } from '../../local/peers/peers.ts';
import type { RunningPeers } from '../../local/peers/peers.ts';
import { bookImbalance, Counter, COUNTER_CELLS } from '../../relay/pipeline/counters.ts';
import { parseSessionId } from '../../relay/protocol/session-id.ts';
import { startRelay, until } from '../e2e/relay/relay-process.ts';
import type { RelayProcess } from '../e2e/relay/relay-process.ts';
import { RELAY_ID, STRANGERS, STUN_ID } from './cast.ts';
import { hostileDatagram } from './hostile-datagrams.ts';
import type { Material } from './hostile-datagrams.ts';
import { Random } from './random.ts';
import { shrinkList } from './shrink.ts';
import { hex, textOf } from './target.ts';
import type { Batch, Running, Target } from './target.ts';

const DATAGRAMS_A_BATCH = 400;
/** Sent at once; then the relay gets a turn, so that what is lost is lost by the relay and not by the kernel. */
const BURST = 25;
const PAUSE_MS = 4;
const STRANGERS_AT = [
  '127.66.0.1',
  '127.66.0.2',
  '127.66.9.9',
  '127.77.1.1',
  '127.88.0.255',
  '127.0.0.1',
] as const;
const SESSIONS_OF_STRANGERS = 6;
/** Beyond what it had after the first batch; code that is compiled late and garbage count, too. */
const MAX_GROWTH_BYTES = 40_000_000;
const SHRINK_TRIES = 40;

export const relayTarget: Target = {
  name: 'relay',
  about:
    'UDP from several addresses against `node relay/main.ts` while peers talk: it lives, its memory is bounded, its books balance, the peers lose nothing',
  weight: 6,
  start: async () => {
    const resources = new AsyncDisposableStack();
    try {
      return await AttackedRelay.start(resources);
    } catch (error) {
      await resources.disposeAsync();
      throw error;
    }
  },
};

interface Shot {
  readonly from: number;
  readonly bytes: Uint8Array;
}

class AttackedRelay implements Running {
  readonly #resources: AsyncDisposableStack;
  readonly #master: RunningDevMaster;
  readonly #relay: RelayProcess;
  readonly #peers: RunningPeers;
  readonly #sockets: readonly Socket[];
  readonly #material: Material;
  readonly #port: number;
  #sentBytes = 0;
  #answeredBytes = 0;
  #firstRssBytes = 0;
  #dead: string | undefined;

  static async start(resources: AsyncDisposableStack): Promise<AttackedRelay> {
    const master = await startDevMaster({ heartbeatIntervalMs: 500 });
    resources.defer(() => master.close());
    const relay = await relayOf(resources, master);
    const copied: PeerLeases[] = [];
    const source = leasesFromMaster(master.url);
    const peers = startPeers({
      leases: async (request) => {
        const leases = await source(request);
        copied.push(leases);
        return leases;
      },
      sessions: 2,
      rate: 100,
      size: 200,
      bidirectional: true,
    });
    resources.defer(async () => void (await peers.stop()));
    const sockets = await socketsOf(resources);
    await until('the peers to talk', () => (peers.snapshot().tally.received > 40 ? true : undefined));
    for (let i = 0; i < SESSIONS_OF_STRANGERS; i++) copied.push(master.session());
    return new AttackedRelay(
      resources,
      master,
      relay,
      peers,
      sockets,
      materialOf(copied),
      await portOf(relay),
    );
  }

  private constructor(
    resources: AsyncDisposableStack,
    master: RunningDevMaster,
    relay: RelayProcess,
    peers: RunningPeers,
    sockets: readonly Socket[],
    material: Material,
    port: number,
  ) {
    this.#resources = resources;
    this.#master = master;
    this.#relay = relay;
    this.#peers = peers;
    this.#sockets = sockets;
    this.#material = material;
    this.#port = port;
    for (const socket of sockets) {
      socket.on('message', ({ length }: Buffer) => (this.#answeredBytes += length));
    }
    void relay.ended.then(({ code, signal }) => {
      const said = `${relay.stdout()}${relay.stderr()}`
        .split('\n')
        .findLast((line) => / ERROR |^wavry-relay/.test(line));
      this.#dead = `the relay ended with ${signal ?? code}: ${said ?? 'without a word'}`;
    });
  }

  async batch(seed: number): Promise<Batch> {
    const random = new Random(seed);
    const shots = Array.from({ length: DATAGRAMS_A_BATCH }, (): Shot => {
      return { from: random.below(this.#sockets.length), bytes: hostileDatagram(random, this.#material) };
    });
    await fire(this.#sockets, this.#port, shots);
    for (const { bytes } of shots) this.#sentBytes += bytes.length;
    try {
      await this.#judge();
      return { iterations: shots.length };
    } catch (error) {
      // The end of a process is known a moment after its sockets are gone.
      await Promise.race([this.#relay.ended, sleep(1000)]);
      const failure = { error: this.#dead ?? textOf(error), input: await this.#describe(shots) };
      return { iterations: shots.length, failure };
    }
  }

  /** What ends a relay is shown; what takes long to show itself is more than one batch. */
  async #describe(shots: readonly Shot[]): Promise<string> {
    if (this.#dead === undefined) return `the ${shots.length} datagrams of this seed, or those before`;
    const fatal = await this.#shrink(shots);
    const lines = fatal.map(
      ({ from, bytes }) => `  from ${STRANGERS_AT[from]}, ${bytes.length} bytes: ${hex(bytes)}`,
    );
    return [`${fatal.length} datagrams`, ...lines].join('\n');
  }

  async stop(): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #judge(): Promise<void> {
    const metrics = await this.#balancedMetrics();
    const { tally, lost } = this.#peers.snapshot();
    // Datagrams under way are no loss: look again once they have come.
    if (lost > metrics['kernel_dropped_packets']!) {
      await sleep(200);
      const { kernel_dropped_packets } = await this.#balancedMetrics();
      const missing = this.#peers.snapshot().lost;
      if (missing > kernel_dropped_packets!) {
        throw new Error(`the peers lost ${missing} packets, the kernel dropped ${kernel_dropped_packets}`);
      }
    }
    if (tally.corrupted + tally.duplicated > 0) {
      throw new Error(`the peers got ${tally.corrupted} corrupt and ${tally.duplicated} double packets`);
    }
    if (this.#answeredBytes > this.#sentBytes) {
      throw new Error(`${this.#sentBytes} bytes were answered with ${this.#answeredBytes}`);
    }
    const rssBytes = rssOf(this.#relay.pid);
    if (rssBytes === undefined) return;
    if (this.#firstRssBytes === 0) this.#firstRssBytes = rssBytes;
    if (rssBytes > this.#firstRssBytes + MAX_GROWTH_BYTES) {
      throw new Error(`the relay has ${rssBytes} bytes of memory, at first ${this.#firstRssBytes}`);
    }
  }

  async #balancedMetrics(): Promise<Record<string, number>> {
    let imbalance: string | undefined;
    for (let tries = 0; tries < 600 && this.#dead === undefined; tries++) {
      const metrics = (await this.#relay.json('/metrics')) as Record<string, number>;
      const cells = new Float64Array(COUNTER_CELLS);
      for (const [name, cell] of Object.entries(Counter)) cells[cell] = metrics[name]!;
      imbalance = bookImbalance(cells);
      if (imbalance === undefined) return metrics;
      // Leases may be waiting to be verified, and counters are read while they change.
      await sleep(50);
    }
    throw new Error(this.#dead ?? imbalance);
  }

  /** Against relays of their own: only what ends one by itself is left. */
  async #shrink(shots: readonly Shot[]): Promise<readonly Shot[]> {
    return shrinkList(
      shots,
      async (less) => {
        await using resources = new AsyncDisposableStack();
        const relay = await relayOf(resources, this.#master);
        const sockets = await socketsOf(resources);
        await fire(sockets, await portOf(relay), less);
        // Awaited here: leaving this block ends the relay.
        return await Promise.race([relay.ended.then(() => true), sleep(500, false)]);
      },
      SHRINK_TRIES,
    );
  }
}

async function relayOf(resources: AsyncDisposableStack, master: RunningDevMaster): Promise<RelayProcess> {
  // All that starting a process needs of a test is somewhere to leave what ends it.
  const context = { after: (end: () => Promise<void>) => resources.defer(end) } as unknown as TestContext;
  // One id for all: to Master they are one relay that starts again, and the leases stay good.
  const who = ['--master-url', master.url, '--relay-id', RELAY_ID];
  const limits = ['--max-sessions', '64', '--packet-queue-capacity', '64', '--workers', '2'];
  const relay = startRelay(context, [...who, ...limits]);
  await relay.ready();
  return relay;
}

async function portOf(relay: RelayProcess): Promise<number> {
  return Number((await relay.address()).split(':').at(-1));
}

async function socketsOf(resources: AsyncDisposableStack): Promise<Socket[]> {
  return Promise.all(
    STRANGERS_AT.map(async (address) => {
      const socket = createSocket('udp4');
      resources.defer(() => void socket.close());
      socket.bind(0, address);
      await once(socket, 'listening');
      return socket;
    }),
  );
}

async function fire(sockets: readonly Socket[], port: number, shots: readonly Shot[]): Promise<void> {
  for (let at = 0; at < shots.length; at += BURST) {
    await Promise.all(
      shots.slice(at, at + BURST).map(
        ({ from, bytes }) =>
          new Promise<void>((resolve) => {
            sockets[from]!.send(bytes, port, '127.0.0.1', () => resolve());
          }),
      ),
    );
    await sleep(PAUSE_MS);
  }
}

function materialOf(leases: readonly PeerLeases[]): Material {
  const both = leases.flatMap(({ client, server }) => [client, server]);
  return {
    sessions: [...both.map(({ session_id }) => parseSessionId(session_id)!), new Uint8Array(16).fill(7)],
    tokens: both.map(({ token }) => new Uint8Array(Buffer.from(token, 'latin1'))),
    stunId: STUN_ID,
    addresses: STRANGERS,
  };
}

/** Resident memory; undefined where there is no procfs. */
function rssOf(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
