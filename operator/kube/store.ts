import { keyOf, type KubeObject } from './object.ts';

export type StoreListener<T> = (key: string, object: T | undefined, previous: T | undefined) => void;

/** Deletions that are remembered, so that a late answer to a write doesn't bring the object back. */
const MOST_TOMBSTONES = 1000;

/**
 * What a reflector last saw of one kind, by `namespace/name`, and what this process itself wrote since: whoever plans from
 * it sees the own writes at once, not when the watch brings them.
 */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #listeners: StoreListener<T>[] = [];
  readonly #tombstones = new Set<string>();
  readonly #transform: (object: T) => T;
  #synced = false;

  /** @param transform what of each object is kept; must leave name, namespace, UID and resourceVersion */
  constructor(transform: (object: T) => T = (object) => object) {
    this.#transform = transform;
  }

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

  /** What the API server says that an object is. News that is older than what is known is none. */
  put(object: T): void {
    const previous = this.#objects.get(keyOf(object));
    if (!previous || isNewer(object, previous)) this.#set(object);
  }

  /** The answer to a write of our own. */
  written(object: T): void {
    if (!this.#tombstones.has(object.metadata.uid)) this.put(object);
  }

  remove(object: { readonly metadata: Pick<T['metadata'], 'name' | 'namespace' | 'uid'> }): void {
    this.#tombstones.add(object.metadata.uid);
    if (this.#tombstones.size > MOST_TOMBSTONES) {
      this.#tombstones.delete(this.#tombstones.values().next().value!);
    }
    const key = keyOf(object as T);
    const previous = this.#objects.get(key);
    // A namesake made since then stays.
    if (!previous || previous.metadata.uid !== object.metadata.uid) return;
    this.#objects.delete(key);
    this.#tell(key, undefined, previous);
  }

  /**
   * The result of a list: what isn't in it was deleted while nobody watched. Older versions count too, as after etcd was
   * restored from a backup; a write that the list just missed comes with the watch. With a namespace it is that
   * namespace's list, and says nothing of the others.
   */
  replace(objects: readonly T[], namespace?: string): void {
    const present = new Set(objects.map(keyOf));
    const gone = [...this.#objects].filter(
      ([key, object]) =>
        !present.has(key) && (namespace === undefined || object.metadata.namespace === namespace),
    );
    for (const [, object] of gone) this.remove(object);
    for (const object of objects) this.#set(object);
    this.#synced = true;
  }

  #set(given: T): void {
    const object = this.#transform(given);
    // It is there after all, created while the list that missed it was under way: own writes to it count again.
    this.#tombstones.delete(object.metadata.uid);
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    const same =
      previous?.metadata.uid === object.metadata.uid &&
      previous.metadata.resourceVersion === object.metadata.resourceVersion;
    if (!same) this.#tell(key, object, previous);
  }

  #tell(key: string, object: T | undefined, previous: T | undefined): void {
    for (const listener of this.#listeners) listener(key, object, previous);
  }
}

/**
 * Resource versions of one kind are comparable (KEP-5504); where they are no numbers, whatever came last counts.
 * Another UID is another object: the last that came is there now.
 */
function isNewer(object: KubeObject, previous: KubeObject): boolean {
  if (object.metadata.uid !== previous.metadata.uid) return true;
  const [now, before] = [object.metadata.resourceVersion, previous.metadata.resourceVersion];
  if (now === before) return false;
  return /^\d+$/.test(now) && /^\d+$/.test(before) ? BigInt(now) > BigInt(before) : true;
}
