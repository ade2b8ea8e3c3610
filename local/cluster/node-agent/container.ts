import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BackOff } from './back-off.ts';
import type { ContainerProcess, ProcessSpec } from './container-process.ts';
import { ConfigurationError } from './environment.ts';
import type { ImageDefinition } from './images.ts';
import { httpGet, runProbe } from './probe-action.ts';
import { Prober } from './prober.ts';
import type { Container as ContainerSpec, ContainerStatus, TerminatedState } from './resources.ts';

/** What a container needs of its pod and agent. */
export interface ContainerHost {
  podName: string;
  /** The pod's terminationGracePeriodSeconds. */
  graceSeconds: number;
  /** The pod's own, for probes. */
  address(): string;
  logFolder: string;
  findImage(reference: string): ImageDefinition | undefined;
  /** @throws ConfigurationError when something the container refers to isn't there. */
  describe(spec: ContainerSpec, image: ImageDefinition): Promise<Omit<ProcessSpec, 'logFile'>>;
  launch(spec: ProcessSpec): ContainerProcess;
  /** The status has changed. */
  changed(): void;
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  backOff: { baseMs: number; maxMs: number };
}

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

/** One container of a pod: pulled, started, probed, restarted with growing pauses, stopped with grace. */
export class Container {
  readonly spec: ContainerSpec;
  readonly #host: ContainerHost;
  readonly #policy: RestartPolicy;
  readonly #backOff: BackOff;
  readonly #pullBackOff: BackOff;
  readonly #stopping = new AbortController();
  #process: ContainerProcess | undefined;
  #simulated: PromiseWithResolvers<number> | undefined;
  #prober: Prober | undefined;
  /** When the SIGKILL comes, ms since the epoch. */
  #killAt = Infinity;
  #killTimer: NodeJS.Timeout | undefined;
  #status: ContainerStatus;
  readonly #started = Promise.withResolvers<void>();
  #finished = false;
  #wake = Promise.withResolvers<void>();

  constructor(spec: ContainerSpec, policy: RestartPolicy, host: ContainerHost, restartCount = 0) {
    this.spec = spec;
    this.#host = host;
    this.#policy = policy;
    this.#backOff = new BackOff(host.backOff.baseMs, host.backOff.maxMs);
    this.#pullBackOff = new BackOff(host.backOff.baseMs, host.backOff.maxMs);
    this.#status = {
      name: spec.name,
      image: spec.image,
      imageID: '',
      ready: false,
      started: false,
      restartCount,
      state: { waiting: { reason: 'ContainerCreating' } },
      lastState: {},
    };
  }

  get status(): ContainerStatus {
    return this.#status;
  }

  /** It has ended and is not started again. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Resolves when it has passed its startup probe for the first time, or is finished. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Shows why the pod isn't ready to start its containers. */
  wait(reason: string): void {
    if (this.#status.state.waiting?.reason !== reason) this.#update({ state: { waiting: { reason } } });
  }

  /** Runs it until it is finished. */
  async run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const image = await this.#pull();
      if (!image) break;
      const spec = await this.#configure(image);
      if (!spec) break;
      const terminated = await this.#runOnce(spec, image);
      if (this.#stopping.signal.aborted || !this.#restarts(terminated.exitCode)) break;
      await this.#pauseBeforeRestart(terminated);
    }
    this.#finished = true;
    this.#started.resolve();
    this.#host.changed();
  }

  /** Something it was waiting for may be there now. */
  retry(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** The pod is being deleted: no more restarts, no liveness probes. */
  terminating(): void {
    this.#prober?.terminate();
  }

  /** preStop, SIGTERM, and SIGKILL when the grace is over. A second call can only shorten the grace. */
  stop(graceSeconds: number): void {
    const first = !this.#stopping.signal.aborted;
    this.#stopping.abort();
    this.#terminate(graceSeconds, first);
  }

  /** Runs a command in it. @throws Error when it isn't running. */
  async exec(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number | undefined; output: string }> {
    if (!this.#process) throw new Error(`container ${this.spec.name} is not running`);
    return this.#process.exec(command, timeoutMs);
  }

  /** Log of this run, or of the one before. */
  logFile(previous: boolean): string {
    return this.#logFile(this.#status.restartCount - (previous ? 1 : 0));
  }

  #logFile(run: number): string {
    return join(this.#host.logFolder, this.spec.name, `${run}.log`);
  }

  async #pull(): Promise<ImageDefinition | undefined> {
    for (;;) {
      const image = this.#host.findImage(this.spec.image);
      if (this.#stopping.signal.aborted) return undefined;
      if (image) return image;
      const message = `failed to pull image "${this.spec.image}": the local cluster has no image of that name`;
      this.#update({ state: { waiting: { reason: 'ErrImagePull', message } } });
      this.#host.event('Warning', 'Failed', message);
      await this.#pause(2000);
      const wait = this.#pullBackOff.next(Date.now(), Date.now());
      this.#update({
        state: {
          waiting: { reason: 'ImagePullBackOff', message: `Back-off pulling image "${this.spec.image}"` },
        },
      });
      await Promise.race([this.#pause(Math.max(wait, 1000)), this.#wake.promise]);
    }
  }

  async #configure(image: ImageDefinition): Promise<Omit<ProcessSpec, 'logFile'> | undefined> {
    while (!this.#stopping.signal.aborted) {
      const wake = this.#wake.promise;
      try {
        const described = await this.#host.describe(this.spec, image);
        return this.#stopping.signal.aborted ? undefined : described;
      } catch (error) {
        const reason =
          error instanceof ConfigurationError ? 'CreateContainerConfigError' : 'CreateContainerError';
        const { message } = error as Error;
        this.#update({ state: { waiting: { reason, message } } });
        this.#host.event('Warning', 'Failed', `Error: ${message}`);
        await Promise.race([this.#pause(10_000), wake]);
      }
    }
    return undefined;
  }

  async #runOnce(described: Omit<ProcessSpec, 'logFile'>, image: ImageDefinition): Promise<TerminatedState> {
    const logFile = this.#logFile(this.#status.restartCount);
    mkdirSync(join(this.#host.logFolder, this.spec.name), { recursive: true });
    const startedAt = timestamp();
    const containerID = `local://${randomBytes(16).toString('hex')}`;
    let exited: Promise<number>;
    if ('simulated' in image) {
      this.#simulated = Promise.withResolvers();
      exited = this.#simulated.promise;
    } else {
      try {
        this.#process = this.#host.launch({ ...described, logFile });
      } catch (error) {
        return this.#failedToStart(error as Error, startedAt);
      }
      exited = this.#process.exited;
    }
    this.#killAt = Infinity;
    this.#update({
      state: { running: { startedAt } },
      containerID,
      imageID: `local://${this.spec.image}`,
      started: false,
      ready: false,
    });
    this.#probe('simulated' in image);

    const exitCode = await exited;
    this.#prober?.stop();
    clearTimeout(this.#killTimer);
    this.#process = undefined;
    this.#simulated = undefined;
    const message =
      exitCode !== 0 && this.spec.terminationMessagePolicy === 'FallbackToLogsOnError'
        ? tail(logFile)
        : undefined;
    const terminated: TerminatedState = {
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
      ...(message ? { message } : {}),
      startedAt,
      finishedAt: timestamp(),
      containerID,
    };
    this.#update({ state: { terminated }, ready: false, started: false });
    return terminated;
  }

  #failedToStart({ message }: Error, startedAt: string): TerminatedState {
    const terminated = { exitCode: 128, reason: 'StartError', message, startedAt, finishedAt: timestamp() };
    this.#update({ state: { terminated } });
    this.#host.event('Warning', 'Failed', `Error: ${message}`);
    return terminated;
  }

  #probe(simulated: boolean): void {
    const spec = simulated ? withoutProbes(this.spec) : this.spec;
    this.#prober = new Prober(spec, {
      run: (probe) => runProbe(probe, this.spec, this.#host.address(), this.#process),
      onStarted: () => {
        this.#update({ started: true });
        this.#started.resolve();
      },
      onReady: (ready) => {
        if (ready !== this.#status.ready) this.#update({ ready });
      },
      onFailure: (kind, message) =>
        this.#host.event(
          'Warning',
          'Unhealthy',
          `${kind[0]!.toUpperCase()}${kind.slice(1)} probe failed: ${message}`,
        ),
      onFatal: (kind, probe) => {
        const grace = probe.terminationGracePeriodSeconds ?? this.#host.graceSeconds;
        this.#host.event(
          'Normal',
          'Killing',
          `Container ${this.spec.name} failed ${kind} probe, will be restarted`,
        );
        this.#terminate(grace, true);
      },
    });
    this.#prober.start();
  }

  #terminate(graceSeconds: number, first: boolean): void {
    this.#simulated?.resolve(0);
    const running = this.#process;
    if (!running) return;
    const killAt = Date.now() + graceSeconds * 1000;
    if (killAt >= this.#killAt) return;
    this.#killAt = killAt;
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => void running.kill('SIGKILL'), graceSeconds * 1000);
    if (first) void this.#askToEnd(running, graceSeconds);
  }

  async #askToEnd(running: ContainerProcess, graceSeconds: number): Promise<void> {
    const preStop = this.spec.lifecycle?.preStop;
    if (preStop?.exec) await running.exec(preStop.exec.command, graceSeconds * 1000);
    else if (preStop?.httpGet)
      await httpGet(preStop.httpGet, this.spec, this.#host.address(), Math.max(1, graceSeconds * 1000));
    else if (preStop?.sleep) await delay(Math.min(preStop.sleep.seconds, graceSeconds) * 1000);
    await running.kill('SIGTERM');
    // A preStop hook may have used up the grace; there are two seconds after SIGTERM in any case, as with the kubelet.
    if (preStop && this.#process === running && this.#killAt - Date.now() < 2000) {
      clearTimeout(this.#killTimer);
      this.#killTimer = setTimeout(() => void running.kill('SIGKILL'), 2000);
    }
  }

  #restarts(exitCode: number): boolean {
    return this.#policy === 'Always' || (this.#policy === 'OnFailure' && exitCode !== 0);
  }

  async #pauseBeforeRestart(terminated: TerminatedState): Promise<void> {
    const now = Date.now();
    const wait = this.#backOff.next(now, now);
    if (wait > 0) {
      const seconds = `${Math.round(wait / 100) / 10}s`;
      const message = `back-off ${seconds} restarting failed container=${this.spec.name} pod=${this.#host.podName}`;
      this.#update({
        state: { waiting: { reason: 'CrashLoopBackOff', message } },
        lastState: { terminated },
      });
      this.#host.event('Warning', 'BackOff', message);
      await this.#pause(wait);
    }
    if (this.#stopping.signal.aborted) {
      this.#update({ state: { terminated } });
      return;
    }
    this.#update({ restartCount: this.#status.restartCount + 1, lastState: { terminated } });
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }

  #update(change: Partial<ContainerStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#host.changed();
  }
}

function withoutProbes(spec: ContainerSpec): ContainerSpec {
  const { startupProbe, livenessProbe, readinessProbe, ...rest } = spec;
  void [startupProbe, livenessProbe, readinessProbe];
  return rest;
}

/** As the API server has it: to the second. */
function timestamp(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

/** Source: the kubelet's MaxContainerTerminationMessageLogLength and -Lines. */
function tail(file: string): string {
  return readFileSync(file, 'utf8').slice(-2048).split('\n').slice(-80).join('\n');
}
