import { Label, KIND } from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';
import { Reflector } from '../kube/reflector.ts';
import { type Resource, Resources } from '../kube/resource.ts';
import { Store } from '../kube/store.ts';
import { AutoscalerIndex } from './autoscaler-index.ts';
import { trimmerOf } from './trim.ts';

export interface ClusterViewOptions {
  readonly client: KubeClient;
  /** Namespaces to look at; empty for all of them. */
  readonly namespaces: readonly string[];
  readonly random: () => number;
  /** A fleet has to be planned again: `namespace/name`. */
  readonly onFleet: (key: string) => void;
  /** A node changed in a way that every fleet may care for. */
  readonly onNodes: () => void;
  readonly onProblem: (message: string) => void;
}

/** Kinds that belong to a fleet, found by its label. */
const FLEET_KINDS = [
  Resources.deployments,
  Resources.pods,
  Resources.services,
  Resources.serviceAccounts,
  Resources.configMaps,
  Resources.podDisruptionBudgets,
  Resources.horizontalPodAutoscalers,
  Resources.networkPolicies,
  Resources.serviceMonitors,
  Resources.prometheusRules,
  Resources.scaledObjects,
] as const;

/** Kinds that target a fleet, whoever made them: all of a namespace are looked at. */
const AUTOSCALERS: ReadonlySet<Resource> = new Set<Resource>([
  Resources.horizontalPodAutoscalers,
  Resources.scaledObjects,
]);

/** Kinds whose CRD a cluster may lack. */
const OPTIONAL: ReadonlySet<Resource> = new Set<Resource>([
  Resources.serviceMonitors,
  Resources.prometheusRules,
  Resources.scaledObjects,
]);

/** Stores of everything the operator looks at, kept true by reflectors. */
export class ClusterView {
  readonly fleets: Store<KubeObject> = new Store(trimmerOf(Resources.wavryRelays));
  readonly nodes: Store<KubeObject> = new Store(trimmerOf(Resources.nodes));
  readonly #byKind = new Map<string, Store<KubeObject>>();
  readonly #reflectors: Reflector<KubeObject>[] = [];
  readonly #missing = new Set<string>();
  /** Objects by `namespace/name`, by kind and fleet. */
  readonly #byFleet = new Map<string, Map<string, KubeObject>>();
  readonly #autoscalers: AutoscalerIndex;
  readonly #options: ClusterViewOptions;
  #unsynced = 0;
  #ready: (() => void) | undefined;

  constructor(options: ClusterViewOptions) {
    this.#options = options;
    this.#autoscalers = new AutoscalerIndex(options.onFleet);
    this.fleets.onChange((key, fleet, previous) => {
      if (!fleet || !previous || fleetFacts(fleet) !== fleetFacts(previous)) options.onFleet(key);
    });
    this.nodes.onChange((_, node, previous) => {
      if (!node || !previous || nodeFacts(node) !== nodeFacts(previous)) options.onNodes();
    });
    for (const resource of FLEET_KINDS) {
      const store = new Store<KubeObject>(trimmerOf(resource));
      store.onChange((key, object, previous) => {
        if (AUTOSCALERS.has(resource)) this.#autoscalers.changed(resource.kind, key, object, previous);
        this.#index(resource, key, object, previous);
      });
      this.#byKind.set(resource.kind, store);
    }
  }

  /** Kinds that the API server doesn't know, such as ServiceMonitor without the Prometheus Operator. */
  get missingKinds(): ReadonlySet<string> {
    return this.#missing;
  }

  /** Objects of one kind that carry the label of a fleet. */
  ofFleet(fleetKey: string, kind: string): KubeObject[] {
    return [...(this.#byFleet.get(`${kind} ${fleetKey}`)?.values() ?? [])];
  }

  /** Autoscalers that target a fleet, those of others included. */
  autoscalersOf(fleetKey: string): { readonly kind: string; readonly object: KubeObject }[] {
    return this.#autoscalers.of(fleetKey);
  }

  ofKind(kind: string): KubeObject[] {
    return this.#byKind.get(kind)?.list() ?? [];
  }

  /** Takes the answer to a write of our own in, so that the next look sees it. */
  written(object: KubeObject): void {
    if (object.kind === undefined) return;
    const store = object.kind === KIND ? this.fleets : this.#byKind.get(object.kind);
    // Objects without our label are no business of the stores.
    if (store === this.fleets || object.metadata.labels?.[Label.fleet] !== undefined) store?.written(object);
  }

  removed(
    kind: string,
    object: { readonly metadata: Pick<KubeObject['metadata'], 'name' | 'namespace' | 'uid'> },
  ): void {
    this.#byKind.get(kind)?.remove(object);
  }

  /** An object that carries the label of a fleet. */
  find(kind: string, namespace: string, name: string): KubeObject | undefined {
    const object = this.#byKind.get(kind)?.get(namespace, name);
    return object?.metadata.labels?.[Label.fleet] === undefined ? undefined : object;
  }

  /** Starts watching; resolves when every store holds its first list. */
  async start(): Promise<void> {
    const scopes = this.#options.namespaces.length === 0 ? [undefined] : this.#options.namespaces;
    for (const namespace of scopes) {
      this.#watch(Resources.wavryRelays, this.fleets, namespace, undefined);
      for (const resource of FLEET_KINDS) {
        const label = AUTOSCALERS.has(resource) ? undefined : Label.fleet;
        this.#watch(resource, this.#byKind.get(resource.kind)!, namespace, label);
      }
    }
    this.#watch(Resources.nodes, this.nodes, undefined, undefined);
    if (this.#unsynced > 0) await new Promise<void>((resolve) => (this.#ready = resolve));
  }

  async stop(): Promise<void> {
    this.#ready?.();
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
  }

  #watch(
    resource: Resource,
    store: Store<KubeObject>,
    namespace: string | undefined,
    labelSelector: string | undefined,
  ): void {
    const optional = OPTIONAL.has(resource);
    let waiting = true;
    const arrived = (): void => {
      if (!waiting) return;
      waiting = false;
      this.#unsynced -= 1;
      if (this.#unsynced === 0) this.#ready?.();
    };
    this.#unsynced += 1;
    const reflector = new Reflector<KubeObject>({
      client: this.#options.client,
      resource,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      store,
      random: this.#options.random,
      onSynced: () => {
        if (this.#missing.delete(resource.kind)) this.#everyFleet();
        arrived();
      },
      onProblem: ({ message, missing }) => {
        if (!optional || !missing) {
          const hint =
            missing && resource === Resources.wavryRelays
              ? ': install the CustomResourceDefinition (crds/, or the chart with crd.install=true)'
              : '';
          this.#options.onProblem(`${message}${hint}`);
          return;
        }
        if (!this.#missing.has(resource.kind)) {
          store.replace([]);
          this.#missing.add(resource.kind);
          this.#everyFleet();
        }
        arrived();
      },
    });
    this.#reflectors.push(reflector);
    reflector.start();
  }

  #everyFleet(): void {
    for (const fleet of this.fleets.list()) {
      this.#options.onFleet(`${fleet.metadata.namespace}/${fleet.metadata.name}`);
    }
  }

  #index(
    resource: Resource,
    key: string,
    object: KubeObject | undefined,
    previous: KubeObject | undefined,
  ): void {
    for (const side of [previous, object]) {
      const fleet = side?.metadata.labels?.[Label.fleet];
      if (!side || fleet === undefined) continue;
      const fleetKey = `${side.metadata.namespace}/${fleet}`;
      const place = `${resource.kind} ${fleetKey}`;
      const objects = this.#byFleet.get(place) ?? new Map<string, KubeObject>();
      if (side === object) objects.set(key, side);
      else objects.delete(key);
      if (objects.size === 0) this.#byFleet.delete(place);
      else this.#byFleet.set(place, objects);
      // What of an autoscaler matters is told by its own index.
      if (!AUTOSCALERS.has(resource) || !object || !previous) this.#options.onFleet(fleetKey);
    }
  }
}

/** Whether it is the pod of that relay's Deployment, by way of a ReplicaSet: anybody can write our labels on a pod. */
export function isRelayPod(pod: KubeObject): boolean {
  const relay = pod.metadata.labels?.[Label.relay];
  const owner = (pod.metadata.ownerReferences ?? []).find((reference) => reference.controller === true);
  return (
    relay !== undefined &&
    owner?.kind === 'ReplicaSet' &&
    owner.apiVersion === 'apps/v1' &&
    owner.name.startsWith(`${relay}-`)
  );
}

/** What of a WavryRelay is anything new. Its status isn't: we write that ourselves, and what others make of it can wait. */
function fleetFacts({ metadata: { uid, generation, deletionTimestamp } }: KubeObject): string {
  return JSON.stringify([uid, generation, deletionTimestamp]);
}

/** What of a node matters to a fleet; heartbeats don't. */
function nodeFacts(node: KubeObject): string {
  const status = node['status'] as
    | { addresses?: unknown; conditions?: { type: string; status: string }[] }
    | undefined;
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready')?.status;
  const spec = node['spec'] as { unschedulable?: unknown; taints?: unknown } | undefined;
  return JSON.stringify([status?.addresses, ready, node.metadata.labels, spec?.unschedulable, spec?.taints]);
}
