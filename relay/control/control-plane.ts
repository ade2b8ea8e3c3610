import type { Config } from '../config/config.ts';
import type { Datapath } from '../datapath/datapath.ts';
import { Counter } from '../pipeline/counters.ts';
import type { Clock } from './clock.ts';
import { every, systemClock } from './clock.ts';
import { ControlDirectory } from './control-directory.ts';
import type { ControlLog } from './control-log.ts';
import type { DrainEnd, DrainFacts } from './drain.ts';
import { Drain } from './drain.ts';
import type { EndpointChoice } from './endpoints.ts';
import { chooseEndpoints, parseEndpoints, textOf } from './endpoints.ts';
import type { Groundwork } from './groundwork.ts';
import type { Master } from './master-client.ts';
import { MasterClient } from './master-client.ts';
import { Overload } from './overload.ts';
import { Registration } from './registration.ts';
import type { RelayState, RelayStatus } from './relay-status.ts';
import { resolveStunServer } from './stun-server.ts';
import { StunWatch } from './stun-watch.ts';
import { Supervision } from './supervision.ts';

export interface ControlPlaneOptions {
  readonly config: Config;
  readonly groundwork: Groundwork;
  readonly datapath: Datapath;
  readonly log: ControlLog;
  /** The system's when left out, as are the two below. */
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly master?: Master;
}

export interface ControlPlane {
  status(): RelayStatus;
  /** SIGTERM or SIGINT came: drain, then finish; the second call finishes at once. */
  signal(name: string): void;
  /** Resolves with the process's exit code once there is nothing left to stay for. Never rejects. */
  readonly finished: Promise<number>;
  /** Ends every timer, watch and call, writes the state file out and unlocks it. Does not stop the datapath. */
  stop(): Promise<void>;
}

/** Starts Master's client, the watches, the state file, the drain and the supervision over a running datapath. */
export function startControlPlane(options: ControlPlaneOptions): ControlPlane {
  return new RunningControlPlane(options);
}

/** How soon an empty relay ends. */
const DRAIN_POLL_MS = 100;
const SAMPLE_MS = 1000;

class RunningControlPlane implements ControlPlane {
  readonly finished: Promise<number>;

  readonly #config: Config;
  readonly #groundwork: Groundwork;
  readonly #datapath: Datapath;
  readonly #log: ControlLog;
  readonly #clock: Clock;
  readonly #drain: Drain;
  readonly #overload: Overload;
  readonly #registration: Registration;
  readonly #controlDirectory: ControlDirectory | undefined;
  readonly #stun: StunWatch | undefined;
  readonly #supervision: Supervision;
  readonly #cancel: (() => void)[];
  readonly #finish: (exitCode: number) => void;
  #choice: EndpointChoice = { endpoints: [] };
  #choiceProblem: string | undefined;
  #served = false;
  #drainingSinceMs: number | undefined;
  #emptySaid = false;
  #restoredSaid = false;
  #stopped: Promise<void> | undefined;

  constructor({ config, groundwork, datapath, log, clock, random, master }: ControlPlaneOptions) {
    this.#config = config;
    this.#groundwork = groundwork;
    this.#datapath = datapath;
    this.#log = log;
    this.#clock = clock ?? systemClock;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.finished = promise;
    this.#finish = resolve;

    const shared = { clock: this.#clock, random: random ?? Math.random, log };
    this.#drain = new Drain(config.drainTimeoutMs);
    this.#overload = new Overload({
      maxThroughputMbps: config.maxThroughputMbps,
      shedThresholdPct: config.loadShedThresholdPct,
    });
    const { masterKeys, relayId } = groundwork;
    const url = config.masterUrl;
    this.#registration = new Registration({
      ...shared,
      master:
        master ?? new MasterClient({ url, token: config.masterToken, tokenFile: config.masterTokenFile }),
      relay: {
        relayId,
        region: config.region,
        asn: config.asn,
        maxSessions: config.maxSessions,
        maxBitrateKbps: config.maxBitrateKbps,
      },
      endpoints: () => this.#choice.endpoints,
      loadPct: () => (100 * datapath.activeSessions()) / config.maxSessions,
      draining: () => this.#drain.draining,
      learnKey: ({ publicKey, keyId }) => masterKeys.learn(publicKey, keyId),
      hasKey: () => masterKeys.hasKey,
    });
    this.#controlDirectory = this.#newControlDirectory();
    this.#stun = this.#newStunWatch(shared);
    this.#supervision = new Supervision(datapath, this.#clock, (problem) => {
      log('error', `${problem}: ending, so that a new process can take its sessions over`);
      this.#finish(1);
    });
    this.#cancel = [
      every(this.#clock, DRAIN_POLL_MS, () => this.#watchDrain()),
      every(this.#clock, SAMPLE_MS, () => this.#watchLoad()),
    ];
    void this.#begin();
  }

  status(): RelayStatus {
    const unhealthyReason = this.#supervision.problem;
    const notReadyReason = unhealthyReason ?? this.#whyNotReady();
    const { stateFile, relayId } = this.#groundwork;
    return {
      relayId,
      state: this.#state(),
      ready: notReadyReason === undefined,
      notReadyReason,
      healthy: unhealthyReason === undefined,
      unhealthyReason,
      endpoints: this.#registration.registeredEndpoints ?? this.#choice.endpoints,
      registered: this.#registration.registered,
      draining: this.#drain.draining,
      gauges: {
        workerBusyRatio: this.#overload.busyRatio,
        overloaded: this.#overload.shedding,
        registrationsTotal: this.#registration.registrationsTotal,
        masterFailuresTotal: this.#registration.failuresTotal,
        masterOutageSecs: this.#registration.outageMs / 1000,
        stateWriteErrorsTotal: stateFile?.writeErrorsTotal ?? 0,
        stateRestoredSessions: stateFile?.restoredSessions ?? 0,
        stateCorruptRecords: stateFile?.corruptRecords ?? 0,
      },
    };
  }

  signal(name: string): void {
    const again = this.#drain.ending;
    this.#drain.signal(this.#now());
    if (again) this.#log('warn', `${name} again: ending at once`);
    else {
      const seconds = this.#config.drainTimeoutMs / 1000;
      this.#log(
        'info',
        `${name}: draining ${this.#datapath.heldSessions()} sessions, ending when there is none left, at most ${seconds} s after the drain began`,
      );
    }
    this.#drainChanged();
  }

  async stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    await this.#stopped;
  }

  async #stop(): Promise<void> {
    for (const cancel of this.#cancel) cancel();
    this.#supervision.stop();
    await Promise.all([
      this.#registration.stop(),
      this.#controlDirectory?.stop(),
      this.#stun?.stop(),
      this.#groundwork.masterKeys.stop(),
    ]);
    await this.#groundwork.close();
  }

  async #begin(): Promise<void> {
    const { masterKeys, stateFile } = this.#groundwork;
    masterKeys.start((keys) => this.#datapath.setKeys(keys));
    stateFile?.start((visit) => this.#datapath.takeDirty(visit));
    // Before Master hears of this relay: it may be draining, and have an address from there.
    await this.#controlDirectory?.start();
    if (this.#stopped) return;
    this.#wishChanged();
    this.#endpointsChanged();
    this.#stun?.start();
    this.#registration.start();
  }

  #newControlDirectory(): ControlDirectory | undefined {
    const { controlDir } = this.#config;
    if (controlDir === undefined) return undefined;
    return new ControlDirectory({
      path: controlDir,
      checkEndpoints: (endpoints) => {
        const { problem } = parseEndpoints(endpoints, this.#datapath.address);
        if (problem !== undefined) throw new Error(problem);
      },
      clock: this.#clock,
      log: this.#log,
      onChange: () => {
        this.#wishChanged();
        this.#endpointsChanged();
      },
    });
  }

  #newStunWatch(shared: { clock: Clock; random: () => number; log: ControlLog }): StunWatch | undefined {
    const server = this.#config.stunServer;
    if (server === undefined) return undefined;
    return new StunWatch({
      ...shared,
      server,
      resolve: (name) => resolveStunServer(name, this.#datapath.address),
      ask: (address, timeoutMs) => this.#datapath.askStun(address, timeoutMs),
      onChange: () => this.#endpointsChanged(),
    });
  }

  #endpointsChanged(): void {
    const { advertise, stunServer } = this.#config;
    const bound = this.#datapath.address;
    const choice = chooseEndpoints({
      bound,
      advertise,
      controlDirectory: this.#controlDirectory?.endpoints,
      stun: stunServer === undefined ? undefined : { server: stunServer, mapped: this.#stun?.mapped },
    });
    if (choice.problem !== undefined && choice.problem !== this.#choiceProblem) {
      this.#log('warn', `No endpoint to register: ${choice.problem}`);
    }
    this.#choiceProblem = choice.problem;
    this.#choice = choice;
    this.#datapath.setOwnEndpoints([...new Set([textOf(bound), ...choice.endpoints])]);
    this.#registration.wake();
  }

  #wishChanged(): void {
    this.#drain.wish(this.#controlDirectory?.draining ?? false, this.#now());
    this.#drainChanged();
  }

  #drainChanged(): void {
    const { start } = this.#drain;
    if (start?.nowMs !== this.#drainingSinceMs) {
      this.#drainingSinceMs = start?.nowMs;
      this.#emptySaid = false;
      this.#datapath.setDraining(start?.nowMs, start?.wallMs ?? 0);
      if (!start) this.#log('info', 'No longer draining: taking new sessions again');
      else if (!this.#drain.ending) this.#log('info', 'Draining, as the control directory says');
      this.#registration.wake();
    }
    this.#watchDrain();
  }

  #watchDrain(): void {
    const facts = this.#drainFacts();
    const nowMs = this.#clock.nowMs();
    if (!this.#emptySaid && this.#drain.isEmpty(nowMs, facts)) {
      this.#emptySaid = true;
      this.#log('info', 'Drained: no session is held and none may still come');
    }
    const end = this.#drain.end(nowMs, facts);
    if (end === undefined) return;
    if (end !== 'drained' && facts.heldSessions > 0) {
      this.#log('warn', `Ending (${WHY[end]}) with ${facts.heldSessions} sessions held`);
    }
    this.#finish(0);
  }

  #watchLoad(): void {
    this.#sayRestored();
    const before = this.#overload.shedding;
    const shedding = this.#overload.sample({
      nowMs: this.#clock.nowMs(),
      busyRatios: this.#datapath.busyRatios(),
      bytesForwarded: this.#datapath.totals()[Counter.bytes_forwarded]!,
    });
    if (shedding === before) return;
    this.#datapath.setShedding(shedding);
    if (shedding) this.#log('warn', `Refusing new sessions: ${this.#overload.reason}`);
    else this.#log('info', 'Taking new sessions again: no longer overloaded');
  }

  /** A second after the start every worker has shown what it took. */
  #sayRestored(): void {
    const { stateFile } = this.#groundwork;
    if (this.#restoredSaid || !stateFile) return;
    this.#restoredSaid = true;
    const found = stateFile.restored.length;
    if (found > 0) this.#log('info', `Restored ${stateFile.restoredSessions} of ${found} stored sessions`);
  }

  #state(): RelayState {
    if (this.#drain.draining) {
      return this.#drain.isEmpty(this.#clock.nowMs(), this.#drainFacts()) ? 'drained' : 'draining';
    }
    this.#served ||= this.#whyNotReady() === undefined;
    return this.#served ? 'serving' : 'starting';
  }

  #whyNotReady(): string | undefined {
    if (this.#drain.draining) return 'draining';
    if (!this.#registration.registeredOnce) {
      return (
        this.#choice.problem ?? `not registered with Master: ${this.#registration.problem ?? 'no answer yet'}`
      );
    }
    return this.#groundwork.masterKeys.problem;
  }

  #drainFacts(): DrainFacts {
    return {
      heldSessions: this.#datapath.heldSessions(),
      everRegistered: this.#registration.everRegistered,
    };
  }

  #now(): { nowMs: number; wallMs: number } {
    return { nowMs: this.#clock.nowMs(), wallMs: this.#clock.wallMs() };
  }
}

const WHY: Readonly<Record<DrainEnd, string>> = {
  drained: 'drained',
  'timed out': '--drain-timeout-secs have passed',
  'second signal': 'second signal',
};
