import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import type { SocketAddress } from '../config/config.ts';
import { HELD_BYTES } from '../pipeline/held-forwards.ts';
import { Verdict } from '../pipeline/verdict.ts';
import type { Pipeline } from '../pipeline/pipeline.ts';
import {
  ADDRESS_PORT,
  ADDRESS_WORDS,
  copyAddress,
  formatIp,
  isIpv4,
  parseIp,
  sameAddress,
} from '../protocol/address.ts';
import { monotonicMs } from './clock.ts';
import { InterfaceScopes } from './interface-scopes.ts';
import { assembleWorker } from './worker-assembly.ts';
import type { PacketSink } from './worker-duties.ts';
import type { DgramSocket, Report, WorkerSetup } from './worker-setup.ts';

/**
 * The packet path over node:dgram, where recvmmsg can't run (design-relay 2): one socket, one worker, the same pipeline. Best
 * effort: a system call, an event and two objects for every packet.
 */
export async function runDgramWorker(
  setup: WorkerSetup,
  { listen }: DgramSocket,
  port: MessagePort,
): Promise<void> {
  const report = (message: Report): void => port.postMessage(message);
  const socket = createSocket({
    type: listen.family === 4 ? 'udp4' : 'udp6',
    // Exclusive: a second relay on the port has to fail.
    reuseAddr: false,
    lookup: (host, _options, done) => done(null, host, listen.family),
  });
  try {
    // Waited for before it is asked for: with this lookup the socket is bound within the call.
    const listening = once(socket, 'listening');
    socket.bind({ address: new InterfaceScopes().named(listen.host), port: listen.port, exclusive: true });
    await listening;
  } catch (error) {
    report({ kind: 'refused', code: (error as NodeJS.ErrnoException).code ?? String(error) });
    return;
  }
  const loop = new DgramLoop(setup, socket, listen.family, port);
  const bufferBytes = enlargeBuffers(socket);
  const { address, port: boundPort } = socket.address();
  const bound: SocketAddress = {
    host: listen.family === 4 ? address : listen.host,
    port: boundPort,
    family: listen.family,
  };
  report({ kind: 'ready', address: bound, bufferBytes });
  await loop.run();
}

class DgramLoop {
  readonly #socket: Socket;
  readonly #pipeline: Pipeline;
  readonly #assembly: ReturnType<typeof assembleWorker>;
  readonly #sender: DgramSender;
  readonly #setup: WorkerSetup;
  readonly #sources: SourceReader;
  readonly #source = new Int32Array(ADDRESS_WORDS);
  #heard = false;
  #idleMs = 0;
  /** Ends the wait between two turns. */
  #wakeUp: (() => void) | undefined;

  constructor(setup: WorkerSetup, socket: Socket, family: 4 | 6, port: MessagePort) {
    this.#setup = setup;
    this.#socket = socket;
    this.#assembly = assembleWorker(setup, port, () => this.#sender, new Uint8Array(HELD_BYTES));
    this.#pipeline = this.#assembly.pipeline;
    const scopes = new InterfaceScopes();
    this.#sender = new DgramSender(socket, family, setup.maxSessions * 2, this.#pipeline, scopes);
    this.#sources = new SourceReader(scopes);
  }

  /** Until the stop flag is set. */
  async run(): Promise<void> {
    this.#socket.on('message', (bytes, from) => this.#take(bytes, from));
    // Errors of single sends come through their callbacks; nothing else can be repaired here.
    this.#socket.on('error', (error) => {
      throw error;
    });
    const { state, duties } = this.#assembly;
    await new Promise<void>((stopped) => {
      const turn = (): void => {
        state.beat(this.#setup.index);
        if (state.stopping()) {
          duties.end(monotonicMs());
          this.#socket.close(() => stopped());
          return;
        }
        const idle = !this.#heard;
        this.#heard = false;
        this.#tellSlept();
        duties.afterSends(idle, monotonicMs(), this.#sender);
        // While leases wait, look at the socket between any two turns; else wake for the flags alone.
        if (duties.pressing) setImmediate(turn);
        else this.#wake(turn);
      };
      turn();
    });
  }

  #tellSlept(): void {
    const { idle } = performance.eventLoopUtilization();
    this.#assembly.duties.slept(idle - this.#idleMs);
    this.#idleMs = idle;
  }

  #wake(turn: () => void): void {
    const timer = setTimeout(() => this.#wakeUp?.(), TURN_MS);
    this.#wakeUp = () => {
      clearTimeout(timer);
      this.#wakeUp = undefined;
      turn();
    };
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    this.#heard = true;
    const nowMs = monotonicMs();
    const source = this.#source;
    this.#sources.read(from, source);
    const pipeline = this.#pipeline;
    const verdict = pipeline.receive(bytes, 0, bytes.length, source, 0, nowMs);
    if (verdict === Verdict.Forward) {
      this.#sender.forward(bytes);
    } else {
      this.#assembly.duties.settle(verdict, bytes, 0, bytes.length, source, nowMs, this.#sender);
    }
    if (this.#wakeUp && this.#assembly.duties.pressing) setImmediate(() => this.#wakeUp?.());
  }
}

/** node:dgram takes addresses as text: each flow's is kept until the peer moves. */
class DgramSender implements PacketSink {
  readonly #socket: Socket;
  readonly #family: 4 | 6;
  readonly #scopes: InterfaceScopes;
  readonly #addresses: Int32Array;
  readonly #hosts: (string | undefined)[];
  readonly #sent: (error: Error | null, bytes: number) => void;
  readonly #pipeline: Pipeline;

  constructor(socket: Socket, family: 4 | 6, flows: number, pipeline: Pipeline, scopes: InterfaceScopes) {
    this.#socket = socket;
    this.#family = family;
    this.#scopes = scopes;
    this.#pipeline = pipeline;
    this.#addresses = new Int32Array(flows * ADDRESS_WORDS);
    this.#hosts = Array.from({ length: flows });
    this.#sent = (error, bytes) => {
      if (error) pipeline.sendFailed(1);
      else pipeline.forwarded(1, bytes);
    };
  }

  /** The datagram that was judged just now. Node keeps the buffer until it is sent. */
  forward(bytes: Buffer): void {
    const { flow, destinations: address, destinationBase: base } = this.#pipeline;
    if (this.#socket.getSendQueueCount() >= MAX_QUEUED) {
      this.#pipeline.sendFailed(1);
      return;
    }
    const kept = flow * ADDRESS_WORDS;
    let host = this.#hosts[flow];
    if (host === undefined || !sameAddress(address, base, this.#addresses, kept)) {
      copyAddress(address, base, this.#addresses, kept);
      host = this.#hostOf(address, base);
      this.#hosts[flow] = host;
    }
    this.#socket.send(bytes, 0, bytes.length, address[base + ADDRESS_PORT], host, this.#sent);
  }

  forwardHeld(): void {
    const { bytes, offset, length } = this.#pipeline.held;
    this.forward(Buffer.from(bytes.subarray(offset, offset + length)));
  }

  reply(bytes: Uint8Array, length: number, address: Int32Array, base: number): void {
    if (this.#socket.getSendQueueCount() >= MAX_QUEUED) return;
    const copy = Buffer.from(bytes.subarray(0, length));
    this.#socket.send(copy, 0, length, address[base + ADDRESS_PORT], this.#hostOf(address, base), ignore);
  }

  flush(): void {}

  #hostOf(address: Int32Array, base: number): string {
    const host = formatIp(address, base);
    return this.#family === 6 && isIpv4(address, base) ? `::ffff:${host}` : this.#scopes.named(host);
  }
}

class SourceReader {
  readonly #scopes: InterfaceScopes;

  constructor(scopes: InterfaceScopes) {
    this.#scopes = scopes;
  }

  read(from: RemoteInfo, words: Int32Array): void {
    // What is no address stays 0.0.0.0, which the pipeline lets nobody come from.
    if (!parseIp(this.#scopes.numbered(from.address), words, 0)) words.fill(0);
    words[ADDRESS_PORT] = from.port;
  }
}

/** The buffer got for receiving, as net.core.rmem_max counts: Linux reports twice that. */
function enlargeBuffers(socket: Socket): number {
  for (let wanted = WANTED_BUFFER_BYTES; wanted >= 65_536; wanted /= 2) {
    try {
      socket.setRecvBufferSize(wanted);
      socket.setSendBufferSize(wanted);
      break;
    } catch {
      // Some systems refuse what is too much instead of giving less.
    }
  }
  return process.platform === 'linux' ? socket.getRecvBufferSize() / 2 : socket.getRecvBufferSize();
}

function ignore(): void {}

const WANTED_BUFFER_BYTES = 8 * 1024 * 1024;
const TURN_MS = 50;
/** Datagrams that wait inside of Node because the kernel had no room for them. */
const MAX_QUEUED = 1024;
