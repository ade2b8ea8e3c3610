import { durationSeconds } from '../../operator/api/duration.ts';
import type { Plan } from '../../operator/plan/world.ts';
import { clairvoyantOf } from './clairvoyant.ts';
import type { SimPod } from './cluster.ts';
import type { HpaDecision } from './hpa.ts';
import type { Scenario } from './scenario.ts';
import type { Traffic } from './traffic.ts';

export interface Sample {
  /** Since the start of the run. */
  readonly atMs: number;
  readonly sessions: number;
  readonly desired: number;
  readonly serving: number;
  readonly draining: number;
  readonly starting: number;
}

export interface Figures {
  /** Sessions that were asked for during the run, and those under way when it began. */
  readonly asked: number;
  readonly underWay: number;
  /** Ended by a decision of the operator's before the drain timeout. */
  readonly lost: number;
  readonly cutByTimeout: number;
  readonly cutByNodeLoss: number;
  /** Of those asked for or cut: refused by a relay, or given none, at least once. */
  readonly refused: number;
  /** Refused again and again until the user left. */
  readonly gaveUp: number;
  /** Asked while Master was away. */
  readonly masterAway: number;
  readonly relayHours: number;
  readonly clairvoyantRelayHours: number;
  readonly floorRelayHours: number;
  readonly mostRelays: number;
  readonly scaleUps: number;
  readonly scaleDowns: number;
  /** Decisions that undo one of the half hour before. */
  readonly reversals: number;
  readonly created: number;
  readonly drained: number;
  readonly takenBack: number;
}

export interface RunResult {
  readonly scenario: Scenario;
  readonly figures: Figures;
  readonly samples: readonly Sample[];
  /** Sessions cut by timeout or node loss, and refused, in each minute. */
  readonly refusedByMinute: Uint32Array;
  readonly cutByMinute: Uint32Array;
  readonly plans: number;
}

const REVERSAL_MS = 1_800_000;

/** Keeps count of a run. */
export class Books {
  asked = 0;
  underWay = 0;
  gaveUp = 0;
  readonly drainTimeoutMs: number;
  readonly #scenario: Scenario;
  readonly #traffic: Traffic;
  readonly #startMs: number;
  readonly #samples: Sample[] = [];
  readonly #refused: Uint8Array;
  readonly #waited: Uint8Array;
  readonly #refusedByMinute: Uint32Array;
  readonly #cutByMinute: Uint32Array;
  readonly #cuts = { lost: 0, timeout: 0, 'node loss': 0 };
  readonly #since = new Map<SimPod, number>();
  #relayMs = 0;
  #mostRelays = 0;
  #scales = { up: 0, down: 0, reversals: 0 };
  #lastScale: { atMs: number; up: boolean } | undefined;
  #moves = { created: 0, drained: 0, takenBack: 0 };

  constructor(scenario: Scenario, traffic: Traffic, startMs: number) {
    this.#scenario = scenario;
    this.#traffic = traffic;
    this.#startMs = startMs;
    this.drainTimeoutMs = durationSeconds(scenario.spec.drain.timeout) * 1000;
    this.#refused = new Uint8Array(traffic.arrivalMs.length);
    this.#waited = new Uint8Array(traffic.arrivalMs.length);
    const minutes = Math.ceil(scenario.durationMs / 60_000) + 1;
    this.#refusedByMinute = new Uint32Array(minutes);
    this.#cutByMinute = new Uint32Array(minutes);
  }

  pod(pod: SimPod, there: boolean, nowMs: number): void {
    if (there) {
      this.#since.set(pod, nowMs);
      this.#mostRelays = Math.max(this.#mostRelays, this.#since.size);
    } else {
      this.#addHours(this.#since.get(pod)!, nowMs);
      this.#since.delete(pod);
    }
  }

  planned(plan: Plan, nowMs: number): void {
    if (nowMs < this.#startMs) return;
    this.#moves.created += plan.create.length;
    for (const { reason } of plan.events) {
      if (reason === 'DrainStarted') this.#moves.drained += 1;
      if (reason === 'DrainTakenBack') this.#moves.takenBack += 1;
    }
  }

  decided(before: number, { replicas }: HpaDecision, nowMs: number): void {
    if (replicas === before) return;
    const up = replicas > before;
    if (up) this.#scales.up += 1;
    else this.#scales.down += 1;
    const last = this.#lastScale;
    if (last && last.up !== up && nowMs - last.atMs < REVERSAL_MS) this.#scales.reversals += 1;
    this.#lastScale = { atMs: nowMs, up };
  }

  cut(because: 'timeout' | 'lost' | 'node loss', nowMs: number): void {
    this.#cuts[because] += 1;
    const minute = Math.floor((nowMs - this.#startMs) / 60_000);
    this.#cutByMinute[minute]! += 1;
  }

  refused(session: number, nowMs: number): void {
    if (this.#refused[session] === 1) return;
    this.#refused[session] = 1;
    const minute = Math.floor((nowMs - this.#startMs) / 60_000);
    this.#refusedByMinute[minute]! += 1;
  }

  masterAway(session: number): void {
    this.#waited[session] = 1;
  }

  sample(sample: Sample): void {
    this.#samples.push(sample);
  }

  close(endMs: number, plans: number): RunResult {
    for (const sinceMs of this.#since.values()) this.#addHours(sinceMs, endMs);
    this.#since.clear();
    const { durationMs, targetSessions } = this.#scenario;
    const best = clairvoyantOf(this.#traffic, targetSessions, durationMs);
    return {
      scenario: this.#scenario,
      figures: {
        asked: this.asked,
        underWay: this.underWay,
        lost: this.#cuts.lost,
        cutByTimeout: this.#cuts.timeout,
        cutByNodeLoss: this.#cuts['node loss'],
        refused: sum(this.#refused),
        gaveUp: this.gaveUp,
        masterAway: sum(this.#waited),
        relayHours: this.#relayMs / 3_600_000,
        clairvoyantRelayHours: best.relayHours,
        floorRelayHours: best.floorRelayHours,
        mostRelays: this.#mostRelays,
        scaleUps: this.#scales.up,
        scaleDowns: this.#scales.down,
        reversals: this.#scales.reversals,
        created: this.#moves.created,
        drained: this.#moves.drained,
        takenBack: this.#moves.takenBack,
      },
      samples: this.#samples,
      refusedByMinute: this.#refusedByMinute,
      cutByMinute: this.#cutByMinute,
      plans,
    };
  }

  #addHours(sinceMs: number, untilMs: number): void {
    this.#relayMs += Math.max(0, untilMs - Math.max(sinceMs, this.#startMs));
  }
}

function sum(values: Uint8Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
