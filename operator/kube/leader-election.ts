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

const LEASE_TOLERANCE_MS = 20_000;
/** Least time for one try to renew, whatever the renew deadline. */
const LEAST_TRY_MS = 1000;
/** Giving the lease up is a courtesy: without it the next leader waits for the lease to expire. */
const RELEASE_MS = 10_000;

interface LeaseObject extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/**
 * One leader at a time, by a coordination.k8s.io Lease, as client-go's leaderelection: whoever loses the lease is done for
 * good, and its process ends.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #stop = new AbortController();
  #observed = '';
  #observedAtMs = 0;
  #leading = false;
  /** Monotonic time before the call that last got or renewed the lease. */
  #renewedMs = 0;
  #running: Promise<void> | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
  }

  /**
   * Judged by the clock at each question, not by a timer: a process that was stopped and goes on, or whose loop was
   * blocked, knows at once that its lease may be another's.
   */
  get leading(): boolean {
    return this.#leading && this.#options.nowMs() - this.#renewedMs < this.#options.renewDeadlineMs;
  }

  /** Why this process should be restarted: it believes to lead long after its lease ran out. client-go's HealthzAdaptor. */
  get problem(): string | undefined {
    const { nowMs, leaseDurationMs } = this.#options;
    const overMs = nowMs() - this.#renewedMs - leaseDurationMs;
    return this.#leading && overMs > LEASE_TOLERANCE_MS
      ? `the lease was to be renewed ${Math.round(overMs / 1000)} s ago and this process hasn't stopped`
      : undefined;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Gives the lease up, so that the next leader needn't wait for it to expire. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const held = this.leading;
    if (this.#leading) this.#lose();
    if (!held) return;
    const signal = AbortSignal.timeout(RELEASE_MS);
    const release = (): Promise<void> => this.#release(signal);
    // The renewal that was just broken off may have been carried out all the same.
    const again = (error: unknown): Promise<void> => {
      if (!isStatus(error, 409)) throw error;
      return release();
    };
    await release()
      .catch(again)
      .catch((error: unknown) => this.#options.onProblem(`releasing the lease: ${text(error)}`));
  }

  async #run(): Promise<void> {
    const { retryPeriodMs, renewDeadlineMs, random, nowMs } = this.#options;
    while (!this.#stop.signal.aborted) {
      const startedMs = nowMs();
      const leftMs = this.#leading ? this.#renewedMs + renewDeadlineMs - startedMs : renewDeadlineMs;
      // One that was stopped for too long must not renew as if nothing had been: it has told nobody that it doesn't lead.
      // client-go's resourcelock: one request that hangs must leave time for another. Who has no lease can lose none, and
      // takes the time that a busy API server needs.
      const tryMs = this.#leading
        ? Math.min(leftMs, Math.max(LEAST_TRY_MS, renewDeadlineMs / 2))
        : renewDeadlineMs;
      const held = leftMs > 0 && (await this.#tryAcquireOrRenew(tryMs));
      if (held) {
        // Counted from before the call: the others see the lease renewed later than that.
        this.#renewedMs = startedMs;
        if (!this.#leading) {
          this.#leading = true;
          this.#options.onStarted();
        }
      } else if (this.#leading && nowMs() - this.#renewedMs >= renewDeadlineMs) {
        this.#lose();
        return;
      }
      // client-go's JitterFactor.
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
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
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
    if (this.#leading) {
      this.#stop.abort();
      this.#lose();
    }
    return false;
  }

  async #release(signal: AbortSignal): Promise<void> {
    const { client, namespace, name, identity, wallMs } = this.#options;
    const lease = await client.get<LeaseObject>(Resources.leases, namespace, name, { signal });
    if (lease.spec?.holderIdentity !== identity) return;
    const now = microTime(wallMs());
    await client.call('PUT', `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`, {
      signal,
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
