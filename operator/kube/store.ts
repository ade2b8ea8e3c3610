import { keyOf, type KubeObject } from './object.ts';

export type StoreListener<T> = (key: string, object: T | undefined, previous: T | undefined) => void;

/** What a reflector last saw of one kind, by `namespace/name`. */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #listeners: StoreListener<T>[] = [];
  #synced = false;

  /** True once the first list was complete. */
  get synced(): boolean {
    return this.#synced;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(namespace === undefined ? name : `${namespace}/${name}`);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** Called after each change, never in the middle of a list. */
  onChange(listener: StoreListener<T>): void {
    this.#listeners.push(listener);
  }

  put(object: T): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (previous?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#objects.set(key, object);
    this.#tell(key, object, previous);
  }

  remove(object: T): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (!previous) return;
    this.#objects.delete(key);
    this.#tell(key, undefined, previous);
  }

  /** The result of a list: what isn't in it was deleted while nobody watched. */
  replace(objects: readonly T[]): void {
    const present = new Set(objects.map(keyOf));
    const gone = [...this.#objects].filter(([key]) => !present.has(key));
    for (const [, object] of gone) this.remove(object);
    for (const object of objects) this.put(object);
    this.#synced = true;
  }

  #tell(key: string, object: T | undefined, previous: T | undefined): void {
    for (const listener of this.#listeners) listener(key, object, previous);
  }
}
