import type { KubeObject } from '../kube/object.ts';
import { targetedFleet } from './observe-autoscaler.ts';

/** Autoscalers by the fleet that they target: those of others carry no label of ours. */
export class AutoscalerIndex {
  readonly #byFleet = new Map<string, Map<string, { readonly kind: string; readonly object: KubeObject }>>();
  readonly #onFleet: (fleetKey: string) => void;

  constructor(onFleet: (fleetKey: string) => void) {
    this.#onFleet = onFleet;
  }

  /** Those of one fleet, `namespace/name`. */
  of(fleetKey: string): { readonly kind: string; readonly object: KubeObject }[] {
    return [...(this.#byFleet.get(fleetKey)?.values() ?? [])];
  }

  /** Takes a change of a store in; `key` is the object's in that store. */
  changed(kind: string, key: string, object: KubeObject | undefined, previous: KubeObject | undefined): void {
    const before = previous && targetedFleet(previous);
    const now = object && targetedFleet(object);
    const entry = `${kind} ${key}`;
    if (before !== undefined && before !== now) {
      const left = this.#byFleet.get(before);
      left?.delete(entry);
      if (left?.size === 0) this.#byFleet.delete(before);
      this.#onFleet(before);
    }
    if (object && now !== undefined) {
      const there = this.#byFleet.get(now) ?? new Map<string, { kind: string; object: KubeObject }>();
      this.#byFleet.set(now, there.set(entry, { kind, object }));
      if (!previous || facts(previous) !== facts(object)) this.#onFleet(now);
    }
  }
}

/** What of an autoscaler matters to a fleet; its metrics change at every look of its own. */
function facts(object: KubeObject): string {
  const status = object['status'] as { conditions?: unknown } | undefined;
  return JSON.stringify([
    object.metadata.ownerReferences,
    object.metadata.generation,
    object['spec'],
    status?.conditions,
  ]);
}
