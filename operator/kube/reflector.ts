import { setTimeout as sleep } from 'node:timers/promises';

import { Backoff } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { isStatus, KubeError } from './kube-error.ts';
import type { KubeObject } from './object.ts';
import { type Resource, resourcePath } from './resource.ts';
import type { Store } from './store.ts';

const PAGE = 500;
/** The API server sends a bookmark about once a minute: silence for longer is a dead connection. */
const IDLE_MS = 90_000;

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource;
  /** One namespace, or all of them. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly store: Store<T>;
  readonly random: () => number;
  /** Told of every failure that is not routine; `missing` means that the API server doesn't know this kind. */
  readonly onProblem: (problem: { readonly message: string; readonly missing: boolean }) => void;
  readonly onSynced?: () => void;
}

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/**
 * Keeps a store equal to what the API server has of one kind: list, then watch from the list's resourceVersion,
 * resuming from the last one seen; a version that is too old (410) means a new list. As client-go's Reflector.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #resourceVersion = '';
  #running: Promise<void> | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 800, mostMs: 30_000, jitter: 1, random: options.random });
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
        await this.#afterFailure(error);
      }
    }
  }

  async #list(): Promise<void> {
    const { client, resource, namespace, labelSelector, store } = this.#options;
    const objects: T[] = [];
    let page: string | undefined;
    let version = '';
    do {
      const list: { metadata: { resourceVersion: string; continue?: string }; items: T[] } =
        await client.call('GET', resourcePath(resource, namespace), {
          query: { limit: PAGE, continue: page, labelSelector },
          signal: this.#stop.signal,
        });
      objects.push(...list.items);
      version = list.metadata.resourceVersion;
      page = list.metadata.continue === '' ? undefined : list.metadata.continue;
    } while (page !== undefined);
    store.replace(objects);
    this.#resourceVersion = version;
    this.#backoff.reset();
  }

  async #watch(): Promise<void> {
    const { client, resource, namespace, labelSelector, random } = this.#options;
    const query = {
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: this.#resourceVersion,
      // 5 to 10 minutes, so that the watches of a fleet don't end together.
      timeoutSeconds: Math.floor(300 * (1 + random())),
      labelSelector,
    };
    const lines = client.stream(
      resourcePath(resource, namespace),
      { query, signal: this.#stop.signal },
      IDLE_MS,
    );
    let events = 0;
    for await (const line of lines) {
      this.#take(JSON.parse(line) as WatchEvent<T>);
      this.#backoff.reset();
      events += 1;
    }
    // A proxy that closes each watch at once must not be asked in a tight loop.
    if (events === 0) throw new KubeError(0, 'VeryShortWatch', 'the watch ended without a single event');
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') {
      const status = event.object as unknown as { code?: number; reason?: string; message?: string };
      throw new KubeError(
        status.code ?? 0,
        status.reason ?? 'WatchError',
        status.message ?? 'the watch failed',
      );
    }
    if (event.type === 'DELETED') this.#options.store.remove(event.object);
    else if (event.type !== 'BOOKMARK') this.#options.store.put(event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion;
  }

  async #afterFailure(error: unknown): Promise<void> {
    if (isStatus(error, 410) || (error instanceof KubeError && error.reason === 'Expired')) {
      this.#resourceVersion = '';
      return;
    }
    const missing = isStatus(error, 404);
    if (missing || isStatus(error, 403)) this.#resourceVersion = '';
    const asked = error instanceof KubeError ? error.retryAfterMs : undefined;
    const message = error instanceof Error ? error.message : String(error);
    this.#options.onProblem({ message: `watching ${this.#options.resource.plural}: ${message}`, missing });
    const wait = Math.max(asked ?? 0, this.#backoff.next());
    await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}
