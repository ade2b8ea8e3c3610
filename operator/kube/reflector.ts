import { setTimeout as sleep } from 'node:timers/promises';

import { Backoff } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { isStatus, KubeError } from './kube-error.ts';
import type { KubeObject } from './object.ts';
import { type Resource, resourcePath } from './resource.ts';
import type { Store } from './store.ts';

const PAGE = 500;
/**
 * The API server sends a bookmark about once a minute, but none for a kind that hasn't changed since it started: silence
 * for longer is a dead connection, or just silence, and the watch goes on over another one either way.
 */
const IDLE_MS = 90_000;
/** A watch that ends sooner and without an event comes from something that closes each one. */
const VERY_SHORT_MS = 1000;

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource;
  /** One namespace, or all of them. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly store: Store<T>;
  readonly random: () => number;
  /** Told of every failure that is not routine; `missing` means that the API server doesn't know this kind. */
  readonly onProblem: (problem: { readonly message: string; readonly missing: boolean }) => void;
  readonly onSynced?: () => void;
  /** Longest silence of a watch; 90 s when absent. */
  readonly idleMs?: number;
  /** Longest life of a watch, from here to twice as long; 300 s when absent. */
  readonly watchSeconds?: number;
}

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/**
 * Keeps a store equal to what the API server has of one kind: list, then watch from the list's resourceVersion,
 * resuming from the last one seen. As client-go's Reflector (tools/cache/reflector.go): a version that is too old (410),
 * and whatever else can't be resumed from, an ERROR event among it, means a new list; every further try waits 0.8 s to 30 s,
 * doubling, and at first again after two minutes without a failure.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #resourceVersion = '';
  #running: Promise<void> | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff({
      firstMs: 800,
      mostMs: 30_000,
      jitter: 1,
      random: options.random,
      nowMs: () => performance.now(),
      // A kind that never changes sends no event that would tell of better times.
      resetAfterMs: 120_000,
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (this.#resourceVersion === '') {
          await this.#list();
          this.#options.onSynced?.();
        }
        await this.#watch();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!(error instanceof KubeError && error.reason === 'Idle')) await this.#afterFailure(error);
      }
    }
  }

  async #list(): Promise<void> {
    const objects: T[] = [];
    let page: string | undefined;
    let version = '';
    do {
      let list: List<T>;
      try {
        list = await this.#page({ limit: PAGE, continue: page });
      } catch (error) {
        if (page === undefined || !isExpired(error)) throw error;
        // The pages grew too old while they were read: as client-go's pager, everything in one answer.
        objects.length = 0;
        list = await this.#page({});
      }
      // Items of a list don't say what they are; those of a watch do.
      objects.push(...list.items.map((item) => ({ ...item, ...typeOf(this.#options.resource) })));
      version = list.metadata.resourceVersion;
      page = list.metadata.continue === '' ? undefined : list.metadata.continue;
    } while (page !== undefined);
    this.#options.store.replace(objects, this.#options.namespace);
    this.#resourceVersion = version;
  }

  #page(query: Readonly<Record<string, string | number | undefined>>): Promise<List<T>> {
    const { client, resource, namespace, labelSelector, fieldSelector } = this.#options;
    return client.call('GET', resourcePath(resource, namespace), {
      query: { ...query, labelSelector, fieldSelector },
      signal: this.#stop.signal,
    });
  }

  async #watch(): Promise<void> {
    const { client, resource, namespace, labelSelector, fieldSelector, random, idleMs, watchSeconds } =
      this.#options;
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: this.#resourceVersion,
      // 5 to 10 minutes, so that the watches of a fleet don't end together.
      timeoutSeconds: Math.floor((watchSeconds ?? 300) * (1 + random())),
      labelSelector,
      fieldSelector,
    };
    const lines = client.stream(
      resourcePath(resource, namespace),
      { query, signal: this.#stop.signal },
      idleMs ?? IDLE_MS,
    );
    const startedMs = performance.now();
    let events = 0;
    for await (const line of lines) {
      this.#take(JSON.parse(line) as WatchEvent<T>);
      this.#backoff.reset();
      events += 1;
    }
    // A proxy that closes each watch at once must not be asked in a tight loop.
    if (events === 0 && performance.now() - startedMs < VERY_SHORT_MS) {
      throw new KubeError(0, 'VeryShortWatch', 'the watch ended at once and without a single event');
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') {
      const status = event.object as unknown as { code?: number; reason?: string; message?: string };
      // What it can't send from here on, an object that it can't decode say, it can't send the next time either.
      if (status.code !== 429) this.#resourceVersion = '';
      throw new KubeError(
        status.code ?? 500,
        status.reason ?? 'WatchError',
        status.message ?? 'the watch failed',
      );
    }
    if (event.type === 'DELETED') this.#options.store.remove(event.object);
    else if (event.type !== 'BOOKMARK') this.#options.store.put(event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion;
  }

  async #afterFailure(error: unknown): Promise<void> {
    const expired = isExpired(error);
    if (expired || !isPassing(error)) this.#resourceVersion = '';
    if (!expired) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.onProblem({
        message: `watching ${this.#options.resource.plural}: ${message}`,
        missing: isStatus(error, 404),
      });
    }
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
    await sleep(Math.max(asked, this.#backoff.next()), undefined, { signal: this.#stop.signal }).catch(
      () => undefined,
    );
  }
}

function typeOf({ group, version, kind }: Resource): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind };
}

interface List<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

function isExpired(error: unknown): boolean {
  return isStatus(error, 410) || (error instanceof KubeError && error.reason === 'Expired');
}

/** Failures after which a watch goes on from where it was. After all others (an unknown version, say) only a list helps. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return error.status === 0 || error.status === 429 || (error.status >= 500 && error.status !== 504);
}
