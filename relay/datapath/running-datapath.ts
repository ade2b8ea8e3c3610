import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { SocketAddress } from '../config/config.ts';
import type { KeyRingState } from '../lease/key-ring.ts';
import type { SharedAdmission } from '../pipeline/admission.ts';
import { COUNTER_CELLS } from '../pipeline/counters.ts';
import type { PipelineLimits } from '../pipeline/pipeline.ts';
import { ADDRESS_WORDS, formatAddress, isIpv4, parseAddress } from '../protocol/address.ts';
import { RECORD_SESSION_ID_OFFSET } from '../session/record.ts';
import { bindFailure } from './bind-failure.ts';
import { DatapathError } from './datapath-error.ts';
import type { Datapath, DatapathLog, DatapathOptions } from './datapath.ts';
import { DirtyRecordsReader } from './dirty-records.ts';
import { formatListen, ownAddresses } from './listen-address.ts';
import { SharedState } from './shared-state.ts';
import type { SocketSource } from './socket-source.ts';
import { StallWatch } from './stall-watch.ts';
import { workerOfSession } from './steering.ts';
import type { Mail, Report, WorkerSetup } from './worker-setup.ts';

/** A datapath whose workers run. */
export class RunningDatapath implements Datapath {
  readonly kind: 'mmsg' | 'dgram';
  readonly workers: number;
  readonly address: SocketAddress;
  readonly description: string;
  readonly #sockets: SocketSource;
  readonly #state: SharedState;
  readonly #admission: SharedAdmission;
  readonly #records: DirtyRecordsReader | undefined;
  readonly #threads: readonly Worker[];
  readonly #counters: readonly Float64Array[];
  readonly #stalls: StallWatch;
  readonly #busy: { busyMs: number; atMs: number }[];
  readonly #fatalListeners: ((reason: string) => void)[] = [];
  #fatal: string | undefined;
  #stopped: Promise<void> | undefined;
  #drops = 0;
  #dropsReadMs = -Infinity;
  #asking: StunQuestion | undefined;
  #questions = 0;

  static async start(options: DatapathOptions, sockets: SocketSource, why: string): Promise<RunningDatapath> {
    const parts = prepare(options, sockets);
    try {
      const ready = await Promise.all(
        parts.threads.map((thread) => readiness(thread, options.config.listen)),
      );
      sockets.bound(ready[0]!.address, ready[0]!.bufferBytes);
      return new RunningDatapath(options.log, sockets, parts, why);
    } catch (error) {
      parts.state.stop();
      sockets.wake();
      await Promise.all(parts.threads.map(exited));
      sockets.close();
      throw error;
    }
  }

  private constructor(log: DatapathLog, sockets: SocketSource, parts: Parts, why: string) {
    this.kind = sockets.kind;
    this.workers = sockets.workers;
    this.address = sockets.address;
    this.#sockets = sockets;
    this.#state = parts.state;
    this.#admission = parts.admission;
    this.#records = parts.records;
    this.#threads = parts.threads;
    this.#counters = parts.threads.map((_, worker) => parts.state.counters(worker));
    this.#busy = parts.threads.map(() => ({ busyMs: 0, atMs: 0 }));
    this.#stalls = new StallWatch(parts.state);
    this.description =
      `Relay listening on ${formatListen(this.address)} with ${sockets.description}${why === '' ? '' : `, ${why}`}; ` +
      `${this.workers} worker${this.workers === 1 ? '' : 's'}, receive buffer ${Math.round(sockets.bufferBytes / 1024)} KiB`;
    for (const [worker, thread] of this.#threads.entries()) this.#watch(thread, worker, parts.errors, log);
    // With port 0 only now is it known which addresses are the relay's own.
    if (!parts.boundBefore) this.setOwnEndpoints([]);
  }

  totals(): Float64Array {
    const totals = new Float64Array(COUNTER_CELLS);
    for (const counters of this.#counters) {
      for (let cell = 0; cell < COUNTER_CELLS; cell++) totals[cell]! += counters[cell]!;
    }
    return totals;
  }

  heldSessions(): number {
    return this.#admission.held;
  }

  activeSessions(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++) sum += this.#state.activeSessions(worker);
    return sum;
  }

  busyRatios(): Float64Array {
    return Float64Array.from(this.#busy, (before, worker) => {
      const busyMs = this.#state.busyMs(worker);
      const atMs = this.#state.busyReadMs(worker);
      const elapsedMs = atMs - before.atMs;
      const ratio = before.atMs > 0 && elapsedMs > 0 ? (busyMs - before.busyMs) / elapsedMs : 0;
      this.#busy[worker] = { busyMs, atMs };
      return Math.min(1, Math.max(0, ratio));
    });
  }

  socketBufferBytes(): number {
    return this.#sockets.bufferBytes;
  }

  kernelDrops(): number {
    const nowMs = performance.now();
    if (nowMs - this.#dropsReadMs >= 1000 && !this.#stopped) {
      this.#dropsReadMs = nowMs;
      this.#drops = this.#sockets.drops();
    }
    return this.#drops;
  }

  setKeys(keys: KeyRingState): void {
    this.#post({ kind: 'keys', keys });
  }

  setShedding(on: boolean): void {
    this.#admission.setShedding(on);
  }

  setDraining(startedMs: number | undefined, startedWallMs: number): void {
    this.#admission.setDraining(startedMs, startedWallMs);
  }

  setOwnEndpoints(addresses: readonly string[]): void {
    const advertised = addresses.flatMap((text) => parseAddress(text) ?? []);
    this.#post({ kind: 'own-endpoints', addresses: joined([...ownAddresses(this.address), ...advertised]) });
  }

  takeDirty(visit: (worker: number, slot: number, record: Uint8Array | undefined) => void): number {
    return this.#records?.take(visit) ?? 0;
  }

  askStun(server: string, timeoutMs: number): Promise<string> {
    const words = parseAddress(server);
    if (!words || (this.address.family === 4 && !isIpv4(words, 0))) {
      return Promise.reject(
        new Error(
          `the STUN server ${server} is no ip:port that an IPv${this.address.family} socket can reach`,
        ),
      );
    }
    if (this.#asking) return Promise.reject(new Error('a STUN answer is being waited for already'));
    return new Promise((resolve, reject) => {
      const id = ++this.#questions;
      const timer = setTimeout(() => {
        this.#asking = undefined;
        reject(new Error(`no answer from the STUN server ${server} within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.#asking = { id, timer, resolve, reject };
      this.#send(0, { kind: 'stun', id, server: words, timeoutMs });
    });
  }

  stalledWorkers(): number[] {
    return this.#stalls.tick();
  }

  onFatal(listener: (reason: string) => void): void {
    if (this.#fatal === undefined) this.#fatalListeners.push(listener);
    else listener(this.#fatal);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** The flag first, then the sockets: a worker that is woken out of recvmmsg looks at the flag before all else. */
  async #stop(): Promise<void> {
    this.#drops = this.#sockets.drops();
    this.#state.stop();
    this.#sockets.wake();
    if (this.#asking) {
      clearTimeout(this.#asking.timer);
      this.#asking.reject(new Error('the relay stops'));
    }
    const ended = Promise.all(this.#threads.map(exited));
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), STOP_MS);
    });
    if ((await Promise.race([ended, patience])) === 'late') {
      // A stalled worker: not in a system call, which would have ended by its own timeout.
      await Promise.all(this.#threads.map((thread) => thread.terminate()));
    }
    clearTimeout(timer);
    this.#sockets.close();
  }

  #watch(thread: Worker, worker: number, errors: readonly unknown[], log: DatapathLog): void {
    thread.on('message', (report: Report) => {
      if (report.kind === 'log') log('debug', report.line);
      else if (report.kind === 'stun' && report.id === this.#asking?.id) {
        const { timer, resolve } = this.#asking;
        this.#asking = undefined;
        clearTimeout(timer);
        resolve(formatAddress(report.mapped, 0));
      }
    });
    const onExit = (code: number | string): void => {
      const error = errors[worker];
      this.#died(
        error === undefined
          ? `worker ${worker} ended with code ${code}`
          : `worker ${worker} died: ${messageOf(error)}`,
      );
    };
    if (thread.threadId === ENDED) onExit('unknown');
    else thread.on('exit', onExit);
  }

  #died(reason: string): void {
    if (this.#stopped || this.#fatal !== undefined) return;
    this.#fatal = reason;
    for (const listener of this.#fatalListeners) listener(reason);
  }

  #post(mail: Mail): void {
    for (let worker = 0; worker < this.workers; worker++) this.#send(worker, mail);
  }

  #send(worker: number, mail: Mail): void {
    this.#threads[worker]!.postMessage(mail);
    this.#state.announceMail(worker);
  }
}

interface StunQuestion {
  readonly id: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (mapped: string) => void;
  readonly reject: (error: Error) => void;
}

interface Parts {
  readonly state: SharedState;
  readonly admission: SharedAdmission;
  readonly records: DirtyRecordsReader | undefined;
  readonly threads: readonly Worker[];
  /** What each of them threw, if it did: an error comes before the exit. */
  readonly errors: readonly unknown[];
  /** The main thread bound, so that the workers know the relay's own addresses. */
  readonly boundBefore: boolean;
}

/** Worker.threadId once a thread is gone. */
const ENDED = -1;
/** Workers look at flags every 100 ms at least. */
const STOP_MS = 2000;
/**
 * A worker's heap: it allocates for leases only. A small young generation costs a scavenge of 0.2 ms now and then and
 * saves resident memory.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 4 };

function prepare({ config, relayId, restored, keys }: DatapathOptions, sockets: SocketSource): Parts {
  const { workers } = sockets;
  const state = SharedState.allocate(workers);
  const records =
    config.stateDir === undefined ? undefined : DirtyRecordsReader.allocate(workers, config.maxSessions);
  const boundBefore = sockets.address.port !== 0;
  const ownEndpoints = joined(boundBefore ? ownAddresses(sockets.address) : []);
  const errors: unknown[] = [];
  const threads = Array.from({ length: workers }, (_, index) => {
    const setup: WorkerSetup = {
      index,
      workers,
      relayId,
      insecure: config.allowInsecureDev,
      maxSessions: config.maxSessions,
      shedThresholdPct: config.loadShedThresholdPct,
      packetQueueCapacity: config.packetQueueCapacity,
      limits: limitsOf(config),
      keys,
      restored: restored.filter(
        (record) => workerOfSession(record, RECORD_SESSION_ID_OFFSET, workers) === index,
      ),
      ownEndpoints,
      seed: randomFillSync(new Uint32Array(4)),
      logPackets: config.logLevel === 'debug',
      state: state.buffer,
      records,
      socket: sockets.socket(index),
    };
    const thread = new Worker(new URL('worker-thread.ts', import.meta.url), {
      // What `top -H` shows.
      name: `packets-${index}`,
      workerData: setup,
      resourceLimits: RESOURCE_LIMITS,
    });
    thread.on('error', (error) => {
      errors[index] = error;
    });
    return thread;
  });
  return {
    state,
    admission: state.admission(config.maxSessions, config.loadShedThresholdPct),
    records: records && new DirtyRecordsReader(records, workers, config.maxSessions),
    threads,
    errors,
    boundBefore,
  };
}

function limitsOf(config: PipelineLimits): PipelineLimits {
  const {
    idleTimeoutMs,
    leaseDurationMs,
    cleanupIntervalMs,
    renewOnTraffic,
    rebindOnForward,
    ipRateLimitPps,
    identityRateLimitPps,
  } = config;
  return {
    idleTimeoutMs,
    leaseDurationMs,
    cleanupIntervalMs,
    renewOnTraffic,
    rebindOnForward,
    ipRateLimitPps,
    identityRateLimitPps,
  };
}

function joined(addresses: readonly Int32Array[]): Int32Array {
  const words = new Int32Array(addresses.length * ADDRESS_WORDS);
  for (const [i, address] of addresses.entries()) words.set(address, i * ADDRESS_WORDS);
  return words;
}

/** Waits until the worker reads. Throws DatapathError when it can't. */
async function readiness(thread: Worker, listen: SocketAddress): Promise<Extract<Report, { kind: 'ready' }>> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      thread.off('message', onMessage);
      thread.off('error', onError);
      thread.off('exit', onExit);
      act();
    };
    const onMessage = (report: Report): void => {
      if (report.kind === 'ready') settle(() => resolve(report));
      if (report.kind === 'refused') settle(() => reject(bindFailure(listen, report.code)));
    };
    const onError = (error: Error): void =>
      settle(() => reject(new DatapathError(`a packet worker failed to start: ${messageOf(error)}`)));
    const onExit = (code: number): void =>
      settle(() => reject(new DatapathError(`a packet worker ended with code ${code} before it was ready`)));
    thread.on('message', onMessage);
    thread.on('error', onError);
    thread.on('exit', onExit);
  });
}

function exited(thread: Worker): Promise<void> {
  if (thread.threadId === ENDED) return Promise.resolve();
  return new Promise((resolve) => {
    thread.once('exit', () => resolve());
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
