import type { WavryRelaySpec } from '../api/spec.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';
import type { MetricsApi } from '../plan/metrics-api.ts';
import type {
  Failure,
  MasterEntry,
  ObservedFleet,
  ObservedNode,
  ObservedObject,
  ObservedRelay,
  ObservedService,
  Poll,
  Taint,
  World,
} from '../plan/world.ts';
import type { FleetDefaults } from '../specs/fleet.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { observeAutoscaler } from './observe-autoscaler.ts';
import { hostPorts, type PlannedPorts } from './host-ports.ts';
import { observePod } from './observe-pod.ts';
import { observeRelay } from './observe-relay.ts';
import { isControlledBy, isEarlier, ownerText } from './ownership.ts';

/** What is known beside the stores. */
export interface Surroundings {
  readonly nowMs: number;
  readonly fieldManager: string;
  readonly polls: ReadonlyMap<string, Poll>;
  readonly pollsComplete: boolean;
  readonly metricsApi: MetricsApi;
  readonly master: ReadonlyMap<string, MasterEntry> | undefined;
  /** Addresses of a load balancer's host name; empty while it doesn't resolve. */
  readonly resolve: (hostname: string) => readonly string[];
  readonly foreign: ReadonlyMap<string, ObservedObject>;
  readonly failures: ReadonlyMap<string, Failure>;
  readonly unknownFields: readonly string[];
  readonly referenceProblems: readonly string[];
  readonly mayRollOut: boolean;
  readonly plannedPorts: PlannedPorts;
}

/** The world of one fleet, out of the stores alone: nothing is fetched here. */
export function observe(view: ClusterView, fleet: ObservedFleet, around: Surroundings): World {
  const key = `${fleet.namespace}/${fleet.name}`;
  const pods = view.ofFleet(key, 'Pod').filter(isRelayPod).map(observePod);
  return {
    nowMs: around.nowMs,
    fleet,
    relays: relaysOf(view, key, fleet.uid, around.fieldManager),
    pods,
    nodes: new Map(
      view.nodes
        .list()
        .map((node) => [node.metadata.name, remembered(seenNodes, node, () => observeNode(node))]),
    ),
    polls: around.polls,
    pollsComplete: around.pollsComplete,
    metricsApi: around.metricsApi,
    endpointServices: endpointServices(view.ofFleet(key, 'Service'), around.resolve),
    // Only where relays are to be made that take one: the pods and Deployments of all fleets are gone through.
    get hostPorts() {
      return hostPorts(view, key, around.plannedPorts);
    },
    master: around.master,
    owned: new Map([...ownership(view, key, fleet.uid), ...around.foreign]),
    unknownKinds: view.missingKinds,
    failures: around.failures,
    unknownFields: around.unknownFields,
    referenceProblems: around.referenceProblems,
    autoscalers: view
      .autoscalersOf(key)
      .map(({ kind, object }) => observeAutoscaler(object, kind, fleet.uid)),
    mayRollOut: around.mayRollOut,
  };
}

/** The relays of a fleet, as `observe` sees them. */
export function observeRelays(
  view: ClusterView,
  { metadata }: KubeObject,
  fieldManager: string,
): ObservedRelay[] {
  return relaysOf(view, `${metadata.namespace}/${metadata.name}`, metadata.uid, fieldManager);
}

function relaysOf(view: ClusterView, key: string, uid: string, fieldManager: string): ObservedRelay[] {
  return view
    .ofFleet(key, 'Deployment')
    .filter((entry) => isControlledBy(entry, uid))
    .map((entry) => remembered(seenRelays, entry, () => observeRelay(entry, fieldManager)));
}

/** Stores hand out the same object until it changes: what it says needn't be worked out at each look. */
const seenRelays = new WeakMap<KubeObject, ObservedRelay>();
const seenNodes = new WeakMap<KubeObject, ObservedNode>();

function remembered<T>(seen: WeakMap<KubeObject, T>, object: KubeObject, work: () => T): T {
  const known = seen.get(object) ?? work();
  seen.set(object, known);
  return known;
}

/** @param spec as `readSpec` understood it */
export function observeFleet(
  object: KubeObject,
  spec: WavryRelaySpec,
  defaults: FleetDefaults,
): ObservedFleet {
  const { metadata } = object;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    uid: metadata.uid,
    spec,
    ...defaults,
    generation: metadata.generation ?? 0,
    createdMs: Date.parse(metadata.creationTimestamp),
    status: object['status'] as WavryRelayStatus | undefined,
  };
}

/** What the node lifecycle controller turns `kubectl cordon` into, a moment later. */
const CORDONED: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

function observeNode(object: KubeObject): ObservedNode {
  const spec = object['spec'] as { unschedulable?: boolean; taints?: readonly Taint[] } | undefined;
  const status = object['status'] as
    | {
        addresses?: { type: string; address: string }[];
        conditions?: { type: string; status: string; lastTransitionTime?: string }[];
      }
    | undefined;
  const ready = status?.conditions?.find((entry) => entry.type === 'Ready');
  const since = Date.parse(ready?.lastTransitionTime ?? object.metadata.creationTimestamp);
  const addresses = (type: string): string[] =>
    (status?.addresses ?? []).filter((entry) => entry.type === type).map((entry) => entry.address);
  return {
    name: object.metadata.name,
    labels: object.metadata.labels ?? {},
    taints: [...(spec?.taints ?? []), ...(spec?.unschedulable === true ? [CORDONED] : [])],
    notReadySinceMs: ready?.status === 'True' ? undefined : since,
    readySinceMs: ready?.status === 'True' ? since : undefined,
    externalIPs: addresses('ExternalIP'),
    internalIPs: addresses('InternalIP'),
  };
}

interface ServiceBody {
  readonly spec?: {
    readonly type?: string;
    readonly loadBalancerClass?: string;
    readonly ports?: readonly { readonly nodePort?: number }[];
  };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[];
    };
  };
}

function endpointServices(
  services: readonly KubeObject[],
  resolve: (hostname: string) => readonly string[],
): ReadonlyMap<string, ObservedService> {
  const found = new Map<string, ObservedService>();
  for (const object of services) {
    const pod = (object.metadata.ownerReferences ?? []).find((owner) => owner.kind === 'Pod');
    if (!pod) continue;
    const { spec, status } = object as KubeObject & ServiceBody;
    const ingress = status?.loadBalancer?.ingress ?? [];
    const hostnames = ingress.flatMap((entry) => (entry.hostname === undefined ? [] : [entry.hostname]));
    const addresses = ingress.flatMap((entry) => (entry.ip === undefined ? [] : [entry.ip]));
    const numeric = [...addresses, ...hostnames.flatMap((name) => resolve(name))];
    found.set(pod.uid, {
      name: object.metadata.name,
      type: spec?.type,
      loadBalancerClass: spec?.loadBalancerClass,
      nodePort: spec?.ports?.[0]?.nodePort,
      addresses: numeric,
      hostnames,
      problem:
        numeric.length === 0 && hostnames.length > 0
          ? `the load balancer's host name ${hostnames[0]} doesn't resolve yet; peers need a numeric address`
          : undefined,
    });
  }
  return found;
}

function ownership(view: ClusterView, key: string, uid: string): Map<string, ObservedObject> {
  const owned = new Map<string, ObservedObject>();
  for (const kind of [
    'Deployment',
    'ServiceAccount',
    'ConfigMap',
    'PodDisruptionBudget',
    'HorizontalPodAutoscaler',
    'NetworkPolicy',
    'ServiceMonitor',
    'PrometheusRule',
    'Service',
  ]) {
    for (const object of view.ofFleet(key, kind)) {
      const ofPod = (object.metadata.ownerReferences ?? []).some((owner) => owner.kind === 'Pod');
      owned.set(`${kind}/${object.metadata.name}`, {
        uid: object.metadata.uid,
        ours: ofPod || isControlledBy(object, uid),
        earlier: isEarlier(object, key, uid),
        ownerText: ownerText(object),
      });
    }
  }
  return owned;
}
