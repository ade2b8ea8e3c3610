import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, type ApiClient } from './api-client.ts';
import type { KubeObject } from './resources.ts';

export interface ReflectorHandler<Item extends KubeObject> {
  /** New or changed. */
  onChange(item: Item): void;
  /** Gone; with its last known state. */
  onDelete(item: Item): void;
}

/** Keeps the objects of one collection in step with the API server: list, then watch, resumed after every break. */
export class Reflector<Item extends KubeObject> {
  readonly items: Map<string, Item> = new Map();
  readonly #client: ApiClient;
  readonly #path: string;
  readonly #handler: ReflectorHandler<Item>;
  readonly #ended = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #version = '';

  /** @param path such as `/api/v1/pods` */
  constructor(client: ApiClient, path: string, handler: ReflectorHandler<Item>) {
    this.#client = client;
    this.#path = path;
    this.#handler = handler;
  }

  /** Resolves with the first list. */
  async start(): Promise<void> {
    void this.#run();
    await this.#synced.promise;
  }

  stop(): void {
    this.#ended.abort();
  }

  get(namespace: string, name: string): Item | undefined {
    return this.items.get(`${namespace}/${name}`);
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        if (!this.#version) await this.#list();
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        // 410 Gone: what happened since that version is forgotten, so begin with a list.
        if (error instanceof ApiError && error.status === 410) this.#version = '';
        else await delay(200, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #list(): Promise<void> {
    const list = await this.#client.request<{ metadata: { resourceVersion: string }; items: Item[] }>(
      'GET',
      this.#path,
    );
    const gone = new Map(this.items);
    for (const item of list.items) {
      const key = keyOf(item);
      const known = gone.get(key);
      gone.delete(key);
      if (known && known.metadata.uid !== item.metadata.uid) this.#handler.onDelete(known);
      this.items.set(key, item);
      if (known?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#handler.onChange(item);
    }
    for (const [key, item] of gone) {
      this.items.delete(key);
      this.#handler.onDelete(item);
    }
    this.#version = list.metadata.resourceVersion;
    this.#synced.resolve();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const seconds = 300 + Math.floor(Math.random() * 300);
    const query = `watch=true&allowWatchBookmarks=true&timeoutSeconds=${seconds}&resourceVersion=${this.#version}`;
    for await (const event of this.#client.watch(`${this.#path}?${query}`, signal)) {
      const { type, object } = event as { type: string; object: Item & { code?: number; message?: string } };
      if (type === 'ERROR')
        throw new ApiError(object.code ?? 500, object.message ?? 'the watch ended with an error');
      this.#version = object.metadata.resourceVersion ?? this.#version;
      if (type === 'BOOKMARK') continue;
      if (type === 'DELETED') {
        this.items.delete(keyOf(object));
        this.#handler.onDelete(object);
      } else {
        this.items.set(keyOf(object), object);
        this.#handler.onChange(object);
      }
    }
  }
}

function keyOf(item: KubeObject): string {
  return `${item.metadata.namespace ?? ''}/${item.metadata.name}`;
}
