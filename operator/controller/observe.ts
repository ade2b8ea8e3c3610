import { Annotation, Label } from '../api/meta.ts';
import type { WavryRelaySpec } from '../api/spec.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';
import { DATA_PORT } from '../specs/deployment.ts';
import type {
  MasterEntry,
  ObservedFleet,
  ObservedNode,
  ObservedObject,
  ObservedPod,
  ObservedRelay,
  ObservedService,
  Poll,
  World,
} from '../plan/world.ts';
import { type ClusterView, isControlledBy, ownerText } from './cluster-view.ts';

/** What is known beside the stores. */
export interface Surroundings {
  readonly nowMs: number;
  readonly defaultImage: string;
  readonly fieldManager: string;
  readonly polls: ReadonlyMap<string, Poll>;
  readonly master: ReadonlyMap<string, MasterEntry> | undefined;
  /** Load balancers' host names that were resolved. */
  readonly resolved: ReadonlyMap<string, readonly string[]>;
  readonly foreign: ReadonlyMap<string, ObservedObject>;
  readonly failures: ReadonlyMap<string, string>;
  readonly referenceProblems: readonly string[];
  readonly mayRollOut: boolean;
}

/** The world of one fleet, out of the stores alone: nothing is fetched here. */
export function observe(view: ClusterView, object: KubeObject, around: Surroundings): World {
  const fleet = observeFleet(object, around.defaultImage);
  const key = `${fleet.namespace}/${fleet.name}`;
  const deployments = view.ofFleet(key, 'Deployment').filter((entry) => isControlledBy(entry, fleet.uid));
  const pods = view.ofFleet(key, 'Pod').map(observePod);
  return {
    nowMs: around.nowMs,
    fleet,
    relays: deployments.map((entry) => observeRelay(entry, around.fieldManager)),
    pods,
    nodes: new Map(view.nodes.list().map((node) => [node.metadata.name, observeNode(node)])),
    polls: around.polls,
    endpointServices: endpointServices(view.ofFleet(key, 'Service'), around.resolved),
    portsElsewhere: portsElsewhere(view, fleet.uid),
    master: around.master,
    owned: new Map([...ownership(view, key, fleet.uid), ...around.foreign]),
    unknownKinds: view.missingKinds,
    failures: around.failures,
    referenceProblems: around.referenceProblems,
    mayRollOut: around.mayRollOut,
  };
}

export function observeFleet(object: KubeObject, defaultImage: string): ObservedFleet {
  const { metadata } = object;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    uid: metadata.uid,
    spec: object['spec'] as WavryRelaySpec,
    defaultImage,
    generation: metadata.generation ?? 0,
    createdMs: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    status: object['status'] as WavryRelayStatus | undefined,
  };
}

function observeRelay(object: KubeObject, fieldManager: string): ObservedRelay {
  const { metadata } = object;
  const spec = object['spec'] as { template?: { spec?: { containers?: { ports?: unknown }[] } } } | undefined;
  const ports = (spec?.template?.spec?.containers?.[0]?.ports ?? []) as {
    name?: string;
    containerPort?: number;
  }[];
  const draining = Date.parse(metadata.annotations?.[Annotation.drainingSince] ?? '');
  return {
    name: metadata.name,
    uid: metadata.uid,
    revision: metadata.labels?.[Label.revision] ?? '',
    port: ports.find((port) => port.name === 'relay')?.containerPort ?? DATA_PORT,
    createdMs: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    drainingSinceMs: Number.isNaN(draining) ? undefined : draining,
    foreignManagers: foreignManagers(object, fieldManager),
    appliedSpec: appliedSpec(metadata.annotations?.[Annotation.appliedSpec]),
    replicaFailure: conditionMessage(object, 'ReplicaFailure'),
  };
}

/** https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management */
function foreignManagers(object: KubeObject, fieldManager: string): string[] {
  const managers = (object.metadata.managedFields ?? [])
    .filter((entry) => entry.subresource === undefined || entry.subresource === 'scale')
    .filter((entry) => entry.manager !== fieldManager && entry.fieldsV1?.['f:spec'] !== undefined)
    .map((entry) => entry.manager ?? 'somebody');
  return [...new Set(managers)];
}

function appliedSpec(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function conditionMessage(object: KubeObject, type: string): string | undefined {
  const status = object['status'] as
    | { conditions?: { type: string; status: string; message?: string; reason?: string }[] }
    | undefined;
  const condition = status?.conditions?.find((entry) => entry.type === type && entry.status === 'True');
  return condition ? (condition.message ?? condition.reason ?? type) : undefined;
}

interface PodBody {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly hostIP?: string;
    readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount?: number;
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
      readonly lastState?: {
        readonly terminated?: {
          readonly exitCode?: number;
          readonly message?: string;
          readonly reason?: string;
        };
      };
    }[];
  };
}

function observePod(object: KubeObject): ObservedPod {
  const { metadata } = object;
  const { spec, status } = object as KubeObject & PodBody;
  const container = status?.containerStatuses?.[0];
  return {
    name: metadata.name,
    uid: metadata.uid,
    relay: metadata.labels?.[Label.relay] ?? '',
    createdMs: Date.parse(metadata.creationTimestamp),
    node: spec?.nodeName,
    podIP: status?.podIP,
    hostIP: status?.hostIP,
    phase: status?.phase ?? 'Pending',
    ready: status?.conditions?.some((entry) => entry.type === 'Ready' && entry.status === 'True') ?? false,
    terminating: metadata.deletionTimestamp !== undefined,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    waiting: waitingOf(status),
    restarts: container?.restartCount ?? 0,
  };
}

function waitingOf(status: PodBody['status']): ObservedPod['waiting'] {
  const unscheduled = status?.conditions?.find(
    (entry) => entry.type === 'PodScheduled' && entry.status === 'False',
  );
  if (unscheduled) {
    return { reason: unscheduled.reason ?? 'Unschedulable', message: bounded(unscheduled.message) };
  }
  const container = status?.containerStatuses?.[0];
  const waiting = container?.state?.waiting;
  if (!waiting) return undefined;
  const last = container?.lastState?.terminated;
  const lastWords = last
    ? ` (exit code ${last.exitCode ?? '?'}: ${bounded(last.message ?? last.reason)})`
    : '';
  return { reason: waiting.reason ?? 'Waiting', message: `${bounded(waiting.message)}${lastWords}` };
}

function bounded(text: string | undefined): string {
  return (text ?? '').trim().slice(-512);
}

function observeNode(object: KubeObject): ObservedNode {
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
    notReadySinceMs: ready?.status === 'True' ? undefined : since,
    externalIPs: addresses('ExternalIP'),
    internalIPs: addresses('InternalIP'),
  };
}

interface ServiceBody {
  readonly spec?: { readonly ports?: readonly { readonly nodePort?: number }[] };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[];
    };
  };
}

function endpointServices(
  services: readonly KubeObject[],
  resolved: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, ObservedService> {
  const found = new Map<string, ObservedService>();
  for (const object of services) {
    const pod = (object.metadata.ownerReferences ?? []).find((owner) => owner.kind === 'Pod');
    if (!pod) continue;
    const { spec, status } = object as KubeObject & ServiceBody;
    const ingress = status?.loadBalancer?.ingress ?? [];
    const hostnames = ingress.flatMap((entry) => (entry.hostname === undefined ? [] : [entry.hostname]));
    const addresses = ingress.flatMap((entry) => (entry.ip === undefined ? [] : [entry.ip]));
    found.set(pod.uid, {
      name: object.metadata.name,
      nodePort: spec?.ports?.[0]?.nodePort,
      addresses: [...addresses, ...hostnames.flatMap((name) => resolved.get(name) ?? [])],
      hostnames,
      problem:
        addresses.length === 0 && hostnames.length > 0
          ? `the load balancer's host name ${hostnames[0]} doesn't resolve yet; peers need a numeric address`
          : undefined,
    });
  }
  return found;
}

/** Host ports of the relays of all other fleets. */
function portsElsewhere(view: ClusterView, uid: string): ReadonlyMap<number, number> {
  const ports = new Map<number, number>();
  for (const object of view.ofKind('Deployment')) {
    if (isControlledBy(object, uid)) continue;
    const spec = object['spec'] as {
      template?: { spec?: { hostNetwork?: boolean; containers?: { ports?: PortBody[] }[] } };
    };
    const pod = spec.template?.spec;
    const port = pod?.containers?.[0]?.ports?.find((entry) => entry.name === 'relay');
    const number = pod?.hostNetwork === true ? port?.containerPort : port?.hostPort;
    if (number !== undefined) ports.set(number, (ports.get(number) ?? 0) + 1);
  }
  return ports;
}

interface PortBody {
  readonly name?: string;
  readonly containerPort?: number;
  readonly hostPort?: number;
}

function ownership(view: ClusterView, key: string, uid: string): Map<string, ObservedObject> {
  const owned = new Map<string, ObservedObject>();
  for (const kind of [
    'Deployment',
    'ServiceAccount',
    'ConfigMap',
    'PodDisruptionBudget',
    'NetworkPolicy',
    'ServiceMonitor',
    'Service',
  ]) {
    for (const object of view.ofFleet(key, kind)) {
      const ofPod = (object.metadata.ownerReferences ?? []).some((owner) => owner.kind === 'Pod');
      owned.set(`${kind}/${object.metadata.name}`, {
        ours: ofPod || isControlledBy(object, uid),
        ownerText: ownerText(object),
      });
    }
  }
  return owned;
}
