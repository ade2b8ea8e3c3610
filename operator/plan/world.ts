import type { RelayExposure } from '../api/exposure.ts';
import type { DrainReason } from '../api/meta.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import type { AppliedObject } from '../specs/object.ts';
import type { Fleet } from '../specs/fleet.ts';
import type { MetricsApi } from './metrics-api.ts';

/**
 * What the operator sees of one WavryRelay, gathered from informer stores and polls: plain values, so that the same
 * world always gives the same plan. Times are Unix milliseconds.
 */
export interface World {
  readonly nowMs: number;
  readonly fleet: ObservedFleet;
  readonly relays: readonly ObservedRelay[];
  readonly pods: readonly ObservedPod[];
  readonly nodes: ReadonlyMap<string, ObservedNode>;
  /** Latest poll of each pod, by pod UID; absent when it was never asked. */
  readonly polls: ReadonlyMap<string, Poll>;
  /** True once this replica has asked, since its start, every relay that there was then. */
  readonly pollsComplete: boolean;
  /** Whether autoscalers get what the operator measures. */
  readonly metricsApi: MetricsApi;
  /** Services that give pods an address, by the UID of the pod they belong to. */
  readonly endpointServices: ReadonlyMap<string, ObservedService>;
  /** Ports of nodes that relays of all fleets hold, this one's included. */
  readonly hostPorts: readonly HeldPort[];
  /** Registry of this fleet's Master, when it could be read lately; by relay id. */
  readonly master: ReadonlyMap<string, MasterEntry> | undefined;
  /** Objects of ours as they are in the cluster, `kind/name` each, with who owns them. */
  readonly owned: ReadonlyMap<string, ObservedObject>;
  /** Kinds that this cluster doesn't know: their CRD is missing. */
  readonly unknownKinds: ReadonlySet<string>;
  /** What went wrong when the last plan of this resource was applied, by `kind/name`. */
  readonly failures: ReadonlyMap<string, Failure>;
  /** Fields of the spec that this version doesn't know. */
  readonly unknownFields: readonly string[];
  /** Problems with Secrets and ConfigMaps that the spec refers to. */
  readonly referenceProblems: readonly string[];
  /** Autoscalers that target this resource: the operator's own and those of others. */
  readonly autoscalers: readonly ObservedAutoscaler[];
  /** Whether this resource may start moving relays to a new revision now (--max-concurrent-rollouts). */
  readonly mayRollOut: boolean;
}

export interface ObservedFleet extends Fleet {
  readonly generation: number;
  readonly createdMs: number;
  readonly status: WavryRelayStatus | undefined;
}

/** A Deployment of one. */
export interface ObservedRelay {
  readonly name: string;
  readonly uid: string;
  readonly revision: string;
  readonly port: number;
  /** What it was made for; undefined when nobody wrote it down and its template doesn't tell. */
  readonly exposure: RelayExposure | undefined;
  readonly createdMs: number;
  readonly deleting: boolean;
  readonly drainingSinceMs: number | undefined;
  /** Why the operator decided that it drains; undefined when it doesn't, or nobody wrote it down. */
  readonly drainReason: DrainReason | undefined;
  /** Somebody asks that it be replaced and drained (Annotation.drainRequested). */
  readonly drainRequested: boolean;
  /** Field managers other than the operator that changed its spec: `kubectl-rollout`, `kubectl-set` … */
  readonly foreignManagers: readonly string[];
  /** The spec as the operator made it, from its annotation, where others changed it; undefined when that is missing or unreadable. */
  readonly appliedSpec: Readonly<Record<string, unknown>> | undefined;
  /** Why its ReplicaSet can't make a pod: quota, admission … */
  readonly replicaFailure: string | undefined;
}

export interface ObservedPod {
  readonly name: string;
  readonly uid: string;
  readonly relay: string;
  readonly createdMs: number;
  readonly node: string | undefined;
  /** When it got its node. */
  readonly scheduledMs: number | undefined;
  readonly podIP: string | undefined;
  readonly hostIP: string | undefined;
  readonly phase: string;
  readonly ready: boolean;
  /** When `ready` last changed, as its kubelet says; undefined until that has looked. */
  readonly readyChangedMs: number | undefined;
  /** Since when the relay's container runs, as its kubelet says; undefined while it doesn't. */
  readonly startedMs: number | undefined;
  readonly terminating: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Why it isn't running: Unschedulable, ImagePullBackOff, CrashLoopBackOff … with the message Kubernetes gives. */
  readonly waiting: { readonly reason: string; readonly message: string } | undefined;
  readonly restarts: number;
  /** What its own arguments allow it to hold; undefined when they don't say. */
  readonly maxSessions: number | undefined;
}

/** A UDP port of a node that a relay takes, or is going to take wherever it comes. */
export interface HeldPort {
  readonly port: number;
  readonly node: string | undefined;
}

export interface ObservedNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly notReadySinceMs: number | undefined;
  readonly readySinceMs: number | undefined;
  readonly externalIPs: readonly string[];
  readonly internalIPs: readonly string[];
}

/** https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ */
export interface Taint {
  readonly key: string;
  readonly value?: string;
  readonly effect: string;
}

/** What a relay said of itself in `/health`, checked and bounded: it is untrusted. */
export interface Poll {
  /** When it last answered; 0 when it never did. */
  readonly answeredMs: number;
  readonly error: string | undefined;
  readonly state: 'starting' | 'serving' | 'draining' | 'drained' | undefined;
  readonly registered: boolean;
  readonly draining: boolean;
  readonly totalSessions: number;
  readonly activeSessions: number;
  readonly maxSessions: number;
  readonly endpoints: readonly string[];
  readonly notReadyReason: string | undefined;
  /** Sessions with a good lease that it refused, oldest sample first, over the last RATE_WINDOW_MS and one further. */
  readonly refusals: readonly CounterSample[];
}

/** A counter of a relay as it stood at a time. */
export interface CounterSample {
  readonly atMs: number;
  readonly value: number;
}

export interface ObservedService {
  readonly name: string;
  readonly type: string | undefined;
  readonly loadBalancerClass: string | undefined;
  readonly nodePort: number | undefined;
  /** Addresses of the load balancer, host names already resolved. */
  readonly addresses: readonly string[];
  readonly hostnames: readonly string[];
  readonly problem: string | undefined;
}

export interface MasterEntry {
  readonly relayId: string;
  readonly endpoints: readonly string[];
  readonly state: string;
  readonly lastSeenMs: number;
}

/** A write that was refused: a reason in one word, and what it means and what to do. */
export interface Failure {
  readonly reason: string;
  readonly message: string;
}

export interface ObservedObject {
  readonly uid: string;
  /** True when this WavryRelay is its controller. */
  readonly ours: boolean;
  /** True when its controller is a WavryRelay of the same name that is gone. */
  readonly earlier: boolean;
  readonly ownerText: string;
}

/** A HorizontalPodAutoscaler, or a ScaledObject of KEDA. What others wrote in it is untrusted. */
export interface ObservedAutoscaler {
  readonly kind: string;
  readonly name: string;
  /** Ours, of an earlier WavryRelay of this name, or of somebody else. */
  readonly by: 'us' | 'an earlier fleet' | 'another';
  /** Its own controller, `kind/name`: KEDA makes a HorizontalPodAutoscaler for each ScaledObject. */
  readonly madeFor: string | undefined;
  readonly conditions: readonly AutoscalerCondition[];
}

export interface AutoscalerCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** What should be done, in the order of these fields. */
export interface Plan {
  /** Brought to this by server-side apply, where they differ. */
  readonly apply: readonly AppliedObject[];
  /** Relays to be made. A relay that exists is never applied again: another template would end its sessions. */
  readonly create: readonly AppliedObject[];
  /** Relays whose spec somebody changed, to be put back to what it was. */
  readonly restore: readonly Restoration[];
  readonly relayPatches: readonly MetadataPatch[];
  readonly master: readonly MasterCall[];
  readonly podPatches: readonly MetadataPatch[];
  readonly deletions: readonly Deletion[];
  readonly status: WavryRelayStatus;
  readonly events: readonly PlannedEvent[];
  /** When to look again although nothing changed; undefined: when something does. */
  readonly nextLookMs: number | undefined;
}

export interface MasterCall {
  readonly relayId: string;
  readonly state: 'Draining' | 'Active';
}

export interface Restoration {
  readonly name: string;
  readonly uid: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

/** A merge patch of labels and annotations; null removes one. */
export interface MetadataPatch {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string | null>>;
}

export interface Deletion {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Precondition: never delete a namesake. */
  readonly uid: string;
}

export interface PlannedEvent {
  /** `kind/name` of the object that it tells of: said only when that was written. */
  readonly about?: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}
