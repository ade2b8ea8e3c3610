import { activeSessions, overloadShedRate } from '../../operator/plan/demand.ts';
import type { Plan } from '../../operator/plan/world.ts';
import { capacityOf } from '../../operator/specs/fleet.ts';
import { Cluster } from './cluster.ts';
import { type HpaDecision, HpaController } from './hpa.ts';
import { hpaSpecOf } from './hpa-object.ts';
import { SimMaster } from './master.ts';
import { Random } from './random.ts';
import type { Link } from './relay-process.ts';
import { Books, type RunResult } from './books.ts';
import type { Incident, Scenario } from './scenario.ts';
import { SessionLives } from './session-lives.ts';
import { SimOperator } from './sim-operator.ts';
import { demandAt, trafficOf } from './traffic.ts';
import { VirtualClock } from './virtual-clock.ts';

/** What a test watches a run by. */
export interface Watcher {
  readonly onPlan?: (plan: Plan, simulation: Simulation) => void;
  readonly onSync?: (decision: HpaDecision, simulation: Simulation) => void;
  /** Answers in place of the operator's metrics API, to see what another one would do. */
  readonly metric?: (name: string, simulation: Simulation) => number | undefined;
}

/** Unix time of the run's 0, at which the fleet stands already. */
export const START_MS: number = Date.UTC(2026, 0, 1);
/** The fleet is made so long before, without traffic. */
const BOOT_MS = 900_000;
/** --horizontal-pod-autoscaler-sync-period. */
const HPA_SYNC_MS = 15_000;
const TICK_MS = 1000;
/** The readiness probe's period (operator/specs/deployment.ts). */
const PROBE_TICKS = 5;
const SAMPLE_MS = 60_000;
const SHED_THRESHOLD_PCT = 95;

/** One run of a scenario: cluster, Master, operator, autoscaler and sessions on one virtual clock. */
export class Simulation {
  readonly scenario: Scenario;
  readonly clock: VirtualClock;
  readonly cluster: Cluster;
  readonly operator: SimOperator;
  readonly books: Books;
  readonly lives: SessionLives;
  readonly hpa: HpaController;
  readonly #link: Link = { master: new SimMaster(), masterUp: true };
  readonly #watcher: Watcher;
  #metricsUp = true;

  constructor(scenario: Scenario, seed: number, watcher: Watcher = {}) {
    this.scenario = scenario;
    this.#watcher = watcher;
    const random = new Random(seed);
    const { spec, start, demand, relays } = scenario;
    const traffic = trafficOf(scenario, random.fork());
    const clock = new VirtualClock(START_MS - BOOT_MS);
    this.clock = clock;
    this.books = new Books(scenario, traffic, START_MS);
    const first = Math.max(spec.replicas, Math.ceil(demandAt(demand, 0) / scenario.targetSessions));
    this.cluster = new Cluster({
      clock,
      random: random.fork(),
      link: this.#link,
      start,
      nodes: Math.ceil((first + (relays * start.spareNodesPct) / 100) / start.relaysPerNode),
      maxSessions: capacityOf(spec).maxSessions,
      shedThresholdPct: spec.limits?.loadShedThresholdPct ?? SHED_THRESHOLD_PCT,
      onChange: () => this.operator?.look(),
      onPod: (pod, there) => this.books.pod(pod, there, clock.nowMs),
      onCut: (sessions, because) => this.lives.cut(sessions, because),
    });
    this.operator = new SimOperator({
      clock,
      random: random.fork(),
      cluster: this.cluster,
      link: this.#link,
      spec: { ...spec, replicas: first },
      onPlan: (plan) => {
        this.books.planned(plan, clock.nowMs);
        this.#watcher.onPlan?.(plan, this);
      },
    });
    this.lives = new SessionLives({
      clock,
      random: random.fork(),
      cluster: this.cluster,
      link: this.#link,
      traffic,
      books: this.books,
      startMs: START_MS,
      drainTimeoutMs: this.books.drainTimeoutMs,
    });
    this.hpa = new HpaController(hpaSpecOf(spec));
  }

  run(): RunResult {
    const { clock } = this;
    const endMs = START_MS + this.scenario.durationMs;
    this.#tick(0);
    this.operator.look();
    clock.runUntil(START_MS);
    this.lives.begin();
    clock.after(HPA_SYNC_MS, () => this.#sync());
    this.#sample();
    for (const incident of this.scenario.incidents) {
      clock.at(START_MS + incident.at, () => this.#happen(incident));
    }
    clock.runUntil(endMs);
    return this.books.close(endMs, this.operator.plans);
  }

  /** Sessions that relays hold now. */
  get held(): number {
    let held = 0;
    for (const pod of this.cluster.pods.values()) held += pod.process?.sessions.size ?? 0;
    return held;
  }

  /** What the operator's metrics API answers now; undefined for a 503. */
  metric(name: string): number | undefined {
    const world = this.operator.world();
    const measured = name === 'active_sessions' ? activeSessions(world) : overloadShedRate(world);
    return 'value' in measured ? measured.value : undefined;
  }

  #tick(count: number): void {
    const { nowMs } = this.clock;
    for (const { process } of this.cluster.pods.values()) process?.tick(nowMs);
    if (count % PROBE_TICKS === 0) this.cluster.probe();
    if (count % 2 === 0) this.operator.poll();
    this.clock.after(TICK_MS, () => this.#tick(count + 1));
  }

  #sync(): void {
    const { operator, clock, hpa } = this;
    const { metric = (name) => this.metric(name) } = this.#watcher;
    let ready = 0;
    for (const { observed } of this.cluster.pods.values())
      if (observed.ready && !observed.terminating) ready += 1;
    const decision = hpa.sync(clock.nowMs, {
      specReplicas: operator.spec.replicas,
      statusReplicas: operator.status?.replicas ?? 0,
      readyPods: ready,
      metric: (name) => (this.#metricsUp ? metric(name, this) : undefined),
    });
    this.books.decided(operator.spec.replicas, decision, clock.nowMs);
    this.#watcher.onSync?.(decision, this);
    if (decision.replicas !== operator.spec.replicas) operator.edit({ replicas: decision.replicas });
    clock.after(HPA_SYNC_MS, () => this.#sync());
  }

  #sample(): void {
    let serving = 0;
    let draining = 0;
    let starting = 0;
    for (const { observed, process } of this.cluster.pods.values()) {
      const wanted = this.cluster.relays.get(observed.relay)?.observed.drainingSinceMs === undefined;
      if (!wanted) draining += 1;
      else if (process?.registered) serving += 1;
      else starting += 1;
    }
    this.books.sample({
      atMs: this.clock.nowMs - START_MS,
      sessions: this.held,
      desired: this.operator.spec.replicas,
      serving,
      draining,
      starting,
    });
    this.clock.after(SAMPLE_MS, () => this.#sample());
  }

  #happen(incident: Incident): void {
    const { clock, operator } = this;
    if ('edit' in incident) operator.edit(incident.edit);
    else if ('masterDown' in incident) {
      this.#link.masterUp = false;
      clock.after(incident.masterDown, () => {
        if (incident.forgets) this.#link.master.restart();
        this.#link.masterUp = true;
      });
    } else if ('relaysUnreachable' in incident) {
      operator.unreachable = incident.share;
      clock.after(incident.relaysUnreachable, () => {
        operator.unreachable = 0;
      });
    } else if ('metricsDown' in incident) {
      this.#metricsUp = false;
      clock.after(incident.metricsDown, () => {
        this.#metricsUp = true;
      });
    } else if ('nodesStop' in incident) this.cluster.stopNodes(incident.nodesStop);
    // Bursts are in the traffic already.
  }
}
