import { spec as specType, type WavryRelaySpec } from '../../../operator/api/spec.ts';
import type { WavryRelayStatus } from '../../../operator/api/status.ts';
import { Annotation, type DrainReason, Label } from '../../../operator/api/meta.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type {
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

/** How a relay's process behaves in the model. */
export interface ModelRelay {
  relay: ObservedRelay;
  pod: ObservedPod | undefined;
  podAtMs: number;
  sessions: number;
  draining: boolean;
  registersAtMs: number;
  /** When it hears of its pod's annotations. */
  hearsAtMs: number;
}

/** A cluster of plain values that carries plans out, for tests of the plan: pods start, register, drain and go. */
export class ModelCluster {
  nowMs = 1_700_000_000_000;
  spec: WavryRelaySpec;
  status: WavryRelayStatus | undefined;
  readonly relays = new Map<string, ModelRelay>();
  readonly nodes = new Map<string, ObservedNode>();
  readonly lost: string[] = [];
  master: Map<string, MasterEntry> | undefined = new Map();
  autoscalers: ObservedAutoscaler[] = [];
  /** Image names whose relays never register. */
  broken = new Set<string>();
  /** How long a kubelet takes to bring a pod's annotations to its relay. */
  annotationDelayMs = 0;
  #next = 0;

  constructor(spec: Record<string, unknown>) {
    this.spec = specType.parse(spec);
    for (const name of ['node-a', 'node-b', 'node-c']) {
      this.nodes.set(name, {
        name,
        labels: {},
        notReadySinceMs: undefined,
        externalIPs: [`203.0.113.${this.nodes.size + 1}`],
        internalIPs: [`10.0.0.${this.nodes.size + 1}`],
      });
    }
  }

  edit(change: Record<string, unknown>): void {
    this.spec = specType.parse({ ...this.spec, ...change });
  }

  world(): World {
    const polls = new Map<string, Poll>();
    for (const model of this.relays.values()) {
      if (model.pod && model.pod.phase === 'Running') polls.set(model.pod.uid, this.#poll(model));
    }
    return {
      nowMs: this.nowMs,
      fleet: {
        name: 'fleet',
        namespace: 'games',
        uid: 'fleet-uid',
        spec: this.spec,
        defaultImage: 'relay:1',
        generation: 1,
        createdMs: 0,
        deleting: false,
        status: this.status,
      },
      relays: [...this.relays.values()].map((model) => model.relay),
      pods: [...this.relays.values()].flatMap((model) => model.pod ?? []),
      nodes: this.nodes,
      polls,
      pollsComplete: true,
      metricsApi: { state: 'ours', message: '' },
      endpointServices: new Map<string, ObservedService>(),
      portsElsewhere: new Map(),
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

  /** Plans once and carries the plan out. */
  step(): Plan {
    const decided = plan(this.world());
    for (const deployment of decided.create) {
      const name = deployment.metadata.name;
      if (this.relays.has(name)) throw new Error(`${name} was created twice`);
      const image = (deployment['spec'] as { template: { spec: { containers: { image: string }[] } } })
        .template.spec.containers[0]!.image;
      this.#next += 1;
      this.relays.set(name, {
        relay: {
          name,
          uid: `deployment-${this.#next}`,
          revision: deployment.metadata.labels![Label.revision]!,
          port: 4000,
          createdMs: this.nowMs,
          deleting: false,
          drainingSinceMs: undefined,
          drainReason: undefined,
          drainRequested: false,
          foreignManagers: [],
          appliedSpec: undefined,
          replicaFailure: undefined,
        },
        pod: undefined,
        podAtMs: this.nowMs + 1000,
        sessions: 0,
        draining: false,
        hearsAtMs: 0,
        registersAtMs: this.broken.has(image) ? Infinity : this.nowMs + 4000,
      });
    }
    for (const patch of decided.relayPatches) {
      const model = this.relays.get(patch.name)!;
      const since = patch.annotations[Annotation.drainingSince];
      const reason = patch.annotations[Annotation.drainReason] as DrainReason | null | undefined;
      model.relay = {
        ...model.relay,
        drainingSinceMs: since ? Date.parse(since) : undefined,
        drainReason: reason ?? undefined,
      };
    }
    for (const call of decided.master) {
      const entry = this.master?.get(call.relayId);
      if (entry) this.master!.set(call.relayId, { ...entry, state: call.state });
    }
    for (const patch of decided.podPatches) {
      const model = [...this.relays.values()].find((entry) => entry.pod?.uid === patch.uid);
      if (!model?.pod) continue;
      const annotations = { ...model.pod.annotations };
      for (const [name, value] of Object.entries(patch.annotations)) {
        if (value === null) delete annotations[name];
        else annotations[name] = value;
      }
      model.pod = { ...model.pod, annotations, labels: { ...model.pod.labels, ...patch.labels } };
      model.hearsAtMs = this.nowMs + this.annotationDelayMs;
      this.#hear(model);
    }
    for (const deletion of decided.deletions) {
      const model = this.relays.get(deletion.name)!;
      if (model.sessions > 0 && this.nowMs < model.relay.drainingSinceMs! + 3_600_000) {
        this.lost.push(`${deletion.name} went with ${model.sessions} sessions`);
      }
      this.relays.delete(deletion.name);
    }
    this.status = decided.status;
    return decided;
  }

  /** Lets time pass: pods start and register. */
  advance(ms: number): void {
    this.nowMs += ms;
    for (const model of this.relays.values()) {
      this.#hear(model);
      if (!model.pod && this.nowMs >= model.podAtMs) {
        this.#next += 1;
        const node = [...this.nodes.values()].filter((entry) => entry.notReadySinceMs === undefined)[
          this.#next % 3
        ];
        model.pod = {
          name: `${model.relay.name}-pod`,
          uid: `pod-${this.#next}`,
          relay: model.relay.name,
          createdMs: this.nowMs,
          node: node?.name ?? 'node-a',
          podIP: `10.1.0.${this.#next % 250}`,
          hostIP: '10.0.0.1',
          phase: 'Running',
          ready: false,
          terminating: false,
          labels: {},
          annotations: {
            'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
            'karpenter.sh/do-not-disrupt': 'true',
          },
          waiting: undefined,
          restarts: 0,
          scheduledMs: this.nowMs,
          hostPort: undefined,
          maxSessions: 100,
        };
      }
      if (model.pod && this.nowMs >= model.registersAtMs && !this.master?.has(model.pod.uid)) {
        this.master?.set(model.pod.uid, {
          relayId: model.pod.uid,
          endpoints: [`198.51.100.${this.#next % 250}:4000`],
          state: 'New',
          lastSeenMs: this.nowMs,
        });
      }
    }
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
      if (idle && [...this.relays.values()].every((model) => model.pod && this.nowMs >= model.registersAtMs))
        return step;
      this.advance(1000);
    }
    return most;
  }

  serving(): ModelRelay[] {
    return [...this.relays.values()].filter(
      (model) => model.pod && this.nowMs >= model.registersAtMs && !model.draining,
    );
  }

  #hear(model: ModelRelay): void {
    if (model.pod && this.nowMs >= model.hearsAtMs) {
      model.draining = model.pod.annotations[Annotation.draining] === 'true';
    }
  }

  #poll(model: ModelRelay): Poll {
    const registered = this.nowMs >= model.registersAtMs;
    return {
      answeredMs: this.nowMs,
      error: undefined,
      state: model.draining
        ? model.sessions === 0
          ? 'drained'
          : 'draining'
        : registered
          ? 'serving'
          : 'starting',
      registered,
      draining: model.draining,
      totalSessions: model.sessions,
      activeSessions: model.sessions,
      maxSessions: 100,
      endpoints: [],
      notReadyReason: registered ? undefined : 'not registered yet',
      refusals: [],
    };
  }
}
