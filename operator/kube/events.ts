import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeClient } from './client.ts';
import { isNamespaceTerminating, isStatus, KubeError } from './kube-error.ts';
import { Resources } from './resource.ts';

export interface EventSubject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly component: string;
  readonly instance: string;
  readonly wallMs: () => number;
  readonly onProblem: (message: string) => void;
  /** Between two tries while the API server gives no answer; 10 s when absent, as in client-go. */
  readonly retryMs?: number;
}

/**
 * Events of one object and reason at once, and how often a further one. Warnings as in client-go's EventCorrelator, which
 * counts all reasons together: here what repeats itself must not hide the rest. Every step of a rollout of a large fleet
 * is an event of that fleet.
 */
const LIMITS = {
  Normal: { burst: 200, refillMs: 10_000 },
  Warning: { burst: 25, refillMs: 300_000 },
} as const;
/** Objects whose events are remembered, for counting repetitions. */
const MOST_REMEMBERED = 4096;
/** client-go's EventBroadcaster: so often while the API server gives no answer, and so many may wait meanwhile. */
const MOST_TRIES = 12;
const MOST_WAITING = 1000;

interface Remembered {
  readonly name: string;
  count: number;
}

/** Writes core/v1 events; a repetition raises the count of the first one instead of making another. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #remembered = new Map<string, Remembered>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  readonly #stop = new AbortController();
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Never throws and never waits: an event that can't be written is told to onProblem. */
  record(subject: EventSubject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#waiting >= MOST_WAITING) return;
    if (!this.#mayWrite(`${subject.namespace}/${subject.uid}/${reason}`, type)) return;
    this.#waiting += 1;
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#persist(subject, type, reason, message.slice(0, 1024));
      } catch (error) {
        if (error instanceof KubeError && error.reason === 'NotLeading') return;
        if (isNamespaceTerminating(error)) return;
        this.#options.onProblem(
          `event ${reason} of ${subject.kind} ${subject.namespace}/${subject.name}: ${error instanceof Error ? error.message : String(error)}`,
        );
      } finally {
        this.#waiting -= 1;
      }
    });
  }

  /** Resolves when everything recorded so far was written or given up; nothing is tried again any more. */
  stop(): Promise<void> {
    this.#stop.abort();
    return this.#queue;
  }

  async #persist(subject: EventSubject, type: string, reason: string, message: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#write(subject, type, reason, message);
      } catch (error) {
        const passing = error instanceof KubeError && (error.status === 0 || error.status >= 500);
        const given = error instanceof KubeError && error.reason === 'NotLeading';
        if (!passing || given || tries >= MOST_TRIES || this.#stop.signal.aborted) throw error;
        await sleep(this.#options.retryMs ?? 10_000, undefined, { signal: this.#stop.signal }).catch(
          () => undefined,
        );
      }
    }
  }

  async #write(subject: EventSubject, type: string, reason: string, message: string): Promise<void> {
    const { client, component, instance, wallMs } = this.#options;
    const now = new Date(wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const key = createHash('sha256')
      .update(JSON.stringify([subject, type, reason, message]))
      .digest('hex');
    const known = this.#remembered.get(key);
    if (known) {
      const patched = await client
        .patch(
          Resources.events,
          subject.namespace,
          known.name,
          { count: known.count + 1, lastTimestamp: now },
          { fieldManager: component },
        )
        .then(() => true)
        .catch((error: unknown) => {
          // The API server forgets events after an hour.
          if (isStatus(error, 404)) return false;
          throw error;
        });
      if (patched) {
        known.count += 1;
        return;
      }
    }

    const name = `${subject.name}.${key.slice(0, 8)}${Math.trunc(wallMs()).toString(16)}`;
    await client.create(Resources.events, subject.namespace, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: subject.namespace },
      involvedObject: subject,
      type,
      reason,
      message,
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    });
    if (this.#remembered.size >= MOST_REMEMBERED) {
      this.#remembered.delete(this.#remembered.keys().next().value!);
    }
    this.#remembered.set(key, { name, count: 1 });
  }

  #mayWrite(key: string, type: 'Normal' | 'Warning'): boolean {
    const { burst, refillMs } = LIMITS[type];
    const now = this.#options.wallMs();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: now };
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - bucket.atMs) / refillMs);
    bucket.atMs = now;
    if (this.#buckets.size >= MOST_REMEMBERED && !this.#buckets.has(key)) {
      this.#buckets.delete(this.#buckets.keys().next().value!);
    }
    this.#buckets.set(key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
