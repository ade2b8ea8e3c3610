import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeClient } from './client.ts';
import { isStatus } from './kube-error.ts';
import type { KubeObject } from './object.ts';
import { Resources } from './resource.ts';

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  /** client-go's defaults are 15 s, 10 s and 2 s. */
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  /** Monotonic milliseconds: another's lease is judged by how long it was seen unchanged, never by its clock. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  readonly random: () => number;
  readonly onStarted: () => void;
  /** Must stop all writing before it returns. */
  readonly onStopped: () => void;
  readonly onProblem: (message: string) => void;
}

interface LeaseObject extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** One leader at a time, by a coordination.k8s.io Lease, as client-go's leaderelection. */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #stop = new AbortController();
  #observed = '';
  #observedAtMs = 0;
  #leading = false;
  #running: Promise<void> | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  get leading(): boolean {
    return this.#leading;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Gives the lease up, so that the next leader needn't wait for it to expire. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    if (!this.#leading) return;
    this.#lose();
    await this.#release().catch((error: unknown) =>
      this.#options.onProblem(`releasing the lease: ${text(error)}`),
    );
  }

  async #run(): Promise<void> {
    const { retryPeriodMs, renewDeadlineMs, random, nowMs } = this.#options;
    let renewedMs = 0;
    while (!this.#stop.signal.aborted) {
      const startedMs = nowMs();
      const held = await this.#tryAcquireOrRenew(renewDeadlineMs);
      if (held) {
        // Counted from before the call: the server's clock started then at the latest.
        renewedMs = startedMs;
        if (!this.#leading) {
          this.#leading = true;
          this.#options.onStarted();
        }
      } else if (this.#leading && nowMs() - renewedMs >= renewDeadlineMs) {
        this.#lose();
      }
      const pause = this.#leading ? retryPeriodMs : retryPeriodMs * (1 + 1.2 * random());
      await sleep(pause, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  #lose(): void {
    this.#leading = false;
    this.#options.onStopped();
  }

  async #tryAcquireOrRenew(timeoutMs: number): Promise<boolean> {
    const { client, namespace, name, identity, leaseDurationMs, nowMs, wallMs } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]);
    const now = microTime(wallMs());
    try {
      const lease = await client
        .get<LeaseObject>(Resources.leases, namespace, name, { signal })
        .catch((error: unknown) => {
          if (isStatus(error, 404)) return undefined;
          throw error;
        });
      const seconds = Math.max(1, Math.ceil(leaseDurationMs / 1000));
      const mine = {
        holderIdentity: identity,
        leaseDurationSeconds: seconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 0,
      };
      if (!lease) {
        await client.create(
          Resources.leases,
          namespace,
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec: mine },
          { signal },
        );
        return true;
      }

      const spec = lease.spec ?? {};
      const seen = JSON.stringify(spec);
      if (seen !== this.#observed) {
        this.#observed = seen;
        this.#observedAtMs = nowMs();
      }
      const own = spec.holderIdentity === identity;
      const free = spec.holderIdentity === undefined || spec.holderIdentity === '';
      const othersMs = (spec.leaseDurationSeconds ?? seconds) * 1000;
      if (!own && !free && nowMs() < this.#observedAtMs + othersMs) return this.#heldByAnother();

      const next = {
        ...mine,
        ...(own && spec.acquireTime !== undefined ? { acquireTime: spec.acquireTime } : {}),
        leaseTransitions: (spec.leaseTransitions ?? 0) + (own ? 0 : 1),
      };
      const { resourceVersion } = lease.metadata;
      await client.call('PUT', `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`, {
        signal,
        // The resourceVersion makes this a compare-and-swap: whoever comes second gets a conflict.
        body: {
          apiVersion: 'coordination.k8s.io/v1',
          kind: 'Lease',
          metadata: { name, namespace, resourceVersion },
          spec: next,
        },
      });
      this.#observed = JSON.stringify(next);
      this.#observedAtMs = nowMs();
      return true;
    } catch (error) {
      if (!this.#stop.signal.aborted && !isStatus(error, 409)) {
        this.#options.onProblem(`leader election: ${text(error)}`);
      }
      return false;
    }
  }

  /** Someone took the lease while this process was stopped or cut off: there is nothing left to wait for. */
  #heldByAnother(): boolean {
    if (this.#leading) this.#lose();
    return false;
  }

  async #release(): Promise<void> {
    const { client, namespace, name, identity, wallMs } = this.#options;
    const lease = await client.get<LeaseObject>(Resources.leases, namespace, name);
    if (lease.spec?.holderIdentity !== identity) return;
    const now = microTime(wallMs());
    await client.call('PUT', `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`, {
      body: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace, resourceVersion: lease.metadata.resourceVersion },
        spec: {
          holderIdentity: '',
          leaseDurationSeconds: 1,
          acquireTime: now,
          renewTime: now,
          leaseTransitions: lease.spec.leaseTransitions ?? 0,
        },
      },
    });
  }
}

/** metav1.MicroTime. */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
