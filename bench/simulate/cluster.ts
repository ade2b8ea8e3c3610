import { Annotation, type DrainReason, Label } from '../../operator/api/meta.ts';
import type { HeldPort, ObservedPod, ObservedRelay, Poll } from '../../operator/plan/world.ts';
import { readExposureRecord } from '../../operator/specs/exposure-record.ts';
import type { AppliedObject } from '../../operator/specs/object.ts';
import { Nodes } from './nodes.ts';
import type { Random } from './random.ts';
import { type Link, RelayProcess } from './relay-process.ts';
import type { StartTimes } from './scenario.ts';
import type { VirtualClock } from './virtual-clock.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface SimPod {
  observed: ObservedPod;
  readonly port: number;
  readonly poll: Mutable<Poll>;
  process: RelayProcess | undefined;
  gone: boolean;
}

export interface SimRelay {
  observed: ObservedRelay;
  readonly image: string;
  pod: SimPod | undefined;
}

export interface Deletion {
  readonly drainingSinceMs: number | undefined;
}

export interface ClusterOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly link: Link;
  readonly start: StartTimes;
  readonly nodes: number;
  readonly maxSessions: number;
  readonly shedThresholdPct: number;
  /** Something that the operator watches has changed. */
  readonly onChange: () => void;
  /** A pod came into being (its relay-hours begin), or is gone. */
  readonly onPod: (pod: SimPod, there: boolean) => void;
  /** A process ends with these sessions on it: by a lost node, or by a deletion of a relay that drained since then, if it did. */
  readonly onCut: (sessions: ReadonlySet<number>, because: 'node loss' | Deletion) => void;
}

/** From the API server's answer to what the kubelet or a controller makes of it. */
const CONTROLLERS_MS = [200, 1000] as const;
/** Pod annotation to file: 0.3 s measured on a kubelet of 1.36 (design-relay 5), more when it is busy. */
const FILE_MS = [300, 2000] as const;
/** --node-monitor-grace-period; then a cloud takes its time to remove the node, and its pods with it. */
const NOT_READY_MS = 50_000;
const REMOVED_MS = 180_000;

/** Deployments of one, their pods and the nodes: what the control plane and kubelets do with what the operator writes. */
export class Cluster {
  readonly relays = new Map<string, SimRelay>();
  readonly pods = new Map<string, SimPod>();
  readonly nodes: Nodes;
  readonly #options: ClusterOptions;
  readonly #pending = new Set<SimPod>();
  #next = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { clock, random, start } = options;
    this.nodes = new Nodes({
      clock,
      random,
      initial: options.nodes,
      relaysPerNode: start.relaysPerNode,
      provision: start.node,
      onChange: () => {
        this.#schedulePending();
        options.onChange();
      },
    });
    const scan = (): void => {
      this.nodes.scan(this.#pending.size);
      clock.after(Nodes.scanMs, scan);
    };
    scan();
  }

  get hostPorts(): HeldPort[] {
    const waiting = [...this.relays.values()].filter(({ pod }) => pod === undefined);
    return [
      ...Array.from(this.pods.values(), ({ port, observed }) => ({ port, node: observed.node })),
      ...waiting.map(({ observed }) => ({ port: observed.port, node: undefined })),
    ];
  }

  create(deployment: AppliedObject): void {
    const { clock, random } = this.#options;
    const { name, labels } = deployment.metadata;
    if (this.relays.has(name)) throw new Error(`${name} was created twice`);
    const container = (deployment['spec'] as DeploymentSpec).template.spec.containers[0]!;
    this.#next += 1;
    const relay: SimRelay = {
      observed: {
        name,
        uid: `deployment-${this.#next}`,
        revision: labels![Label.revision]!,
        port: container.ports.find((port) => port.name === 'relay')!.containerPort,
        exposure: readExposureRecord(deployment.metadata.annotations?.[Annotation.exposure]),
        createdMs: clock.nowMs,
        deleting: false,
        drainingSinceMs: undefined,
        drainReason: undefined,
        drainRequested: false,
        foreignManagers: [],
        appliedSpec: undefined,
        replicaFailure: undefined,
      },
      image: container.image,
      pod: undefined,
    };
    this.relays.set(name, relay);
    clock.after(random.between(...CONTROLLERS_MS), () => this.#makePod(relay));
  }

  /** The annotations on a Deployment that are the memory of a drain. */
  patchRelay(name: string, annotations: Readonly<Record<string, string | null>>): void {
    const relay = this.relays.get(name);
    const since = annotations[Annotation.drainingSince];
    if (!relay || since === undefined) return;
    relay.observed = {
      ...relay.observed,
      drainingSinceMs: since === null ? undefined : Date.parse(since),
      drainReason: (annotations[Annotation.drainReason] ?? undefined) as DrainReason | undefined,
    };
  }

  patchPod(
    uid: string,
    annotations: Readonly<Record<string, string | null>>,
    labels: Readonly<Record<string, string>>,
  ): void {
    const { clock, random } = this.#options;
    const pod = this.pods.get(uid);
    if (!pod) return;
    const merged: Record<string, string> = { ...pod.observed.annotations };
    for (const [name, value] of Object.entries(annotations)) {
      if (value === null) delete merged[name];
      else merged[name] = value;
    }
    pod.observed = { ...pod.observed, annotations: merged, labels: { ...pod.observed.labels, ...labels } };
    if (pod.process) clock.after(random.between(...FILE_MS), () => this.#readFiles(pod));
  }

  /** The kubelets' readiness probes. */
  probe(): void {
    for (const pod of this.pods.values()) {
      const ready = isReady(pod);
      if (ready === pod.observed.ready || this.nodes.isDead(pod.observed.node)) continue;
      this.#setReady(pod, ready);
      this.#options.onChange();
    }
  }

  #setReady(pod: SimPod, ready: boolean): void {
    pod.observed = { ...pod.observed, ready, readyChangedMs: this.#options.clock.nowMs };
  }

  /** Deletes a Deployment. A process that isn't empty ends all the same: clouds and autoscalers grant no hour of grace. */
  delete(name: string): void {
    const relay = this.relays.get(name);
    if (!relay) return;
    this.relays.delete(name);
    if (relay.pod) this.#endPod(relay.pod, { drainingSinceMs: relay.observed.drainingSinceMs });
  }

  /** The machines of a share of the nodes stop. */
  stopNodes(share: number): void {
    const { clock } = this.#options;
    for (const name of this.nodes.stop(share)) {
      for (const pod of this.#podsOn(name)) this.#endProcess(pod, 'node loss');
      clock.after(NOT_READY_MS, () => {
        this.nodes.markNotReady(name);
        for (const pod of this.#podsOn(name)) this.#setReady(pod, false);
        this.#options.onChange();
      });
      clock.after(REMOVED_MS, () => this.#removeNode(name));
    }
  }

  #removeNode(name: string): void {
    const pods = this.#podsOn(name);
    this.nodes.remove(name);
    for (const pod of pods) {
      this.#forget(pod);
      const relay = this.relays.get(pod.observed.relay);
      if (relay?.pod === pod) this.#makePod(relay);
    }
    this.#options.onChange();
  }

  #podsOn(node: string): SimPod[] {
    return [...this.pods.values()].filter((pod) => pod.observed.node === node);
  }

  #makePod(relay: SimRelay): void {
    const { clock, onChange, onPod } = this.#options;
    if (this.relays.get(relay.observed.name) !== relay) return;
    this.#next += 1;
    const pod: SimPod = {
      observed: {
        name: `${relay.observed.name}-${this.#next}`,
        uid: `pod-${this.#next}`,
        relay: relay.observed.name,
        createdMs: clock.nowMs,
        node: undefined,
        scheduledMs: undefined,
        podIP: undefined,
        hostIP: undefined,
        phase: 'Pending',
        ready: false,
        readyChangedMs: undefined,
        startedMs: undefined,
        terminating: false,
        labels: {},
        annotations: {
          'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
          'karpenter.sh/do-not-disrupt': 'true',
        },
        waiting: undefined,
        restarts: 0,
        maxSessions: this.#options.maxSessions,
      },
      port: relay.observed.port,
      poll: { ...UNASKED },
      process: undefined,
      gone: false,
    };
    relay.pod = pod;
    this.pods.set(pod.observed.uid, pod);
    onPod(pod, true);
    if (!this.#schedule(pod)) {
      this.#pending.add(pod);
      pod.observed = {
        ...pod.observed,
        waiting: { reason: 'Unschedulable', message: '0 nodes are available' },
      };
    }
    onChange();
  }

  #schedulePending(): void {
    for (const pod of this.#pending) if (pod.gone || this.#schedule(pod)) this.#pending.delete(pod);
  }

  #schedule(pod: SimPod): boolean {
    const { clock, random, start, onChange } = this.#options;
    const node = this.nodes.place(pod.port);
    if (!node) return false;
    pod.observed = {
      ...pod.observed,
      node: node.observed.name,
      scheduledMs: clock.nowMs,
      hostIP: node.observed.internalIPs[0],
      waiting: { reason: 'ContainerCreating', message: '' },
    };
    const image = this.relays.get(pod.observed.relay)?.image ?? '';
    const pullMs = node.hasImage.has(image) ? 0 : random.lognormal(start.pull.medianMs, start.pull.sigma);
    clock.after(pullMs + random.lognormal(start.container.medianMs, start.container.sigma), () => {
      if (pod.gone || node.dead) return;
      node.hasImage.add(image);
      pod.observed = { ...pod.observed, phase: 'Running', startedMs: clock.nowMs, waiting: undefined };
      pod.process = new RelayProcess({
        id: pod.observed.uid,
        maxSessions: this.#options.maxSessions,
        shedThresholdPct: this.#options.shedThresholdPct,
        random,
        link: this.#options.link,
      });
      this.#readFiles(pod);
      onChange();
    });
    return true;
  }

  #readFiles(pod: SimPod): void {
    const { annotations } = pod.observed;
    if (!pod.process) return;
    pod.process.endpoint = annotations[Annotation.endpoints]?.split('\n')[0];
    pod.process.wish(annotations[Annotation.draining] === 'true', this.#options.clock.nowMs);
  }

  #endPod(pod: SimPod, because: Deletion): void {
    const { clock, random } = this.#options;
    pod.observed = { ...pod.observed, terminating: true };
    this.#endProcess(pod, because);
    clock.after(random.between(...CONTROLLERS_MS), () => {
      this.#forget(pod);
      this.#options.onChange();
    });
  }

  #endProcess(pod: SimPod, because: 'node loss' | Deletion): void {
    const { process } = pod;
    pod.process = undefined;
    if (process && process.sessions.size > 0) this.#options.onCut(process.sessions, because);
  }

  #forget(pod: SimPod): void {
    if (pod.gone) return;
    pod.gone = true;
    this.pods.delete(pod.observed.uid);
    if (pod.observed.node !== undefined) this.nodes.free(pod.observed.node, pod.port);
    this.#options.onPod(pod, false);
  }
}

function isReady({ process, observed }: SimPod): boolean {
  return process !== undefined && process.registered && !process.draining && !observed.terminating;
}

interface DeploymentSpec {
  readonly template: {
    readonly spec: {
      readonly containers: readonly {
        readonly image: string;
        readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
      }[];
    };
  };
}

const UNASKED: Poll = {
  answeredMs: 0,
  error: undefined,
  state: undefined,
  registered: false,
  draining: false,
  totalSessions: 0,
  activeSessions: 0,
  maxSessions: 0,
  endpoints: [],
  notReadyReason: undefined,
  refusals: [],
};
