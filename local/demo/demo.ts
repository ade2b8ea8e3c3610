import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { RunningDevMaster } from '../master/server.ts';
import { startDevMaster } from '../master/server.ts';
import { leasesFromMaster } from '../peers/lease-source.ts';
import type { PeersSnapshot } from '../peers/peers-snapshot.ts';
import type { RunningPeers } from '../peers/peers.ts';
import { startPeers } from '../peers/peers.ts';
import { grouped, makeReport, ms } from '../peers/report.ts';
import { freePort } from './free-port.ts';
import { RelayProcess } from './relay-process.ts';
import type { Stage } from './stage.ts';
import type { Scene } from './view.ts';
import { drawLine, drawView } from './view.ts';

/** How a demo came to its end. */
export interface DemoEnd {
  /** Exit code. */
  readonly code: number;
  /** What came of it, a line each. */
  readonly words: readonly string[];
}

/** A development Master, the relay and two peers, shown live. */
export class Demo {
  readonly #stage: Stage;
  readonly #notice: () => string | undefined;
  readonly #stopping = Promise.withResolvers<void>();
  #stopped = false;
  #folder: string | undefined;
  #master: RunningDevMaster | undefined;
  #relay: RelayProcess | undefined;
  #peers: RunningPeers | undefined;
  #trouble: string | undefined;

  /** `notice` is asked every second for a line to show below the rest. */
  constructor(stage: Stage, notice: () => string | undefined = () => undefined) {
    this.#stage = stage;
    this.#notice = notice;
  }

  stop(): void {
    this.#stopped = true;
    this.#stopping.resolve();
    void this.#peers?.stop();
  }

  /** Until `stop`, or so many seconds of traffic. Rejects with a reason in one line when it can't go on. */
  async run(seconds: number | undefined): Promise<DemoEnd> {
    try {
      return await this.#run(seconds);
    } finally {
      await this.#relay?.stop();
      await this.#master?.close();
      this.leaveNothing();
    }
  }

  /** For the end of the process, where nothing can be waited for. */
  leaveNothing(): void {
    this.#relay?.killNow();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
  }

  async #run(seconds: number | undefined): Promise<DemoEnd> {
    this.#folder = mkdtempSync(join(tmpdir(), 'wavry-relay-demo-'));
    const listen = `127.0.0.1:${await this.#port('udp', 4000, 'the relay')}`;
    const health = `127.0.0.1:${await this.#port('tcp', 9091, 'its health server')}`;
    const masterPort = await this.#port('tcp', 8080, 'Master');
    const master = await startDevMaster({ listen: `127.0.0.1:${masterPort}` });
    this.#master = master;
    this.#stage.say('Starting the relay …');
    const relay = new RelayProcess(
      [
        `--listen=${listen}`,
        `--health-listen=${health}`,
        `--state-dir=${join(this.#folder, 'state')}`,
        `--master-url=${master.url}`,
        `--master-public-key=${master.keyId}=${master.publicKeyHex}`,
      ],
      health,
      (reason) => {
        this.#trouble = reason;
        this.stop();
      },
    );
    this.#relay = relay;
    await Promise.race([relay.ready(READY_TIMEOUT_MS), this.#stopping.promise]);
    if (this.#trouble !== undefined) throw new Error(this.#trouble);
    if (this.#stopped) return { code: 0, words: [] };

    const seen = newWatch();
    const show = (now: PeersSnapshot): void => void this.#show(now, seen, master, relay, listen, health);
    this.#peers = startPeers({
      leases: leasesFromMaster(master.url),
      sessions: 1,
      rate: RATE,
      size: PACKET_BYTES,
      bidirectional: true,
      // Waits for the relay's ACK before it says hello, so that the relay has nothing to drop.
      behaviour: 'renewing',
      ...(seconds !== undefined && { durationSeconds: seconds }),
      onSecond: show,
    });
    const end = await this.#peers.done;
    if (this.#trouble !== undefined) throw new Error(this.#trouble);
    const report = makeReport(end, MAX_LOSS_PERCENT);
    const problems = report.problems.map((problem) => `problem: ${problem}`);
    return { code: report.ok ? 0 : 1, words: [...lastWords(end), ...problems] };
  }

  async #show(
    now: PeersSnapshot,
    seen: Watch,
    master: RunningDevMaster,
    relay: RelayProcess,
    listen: string,
    health: string,
  ): Promise<void> {
    const metrics = await relay.metrics();
    if (this.#stopped) return;
    const bad = now.tally.corrupted + now.tally.duplicated;
    const second = {
      packets: now.tally.received - seen.received,
      bytes: now.tally.receivedBytes - seen.bytes,
      lost: Math.max(0, now.lost - seen.lost),
      bad: bad - seen.bad,
    };
    Object.assign(seen, {
      received: now.tally.received,
      bytes: now.tally.receivedBytes,
      lost: now.lost,
      bad,
    });
    seen.history.push(now.recent.p99);
    if (seen.history.length > 60) seen.history.shift();
    const scene: Scene = {
      masterUrl: master.url,
      masterKeyId: master.keyId,
      relayAddress: listen,
      healthUrl: `http://${health}`,
      packetBytes: PACKET_BYTES,
      peers: now,
      second,
      metrics,
      cost: relay.cost(),
      history: seen.history,
      notice: this.#notice(),
    };
    this.#stage.show({ draw: (paint) => drawView(scene, paint), line: () => drawLine(scene) });
  }

  async #port(kind: 'udp' | 'tcp', wanted: number, who: string): Promise<number> {
    const port = await freePort(kind, wanted);
    if (port !== wanted) this.#stage.say(`Port ${wanted} is in use: ${who} takes ${port}.`);
    return port;
  }
}

const READY_TIMEOUT_MS = 60_000;
/** About what a game stream is made of: 1000 packets a second of 1200 bytes, here both ways. */
const RATE = 1000;
const PACKET_BYTES = 1200;
/** A busy machine may lose packets before its peers read them, without the demo having failed. */
const MAX_LOSS_PERCENT = 10;

interface Watch {
  received: number;
  bytes: number;
  lost: number;
  bad: number;
  readonly history: number[];
}

function newWatch(): Watch {
  return { received: 0, bytes: 0, lost: 0, bad: 0, history: [] };
}

function lastWords(end: PeersSnapshot): string[] {
  const { tally, overall } = end;
  return [
    `${grouped(tally.received)} packets in ${end.seconds.toFixed(0)} s, latency p50 ${ms(overall.p50)} ms, p99 ${ms(overall.p99)} ms`,
    `${grouped(end.lost)} lost, ${grouped(tally.duplicated)} duplicated, ${grouped(tally.reordered)} reordered, ${grouped(tally.corrupted)} corrupted`,
  ];
}
