import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Container, type ContainerHost } from './container.ts';
import { ContainerProcess } from './container-process.ts';
import type { PodPlace } from './downward.ts';
import { podStatus } from './pod-status.ts';
import type { PodRuntime } from './pod-runtime.ts';
import { hostsFile, podHostname, processSpec } from './process-spec.ts';
import type { Container as ContainerSpec, Pod, PodStatus } from './resources.ts';
import { PodVolumes } from './volumes.ts';

export interface PodWorkerHooks {
  /** The status differs from the one published last. */
  publish(pod: Pod, status: PodStatus): void;
  /** Whether a status on its way or written is newer than the pod's object. */
  isAhead(pod: Pod): boolean;
  /** All processes have ended and the pod was deleted: the object may go. */
  finalize(pod: Pod): void;
}

/** The life of one pod on its node, from the first container to the last process. */
export class PodWorker {
  readonly #runtime: PodRuntime;
  readonly #hooks: PodWorkerHooks;
  readonly #directory: string;
  readonly #startTime: string = now();
  readonly #initContainers: Container[];
  readonly #containers: Container[];
  readonly #stopping = new AbortController();
  #pod: Pod;
  #address: string | undefined;
  #network = '';
  #volumes: PodVolumes | undefined;
  #initialized = false;
  #ended = false;
  #wake = Promise.withResolvers<void>();
  #refreshTimer: NodeJS.Timeout | undefined;
  #published: PodStatus | undefined;
  #publishing = false;
  readonly done: Promise<void>;

  constructor(pod: Pod, runtime: PodRuntime, hooks: PodWorkerHooks) {
    this.#pod = pod;
    this.#runtime = runtime;
    this.#hooks = hooks;
    this.#directory = join(runtime.directory, 'pods', pod.metadata.uid);
    const host = this.#containerHost();
    const restarts = new Map(
      [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].map(
        (status) => [status.name, status.containerID ? status.restartCount + 1 : 0],
      ),
    );
    const policy = pod.spec.restartPolicy ?? 'Always';
    this.#initContainers = (pod.spec.initContainers ?? []).map((spec) => {
      // An init container of a pod that restarts is tried until it succeeds, and then not again.
      const initPolicy = isSidecar(spec) ? 'Always' : policy === 'Never' ? 'Never' : 'OnFailure';
      return new Container(spec, initPolicy, host, restarts.get(spec.name));
    });
    this.#containers = pod.spec.containers.map(
      (spec) => new Container(spec, policy, host, restarts.get(spec.name)),
    );
    this.done = this.#live();
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** Its processes have ended for good. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The pod's object has changed. */
  update(pod: Pod): void {
    const old = this.#pod;
    this.#pod = pod;
    if (
      JSON.stringify([old.metadata.labels, old.metadata.annotations]) !==
      JSON.stringify([pod.metadata.labels, pod.metadata.annotations])
    )
      this.#refreshVolumes();
    if (pod.metadata.deletionTimestamp) this.stop(pod.metadata.deletionGracePeriodSeconds ?? 30);
    // The node lifecycle controller marks the pods of a silent node unready, and only the node takes that back.
    if (this.#published && !this.#hooks.isAhead(pod) && !agrees(pod.status, this.#published)) {
      this.#published = undefined;
      this.#publish();
    }
    // A condition of somebody else's can be a readiness gate.
    if (pod.spec.readinessGates) this.#publish();
  }

  /** Ends the pod. Called again, it can only shorten the grace. */
  stop(graceSeconds: number): void {
    this.#stopping.abort();
    for (const container of this.#all()) container.terminating();
    // The kubelet leaves two seconds in any case.
    const grace = Math.max(2, graceSeconds);
    for (const container of this.#containers) container.stop(grace);
    for (const container of this.#initContainers) if (!isSidecar(container.spec)) container.stop(grace);
    this.#stopSidecarsBy = Math.min(this.#stopSidecarsBy, Date.now() + grace * 1000);
    this.#wake.resolve();
  }

  #stopSidecarsBy = Infinity;

  /** Kills all processes at once and reports nothing: the node is gone. */
  async crash(): Promise<void> {
    this.#silent = true;
    this.#stopping.abort();
    for (const container of this.#all()) container.stop(0);
    await this.done;
  }

  #silent = false;

  /** A Secret or ConfigMap of the pod's namespace has changed. */
  objectChanged(kind: 'secret' | 'configMap', name: string): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    for (const container of this.#all()) container.retry();
    if (this.#volumes?.refersTo(kind, name)) this.#refreshVolumes();
  }

  /** The object has gone: nobody asks for its logs any more. */
  removeFiles(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  imagesChanged(): void {
    for (const container of this.#all()) container.retry();
  }

  container(name: string): Container | undefined {
    return this.#all().find((container) => container.spec.name === name);
  }

  #all(): Container[] {
    return [...this.#initContainers, ...this.#containers];
  }

  async #live(): Promise<void> {
    mkdirSync(join(this.#directory, 'volumes'), { recursive: true });
    try {
      if (await this.#setUp()) await this.#runContainers();
    } finally {
      this.#ended = true;
      clearTimeout(this.#refreshTimer);
      this.#publish();
      await this.#tearDown();
      if (this.#pod.metadata.deletionTimestamp && !this.#silent) this.#hooks.finalize(this.#pod);
    }
  }

  /** Address, network and volumes; false when the pod was stopped before they were there. */
  async #setUp(): Promise<boolean> {
    while (!this.#stopping.signal.aborted) {
      const wake = this.#wake.promise;
      try {
        if (!this.#address) {
          const { address, network } = await this.#runtime.attach(this.#pod);
          this.#address = address;
          this.#network = network;
          this.#volumes = new PodVolumes(this.#pod, {
            directory: join(this.#directory, 'volumes'),
            place: this.#place(),
            objects: this.#runtime.objects,
            tokens: this.#runtime.tokens,
          });
          const hostname = podHostname(this.#pod, this.#runtime.nodeName);
          writeFileSync(join(this.#directory, 'hosts'), hostsFile(this.#pod, address, hostname));
        }
        await this.#volumes!.prepare();
        this.#scheduleTokenRefresh();
        return !this.#stopping.signal.aborted;
      } catch (error) {
        const kind = this.#address ? 'FailedMount' : 'FailedCreatePodSandBox';
        this.#runtime.event(this.#pod, 'Warning', kind, (error as Error).message);
        for (const container of this.#all()) container.wait('ContainerCreating');
        this.#publish();
        await Promise.race([delay(5000, undefined, { ref: false }), wake, aborted(this.#stopping.signal)]);
      }
    }
    return false;
  }

  async #runContainers(): Promise<void> {
    for (const container of this.#all()) container.wait('PodInitializing');
    const sidecars: { container: Container; run: Promise<void> }[] = [];
    for (const container of this.#initContainers) {
      if (this.#stopping.signal.aborted) break;
      const run = container.run();
      if (isSidecar(container.spec)) {
        sidecars.push({ container, run });
        await container.started;
        continue;
      }
      await run;
      if (container.status.state.terminated?.exitCode !== 0) {
        await this.#stopSidecars(sidecars);
        return;
      }
    }
    if (!this.#stopping.signal.aborted) {
      this.#initialized = true;
      this.#publish();
      await Promise.all(this.#containers.map((container) => container.run()));
    }
    await this.#stopSidecars(sidecars);
  }

  /** Sidecars end after the containers they serve, the last one first. */
  async #stopSidecars(sidecars: readonly { container: Container; run: Promise<void> }[]): Promise<void> {
    for (const { container, run } of sidecars.toReversed()) {
      const grace = Math.min(
        this.#pod.spec.terminationGracePeriodSeconds ?? 30,
        (this.#stopSidecarsBy - Date.now()) / 1000,
      );
      container.stop(Math.max(2, grace));
      await run;
    }
  }

  async #tearDown(): Promise<void> {
    if (this.#address) await this.#runtime.detach(this.#pod, this.#address);
    this.#runtime.tokens.forget(this.#pod);
    rmSync(join(this.#directory, 'volumes'), { recursive: true, force: true });
  }

  #place(): PodPlace {
    const { hostIP, allocatable } = this.#runtime;
    return { podIP: this.#address ?? '', hostIP, allocatable };
  }

  #containerHost(): ContainerHost {
    return {
      podName: this.#pod.metadata.name,
      graceSeconds: this.#pod.spec.terminationGracePeriodSeconds ?? 30,
      logFolder: join(this.#directory, 'logs'),
      backOff: this.#runtime.backOff,
      address: () => this.#address ?? '',
      findImage: (reference) => this.#runtime.findImage(reference),
      describe: (spec, image) =>
        processSpec(this.#pod, spec, image, this.#runtime, {
          directory: this.#directory,
          place: this.#place(),
          network: this.#network,
          volumes: this.#volumes!,
        }),
      launch: (spec) => new ContainerProcess(spec, this.#runtime.root, this.#runtime.commands),
      changed: () => this.#publish(),
      event: (type, reason, message) => this.#runtime.event(this.#pod, type, reason, message),
    };
  }

  #refreshVolumes(): void {
    void this.#volumes
      ?.refresh(this.#pod)
      .then(() => this.#scheduleTokenRefresh())
      .catch((error: unknown) => {
        this.#runtime.event(this.#pod, 'Warning', 'FailedMount', (error as Error).message);
        this.#scheduleRefresh(5000);
      });
  }

  #scheduleTokenRefresh(): void {
    const due = this.#runtime.tokens.dueAt(this.#pod);
    if (due !== undefined) this.#scheduleRefresh(Math.max(1000, due - Date.now() + 100));
  }

  #scheduleRefresh(ms: number): void {
    if (this.#ended) return;
    clearTimeout(this.#refreshTimer);
    // setTimeout can't wait longer than 2^31 - 1 ms.
    this.#refreshTimer = setTimeout(() => this.#refreshVolumes(), Math.min(ms, 2 ** 31 - 1));
  }

  /** Publishes once for all changes of one moment. */
  #publish(): void {
    if (this.#publishing || this.#silent) return;
    this.#publishing = true;
    queueMicrotask(() => {
      this.#publishing = false;
      if (this.#silent) return;
      const status = podStatus(
        this.#pod,
        {
          hostIP: this.#runtime.hostIP,
          podIP: this.#address,
          startTime: this.#startTime,
          initContainers: this.#initContainers.map((container) => container.status),
          containers: this.#containers.map((container) => container.status),
          initialized: this.#initialized || this.#initContainers.length === 0,
          ended: this.#ended,
          written: this.#published,
        },
        now(),
      );
      if (JSON.stringify(status) === JSON.stringify(this.#published)) return;
      this.#published = status;
      this.#hooks.publish(this.#pod, status);
    });
  }
}

function isSidecar(spec: ContainerSpec): boolean {
  return spec.restartPolicy === 'Always';
}

function agrees(seen: PodStatus | undefined, published: PodStatus): boolean {
  const own = (status: PodStatus | undefined): string =>
    JSON.stringify([
      status?.phase,
      published.conditions?.map(
        ({ type }) => status?.conditions?.find((condition) => condition.type === type)?.status,
      ),
    ]);
  return own(seen) === own(published);
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
