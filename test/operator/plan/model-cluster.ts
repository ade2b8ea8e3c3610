import { durationSeconds } from '../../../operator/api/duration.ts';
import { spec as specType, type WavryRelaySpec } from '../../../operator/api/spec.ts';
import type { WavryRelayStatus } from '../../../operator/api/status.ts';
import { Annotation, type DrainReason } from '../../../operator/api/meta.ts';
import { takesHostPort } from '../../../operator/api/exposure.ts';
import { portsOf } from '../../../operator/controller/host-ports.ts';
import { observeRelay } from '../../../operator/controller/observe-relay.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type {
  HeldPort,
  MasterEntry,
  ObservedAutoscaler,
  ObservedNode,
  ObservedPod,
  ObservedRelay,
  ObservedService,
  Plan,
  Poll,
  World,
} from '../../../operator/plan/world.ts';
import { readExposureRecord } from '../../../operator/specs/exposure-record.ts';
import { MANAGED_BY } from '../../../operator/specs/object.ts';

/** How a relay's process behaves in the model. */
export interface ModelRelay {
  relay: ObservedRelay;
  pod: ObservedPod | undefined;
  podAtMs: number;
  sessions: number;
  draining: boolean;
  registersAtMs: number;
  /** Master answered a heartbeat of it with 404, and hasn't taken it back. */
  unregistered: boolean;
  /** When it hears of its pod's annotations. */
  hearsAtMs: number;
}

/** A pod that ends: by an eviction, or with its relay. It forwards until it is empty or its time is over. */
interface LeavingPod {
  readonly pod: ObservedPod;
  /** The port of its node that it holds until it ends. */
  readonly port: number | undefined;
  sessions: number;
  readonly endsByMs: number;
}

/** A cluster of plain values that carries plans out, for tests of the plan: pods start, register, drain and go. */
export class ModelCluster {
  nowMs = 1_700_000_000_000;
  spec: WavryRelaySpec;
  status: WavryRelayStatus | undefined;
  readonly relays = new Map<string, ModelRelay>();
  readonly nodes: Map<string, ObservedNode>;
  readonly lost: string[] = [];
  master: Map<string, MasterEntry> | undefined = new Map();
  autoscalers: ObservedAutoscaler[] = [];
  /** Image names whose relays never register. */
  broken = new Set<string>();
  /** How long a kubelet takes to bring a pod's annotations to its relay. */
  annotationDelayMs = 0;
  /** What the operator's clock is ahead of the true time. */
  clockOffsetMs = 0;
  /** Whether relays answer; otherwise what they said last is all there is. */
  answering = true;
  /** Sessions that a relay says it holds beyond those that it does hold, by its name. */
  readonly lies = new Map<string, number>();
  leaving: LeavingPod[] = [];
  readonly name: string;
  /** All fleets of the cluster. */
  readonly fleets: ModelCluster[];
  /** Ports of the relays that its last plan makes. */
  #planned: ReadonlyMap<string, number> = new Map();
  /** Of each pod that has one, by its UID. */
  readonly services = new Map<string, ObservedService>();
  readonly #polls = new Map<string, Poll>();
  #next = 0;

  /** @param beside a fleet of the same cluster */
  constructor(spec: Record<string, unknown>, name = 'fleet', beside?: ModelCluster) {
    this.spec = specType.parse(spec);
    this.name = name;
    this.fleets = beside?.fleets ?? [];
    this.fleets.push(this);
    this.nodes = beside?.nodes ?? new Map<string, ObservedNode>();
    if (!beside) for (const node of ['node-a', 'node-b', 'node-c']) this.addNode(node);
  }

  addNode(name: string, more: Partial<ObservedNode> = {}): void {
    this.nodes.set(name, {
      name,
      labels: {},
      taints: [],
      notReadySinceMs: undefined,
      readySinceMs: 0,
      externalIPs: [`203.0.113.${this.nodes.size + 1}`],
      internalIPs: [`10.0.0.${this.nodes.size + 1}`],
      ...more,
    });
  }

  /** The time as the operator reads it. */
  get clockMs(): number {
    return this.nowMs + this.clockOffsetMs;
  }

  edit(change: Record<string, unknown>): void {
    this.spec = specType.parse({ ...this.spec, ...change });
  }

  world(): World {
    if (this.answering) {
      for (const model of this.relays.values()) {
        if (model.pod?.phase === 'Running') this.#polls.set(model.pod.uid, this.#poll(model));
        else if (model.pod) this.#polls.delete(model.pod.uid);
      }
      for (const { pod, sessions } of this.leaving) {
        const last = this.#polls.get(pod.uid);
        if (!last) continue;
        const state = sessions === 0 ? 'drained' : 'draining';
        this.#polls.set(pod.uid, { ...last, answeredMs: this.clockMs, state, totalSessions: sessions });
      }
    }
    return {
      nowMs: this.clockMs,
      fleet: {
        name: this.name,
        namespace: 'games',
        uid: `${this.name}-uid`,
        spec: this.spec,
        defaultImage: 'relay:1',
        runbooks: '',
        generation: 1,
        createdMs: 0,
        status: this.status,
      },
      relays: [...this.relays.values()].map((model) => model.relay),
      pods: [
        ...[...this.relays.values()].flatMap((model) => model.pod ?? []),
        ...this.leaving.map(({ pod }) => pod),
      ],
      nodes: this.nodes,
      polls: new Map(this.#polls),
      pollsComplete: true,
      metricsApi: { state: 'ours', message: '' },
      endpointServices: this.services,
      hostPorts: this.fleets.flatMap((fleet) => fleet.#hostPorts(fleet === this)),
      master: this.master,
      owned: new Map(),
      unknownKinds: new Set(),
      failures: new Map(),
      unknownFields: [],
      referenceProblems: [],
      autoscalers: this.autoscalers,
      mayRollOut: true,
    };
  }

  /** Plans once and carries the plan out: all of it, or the first so many actions, as an operator that is killed does. */
  step(most = Infinity): Plan {
    return this.carryOut(this.decide(), most);
  }

  decide(): Plan {
    const decided = plan(this.world());
    this.#planned = portsOf(decided.create);
    return decided;
  }

  carryOut(decided: Plan, most = Infinity): Plan {
    const actions: (() => void)[] = [
      ...decided.apply.map((object) => () => this.#apply(object)),
      ...decided.create.map((deployment) => () => this.#create(deployment)),
      ...decided.restore.map((restoration) => () => this.#restore(restoration.name)),
      ...decided.relayPatches.map((patch) => () => this.#patchRelay(patch)),
      ...decided.master.map((call) => () => this.#tell(call)),
      ...decided.podPatches.map((patch) => () => this.#patchPod(patch)),
      ...decided.deletions.map((deletion) => () => this.#delete(deletion.name)),
      () => void (this.status = decided.status),
    ];
    for (const action of actions.slice(0, most)) action();
    return decided;
  }

  /** A node is no longer heard of, or is again. */
  setNodeReady(name: string, ready: boolean): void {
    const node = this.nodes.get(name)!;
    if (ready === (node.notReadySinceMs === undefined)) return;
    this.nodes.set(name, {
      ...node,
      notReadySinceMs: ready ? undefined : this.nowMs,
      readySinceMs: ready ? this.nowMs : undefined,
    });
  }

  /** Somebody ends the pod of a relay; the Deployment makes another at once. */
  evict(name: string): void {
    const model = this.relays.get(name)!;
    if (!model.pod) return;
    this.#leave(model.relay, model.pod, model.sessions);
    model.pod = undefined;
    model.podAtMs = this.nowMs + 1000;
    if (model.registersAtMs !== Infinity) model.registersAtMs = this.nowMs + 4000;
    model.sessions = 0;
    model.draining = false;
    model.unregistered = false;
  }

  /** `kubectl rollout restart`: another template, so that the Deployment ends the pod. */
  restart(name: string): void {
    const model = this.relays.get(name)!;
    model.relay = { ...model.relay, foreignManagers: ['kubectl-rollout'], appliedSpec: {} };
    this.evict(name);
  }

  /** Of what is applied only the Services of pods matter here. */
  #apply(object: Plan['apply'][number]): void {
    const pod = object.metadata.ownerReferences?.find((owner) => owner.kind === 'Pod');
    if (object.kind !== 'Service' || !pod) return;
    const { type, loadBalancerClass } = object['spec'] as { type: string; loadBalancerClass?: string };
    const before = this.services.get(pod.uid);
    if (before?.type === type && before.loadBalancerClass === loadBalancerClass) return;
    if (before) this.lost.push(`Service ${before.name} in use was turned into a ${type}`);
    const n = this.services.size + 1;
    this.services.set(pod.uid, {
      name: object.metadata.name,
      type,
      loadBalancerClass,
      nodePort: 30_000 + n,
      addresses: type === 'LoadBalancer' ? [`192.0.2.${n}`] : [],
      hostnames: [],
      problem: undefined,
    });
  }

  #create(deployment: Plan['create'][number]): void {
    const { name } = deployment.metadata;
    if (this.relays.has(name)) throw new Error(`${name} was created twice`);
    const image = (deployment['spec'] as { template: { spec: { containers: { image: string }[] } } }).template
      .spec.containers[0]!.image;
    this.#next += 1;
    const metadata = {
      ...deployment.metadata,
      uid: `deployment-${this.#next}`,
      resourceVersion: '1',
      creationTimestamp: new Date(this.nowMs).toISOString(),
    };
    this.relays.set(name, {
      relay: observeRelay({ ...deployment, metadata }, MANAGED_BY),
      pod: undefined,
      podAtMs: this.nowMs + 1000,
      sessions: 0,
      draining: false,
      hearsAtMs: 0,
      unregistered: false,
      registersAtMs: this.broken.has(image) ? Infinity : this.nowMs + 4000,
    });
  }

  #restore(name: string): void {
    const model = this.relays.get(name)!;
    model.relay = { ...model.relay, foreignManagers: [] };
    this.evict(name);
  }

  #patchRelay(patch: Plan['relayPatches'][number]): void {
    const model = this.relays.get(patch.name)!;
    const exposure = readExposureRecord(patch.annotations[Annotation.exposure] ?? undefined);
    if (exposure) model.relay = { ...model.relay, exposure };
    const since = patch.annotations[Annotation.drainingSince];
    if (since === undefined) return;
    const reason = patch.annotations[Annotation.drainReason] as DrainReason | null | undefined;
    model.relay = {
      ...model.relay,
      drainingSinceMs: since ? Date.parse(since) : undefined,
      drainReason: reason ?? undefined,
    };
  }

  #tell(call: Plan['master'][number]): void {
    const entry = this.master?.get(call.relayId);
    if (entry) this.master!.set(call.relayId, { ...entry, state: call.state });
  }

  #patchPod(patch: Plan['podPatches'][number]): void {
    const model = [...this.relays.values()].find((entry) => entry.pod?.uid === patch.uid);
    if (!model?.pod) return;
    const annotations = { ...model.pod.annotations };
    for (const [name, value] of Object.entries(patch.annotations)) {
      if (value === null) delete annotations[name];
      else annotations[name] = value;
    }
    model.pod = { ...model.pod, annotations, labels: { ...model.pod.labels, ...patch.labels } };
    model.hearsAtMs = this.nowMs + this.annotationDelayMs;
    this.#hear(model);
  }

  #delete(name: string): void {
    const model = this.relays.get(name)!;
    const timeoutMs = durationSeconds(this.spec.drain.timeout) * 1000;
    const sinceMs = model.relay.drainingSinceMs ?? this.clockMs;
    if (model.sessions > 0 && this.clockMs < sinceMs + timeoutMs) {
      this.lost.push(`${name} went with ${model.sessions} sessions`);
    }
    if (model.pod) this.#leave(model.relay, model.pod, model.sessions);
    this.relays.delete(name);
  }

  #leave(relay: ObservedRelay, pod: ObservedPod, sessions: number): void {
    const graceMs = durationSeconds(this.spec.drain.timeout) * 1000 + 30_000;
    this.leaving.push({
      pod: { ...pod, terminating: true },
      port: onHost(relay) ? relay.port : undefined,
      sessions,
      endsByMs: this.nowMs + graceMs,
    });
  }

  /** Lets time pass: pods start and register. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.leaving = this.leaving.filter(({ sessions, endsByMs }) => sessions > 0 && this.nowMs < endsByMs);
    for (const model of this.relays.values()) {
      this.#hear(model);
      if (!model.pod && this.nowMs >= model.podAtMs) {
        this.#next += 1;
        model.pod = {
          name: `${model.relay.name}-pod`,
          uid: `${this.name}-pod-${this.#next}`,
          relay: model.relay.name,
          createdMs: this.nowMs,
          node: undefined,
          podIP: `10.1.0.${this.#next % 250}`,
          hostIP: '10.0.0.1',
          phase: 'Pending',
          ready: false,
          readyChangedMs: this.nowMs,
          startedMs: undefined,
          terminating: false,
          labels: {},
          annotations: {
            'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
            'karpenter.sh/do-not-disrupt': 'true',
          },
          waiting: undefined,
          restarts: 0,
          scheduledMs: undefined,
          maxSessions: 100,
        };
      }
      this.#schedule(model);
      if (this.#isRegistered(model) && !this.master?.has(model.pod!.uid)) {
        this.master?.set(model.pod!.uid, {
          relayId: model.pod!.uid,
          endpoints: [`198.51.100.${this.#next % 250}:4000`],
          state: 'New',
          lastSeenMs: this.nowMs,
        });
      }
      this.#probe(model);
    }
  }

  /** As the scheduler does: on a node that it may run on and that has its port free; it waits for one. */
  #schedule(model: ModelRelay): void {
    const { relay, pod } = model;
    if (!pod || pod.node !== undefined) return;
    const selector = Object.entries(this.spec.pod?.nodeSelector ?? {});
    const held = this.fleets.flatMap((fleet) => fleet.#hostPorts(true));
    const free = [...this.nodes.values()].filter(
      ({ name, labels, taints, notReadySinceMs }) =>
        notReadySinceMs === undefined &&
        taints.length === 0 &&
        selector.every(([label, value]) => labels[label] === value) &&
        !(onHost(relay) && held.some(({ port, node }) => port === relay.port && node === name)),
    );
    if (free.length === 0) {
      const waiting = { reason: 'Unschedulable', message: 'no node has its port free' };
      model.pod = { ...pod, waiting };
      return;
    }
    const node = free[this.#next % free.length]!.name;
    const times = { scheduledMs: this.nowMs, startedMs: this.nowMs };
    model.pod = { ...pod, ...times, node, phase: 'Running', waiting: undefined };
    if (model.registersAtMs !== Infinity)
      model.registersAtMs = Math.max(model.registersAtMs, this.nowMs + 3000);
  }

  #hostPorts(withoutPlanned: boolean): HeldPort[] {
    const relays = [...this.relays.values()].filter(({ relay }) => onHost(relay));
    return [
      ...relays.map(({ relay, pod }) => ({ port: relay.port, node: pod?.node })),
      ...this.leaving.flatMap(({ pod, port }) => (port === undefined ? [] : [{ port, node: pod.node }])),
      ...[...(withoutPlanned ? [] : this.#planned)].flatMap(([name, port]) =>
        this.relays.has(name) ? [] : [{ port, node: undefined }],
      ),
    ];
  }

  /** The kubelet's readiness probe; of a node that isn't heard of, the node controller's word. */
  #probe(model: ModelRelay): void {
    if (!model.pod) return;
    const heard = this.nodes.get(model.pod.node ?? '')?.notReadySinceMs === undefined;
    const ready = heard && this.#isRegistered(model) && !model.draining;
    if (ready !== model.pod.ready) model.pod = { ...model.pod, ready, readyChangedMs: this.nowMs };
  }

  #isRegistered(model: ModelRelay): boolean {
    return this.#cameToServe(model) && !model.unregistered;
  }

  #cameToServe({ pod, registersAtMs }: ModelRelay): boolean {
    return pod?.phase === 'Running' && this.nowMs >= registersAtMs;
  }

  /** Writes, or takes away, somebody's wish to have a relay drained. */
  request(name: string, drainRequested: boolean): void {
    const model = this.relays.get(name)!;
    model.relay = { ...model.relay, drainRequested };
  }

  /** Steps until a plan asks for nothing; the number of steps. */
  settle(most = 60): number {
    for (let step = 1; step <= most; step += 1) {
      const decided = this.step();
      const idle =
        decided.create.length +
          decided.relayPatches.length +
          decided.podPatches.length +
          decided.deletions.length +
          decided.master.length ===
        0;
      if (idle && [...this.relays.values()].every((model) => this.#isRegistered(model))) return step;
      this.advance(1000);
    }
    return most;
  }

  serving(): ModelRelay[] {
    return [...this.relays.values()].filter((model) => this.#isRegistered(model) && !model.draining);
  }

  /** Those that came to serve, whatever has become of them since. */
  registered(): ModelRelay[] {
    return [...this.relays.values()].filter((model) => this.#cameToServe(model));
  }

  #hear(model: ModelRelay): void {
    if (model.pod && this.nowMs >= model.hearsAtMs) {
      model.draining = model.pod.annotations[Annotation.draining] === 'true';
    }
  }

  #poll(model: ModelRelay): Poll {
    const registered = this.#isRegistered(model);
    const said = model.sessions + (this.lies.get(model.relay.name) ?? 0);
    return {
      answeredMs: this.clockMs,
      error: undefined,
      state: model.draining ? (said === 0 ? 'drained' : 'draining') : registered ? 'serving' : 'starting',
      registered,
      draining: model.draining,
      totalSessions: said,
      activeSessions: said,
      maxSessions: 100,
      endpoints: [],
      notReadyReason: registered ? undefined : 'not registered yet',
      refusals: [],
    };
  }
}

function onHost({ exposure }: ObservedRelay): boolean {
  return exposure !== undefined && takesHostPort(exposure.type);
}
