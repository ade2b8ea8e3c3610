import type { WavryRelaySpec } from '../../operator/api/spec.ts';
import type { WavryRelayStatus } from '../../operator/api/status.ts';
import { spec as specType } from '../../operator/api/spec.ts';
import { withSample } from '../../operator/plan/counter-rate.ts';
import { plan } from '../../operator/plan/plan.ts';
import type { MasterEntry, Plan, Poll, World } from '../../operator/plan/world.ts';
import type { Cluster, SimPod } from './cluster.ts';
import type { Random } from './random.ts';
import type { Link } from './relay-process.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SimOperatorOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly cluster: Cluster;
  readonly link: Link;
  readonly spec: WavryRelaySpec;
  readonly onPlan: (plan: Plan) => void;
}

/** One write after the other, and the time until informers tell of them. */
const WRITE_MS = 15;
const NEWS_MS = 50;
/** operator/controller/master-watch.ts. */
const REGISTRY_EVERY_MS = 15_000;
const REGISTRY_STALE_MS = 60_000;
/** How often a relay's counters are asked for. */
const COUNTERS_EVERY_MS = 10_000;
/** A Master that could not be told is tried again, as the work queue's back-off would. */
const RETRY_MS = 5000;
/** Of polls that fail for no reason of the fleet's. */
const POLL_FAILURE = 1e-4;

/** The operator around the plan that it really uses: when it looks, what it sees, and how long writing takes. */
export class SimOperator {
  spec: WavryRelaySpec;
  status: WavryRelayStatus | undefined;
  /** Share of the relays that can't be asked: the operator's network is cut. */
  unreachable = 0;
  plans = 0;
  readonly polls = new Map<string, Poll>();
  readonly #options: SimOperatorOptions;
  readonly #startMs: number;
  #registry: { atMs: number; entries: Map<string, MasterEntry> } | undefined;
  #registryAskedMs = -Infinity;
  #countersAskedMs = -Infinity;
  #dueMs = Infinity;
  #busyUntilMs = 0;
  #generation = 1;

  constructor(options: SimOperatorOptions) {
    this.#options = options;
    this.spec = options.spec;
    this.#startMs = options.clock.nowMs;
  }

  /** A part of the spec is changed, by a person or an autoscaler. */
  edit(change: Readonly<Record<string, unknown>>): void {
    this.spec = specType.parse({ ...this.spec, ...change });
    this.#generation += 1;
    this.look();
  }

  /** Something has changed: look soon. */
  look(): void {
    this.#lookAt(this.#options.clock.nowMs + NEWS_MS);
  }

  /** A round of polls, every 2 s. */
  poll(): void {
    const { clock, random, cluster } = this.#options;
    let news = false;
    const countersToo = clock.nowMs - this.#countersAskedMs >= COUNTERS_EVERY_MS;
    if (countersToo) this.#countersAskedMs = clock.nowMs;
    for (const [uid, pod] of cluster.pods) {
      if (pod.observed.node === undefined) continue;
      const { poll, process } = pod;
      if (poll.answeredMs === 0 && poll.error === undefined) this.polls.set(uid, poll);
      const failed = this.#isCutOff(pod) || !process || random.next() < POLL_FAILURE;
      if (failed) {
        if (poll.error === undefined) {
          poll.error = 'connect ETIMEDOUT';
          news = true;
        }
        continue;
      }
      const state = process.state(clock.nowMs);
      if (
        poll.error !== undefined ||
        poll.state !== state ||
        poll.registered !== process.registered ||
        poll.answeredMs === 0
      ) {
        news = true;
        poll.error = undefined;
        poll.state = state;
        poll.registered = process.registered;
        poll.draining = process.draining;
        poll.maxSessions = process.maxSessions;
        poll.endpoints = process.endpoint === undefined ? [] : [process.endpoint];
        poll.notReadyReason = process.registered ? undefined : 'not registered with Master';
      }
      poll.answeredMs = clock.nowMs;
      if (countersToo) poll.refusals = withSample(poll.refusals, { atMs: clock.nowMs, value: process.shed });
      poll.totalSessions = process.sessions.size;
      poll.activeSessions = process.sessions.size;
    }
    if (this.polls.size > cluster.pods.size) {
      for (const uid of this.polls.keys()) if (!cluster.pods.has(uid)) this.polls.delete(uid);
    }
    if (news) this.look();
  }

  /** What the operator sees now. */
  world(): World {
    const { clock, cluster } = this.#options;
    const { nowMs } = clock;
    return {
      nowMs,
      fleet: {
        name: 'fleet',
        namespace: 'games',
        uid: 'fleet-uid',
        spec: this.spec,
        defaultImage: 'relay:1',
        runbooks: '',
        generation: this.#generation,
        createdMs: this.#startMs,
        status: this.status,
      },
      relays: Array.from(cluster.relays.values(), (relay) => relay.observed),
      pods: Array.from(cluster.pods.values(), (pod) => pod.observed),
      nodes: cluster.nodes.observed,
      polls: this.polls,
      pollsComplete: true,
      metricsApi: { state: 'ours', message: '' },
      endpointServices: NOTHING,
      hostPorts: cluster.hostPorts,
      master:
        this.#registry && nowMs - this.#registry.atMs <= REGISTRY_STALE_MS
          ? this.#registry.entries
          : undefined,
      owned: NOTHING,
      unknownKinds: NO_KINDS,
      failures: NOTHING,
      unknownFields: [],
      referenceProblems: [],
      autoscalers: [],
      mayRollOut: true,
    };
  }

  /** The same relays for as long as the cut lasts. */
  #isCutOff({ observed }: SimPod): boolean {
    if (this.unreachable === 0) return false;
    return (Number(observed.uid.replace(/\D+/g, '')) * 0.618_033_988_75) % 1 < this.unreachable;
  }

  #lookAt(atMs: number): void {
    const dueMs = Math.max(atMs, this.#busyUntilMs);
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#options.clock.at(dueMs, () => {
      if (this.#dueMs === dueMs) this.#run();
    });
  }

  #run(): void {
    const { clock, onPlan } = this.#options;
    this.#dueMs = Infinity;
    this.#readRegistry();
    this.plans += 1;
    const decided = plan(this.world());
    const writes = this.#carryOut(decided);
    this.status = decided.status;
    onPlan(decided);
    if (writes > 0) {
      this.#busyUntilMs = clock.nowMs + writes * WRITE_MS + NEWS_MS;
      this.look();
    }
    if (decided.nextLookMs !== undefined) this.#lookAt(decided.nextLookMs);
  }

  /** In the order of operator/controller/apply.ts; the number of writes. */
  #carryOut(decided: Plan): number {
    const { clock, cluster, link } = this.#options;
    let writes = 0;
    const write = (run: () => void): void => {
      writes += 1;
      clock.after(writes * WRITE_MS, run);
    };
    for (const deployment of decided.create) write(() => cluster.create(deployment));
    for (const patch of decided.relayPatches) write(() => cluster.patchRelay(patch.name, patch.annotations));
    for (const { relayId, state } of decided.master) {
      write(() => {
        if (!link.masterUp) this.#lookAt(clock.nowMs + RETRY_MS);
        else if (link.master.setState(relayId, state)) this.#told(relayId, state);
      });
    }
    for (const patch of decided.podPatches) {
      write(() => cluster.patchPod(patch.uid, patch.annotations, patch.labels));
    }
    for (const { kind, name } of decided.deletions)
      if (kind === 'Deployment') write(() => cluster.delete(name));
    return writes;
  }

  #readRegistry(): void {
    const { clock, link } = this.#options;
    if (clock.nowMs - this.#registryAskedMs < REGISTRY_EVERY_MS) return;
    this.#registryAskedMs = clock.nowMs;
    if (!link.masterUp) return;
    const entries = new Map<string, MasterEntry>();
    for (const { relayId, endpoint, state, lastSeenMs } of link.master.list(clock.nowMs)) {
      entries.set(relayId, { relayId, endpoints: [endpoint], state, lastSeenMs });
    }
    this.#registry = { atMs: clock.nowMs, entries };
  }

  #told(relayId: string, state: string): void {
    const entry = this.#registry?.entries.get(relayId);
    if (entry) this.#registry!.entries.set(relayId, { ...entry, state });
  }
}

const NOTHING: ReadonlyMap<never, never> = new Map<never, never>();
const NO_KINDS: ReadonlySet<string> = new Set(['ServiceMonitor', 'PrometheusRule']);
