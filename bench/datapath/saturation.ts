import { sendTraffic, writePeerLeases } from './generator.ts';
import { cpuUse, threadTimes } from './process-stats.ts';
import type { SaturationSample, SaturationSection, Scenario, SubjectId } from './results.ts';
import { scenarioLabel } from './scenarios.ts';
import { startSubject } from './subjects.ts';
import type { Subject } from './subjects.ts';
import type { Workspace } from './workspace.ts';

export interface SaturationPlan {
  readonly rounds: number;
  readonly seconds: number;
  readonly subjects: readonly SubjectId[];
  readonly scenarios: readonly Scenario[];
}

/** Loss below this is none (datapath notes). */
const LOSS_LIMIT = 0.001;
/** A rate is found when the one that fails is at most this much higher. */
const PRECISION = 1.04;
/** The generator's own limit is reached when it offers less than this share of what it was told. */
const GENERATOR_SHARE = 0.97;

export interface Probe {
  /** Packets a second that were really offered. */
  readonly offered: number;
  readonly loss: number;
  /** See SaturationSample. */
  readonly busy: number;
}

export interface Saturation {
  readonly rate: number;
  readonly generatorLimited: boolean;
  readonly busy: number;
}

/** The most packets a second that each subject forwards with next to no loss. */
export async function measureSaturation(
  workspace: Workspace,
  plan: SaturationPlan,
): Promise<SaturationSection> {
  const { sessions } = plan.scenarios[0]!;
  const leases = writePeerLeases(workspace, sessions);
  const subjects: Subject[] = [];
  const samples: SaturationSample[] = [];
  try {
    for (const id of plan.subjects) subjects.push(await startSubject(workspace, id, sessions, leases));
    for (const scenario of plan.scenarios) {
      const found = new Map<SubjectId, number>();
      for (let round = 0; round < plan.rounds; round++) {
        for (const subject of subjects) {
          const guess = found.get(subject.id);
          const result = await findSaturation(
            (rate) => probe(workspace, subject, scenario, rate, plan.seconds),
            guess === undefined ? scenario.rate : guess * 0.85,
            guess === undefined ? 1.5 : 1.15,
          );
          found.set(subject.id, result.rate);
          samples.push({ scenario: scenario.id, subject: subject.id, round, ...result });
          workspace.progress(
            `saturation: ${scenarioLabel(scenario)}, ${subject.id}: ${Math.round(result.rate).toLocaleString('en-US')}/s` +
              (result.generatorLimited ? ' or more, the generator can no more' : ''),
          );
        }
      }
    }
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
  const { rounds, seconds, scenarios } = plan;
  return { rounds, seconds, lossLimit: LOSS_LIMIT, scenarios, samples };
}

/**
 * Climbs from `start` by `factor` until a probe fails, then halves the gap between the best and the worst rate. A probe that
 * fails is repeated once: something else may have had the core.
 */
export async function findSaturation(
  probe: (rate: number) => Promise<Probe>,
  start: number,
  factor: number,
): Promise<Saturation> {
  let good = 0;
  let bad = Infinity;
  let rate = start;
  let busyAtGood = 0;
  while (bad > good * PRECISION && rate > 1000) {
    let result = await probe(rate);
    if (!carried(result, rate)) result = await probe(rate);
    const { offered, loss, busy } = result;
    if (loss >= LOSS_LIMIT) {
      bad = rate;
    } else if (!carried(result, rate)) {
      return { rate: Math.max(good, offered), generatorLimited: true, busy };
    } else {
      good = rate;
      busyAtGood = busy;
    }
    if (bad === Infinity) rate = good * factor;
    else rate = good === 0 ? bad / factor : (good + bad) / 2;
  }
  return { rate: good, generatorLimited: false, busy: busyAtGood };
}

function carried({ offered, loss }: Probe, rate: number): boolean {
  return loss < LOSS_LIMIT && offered >= rate * GENERATOR_SHARE;
}

async function probe(
  workspace: Workspace,
  subject: Subject,
  scenario: Scenario,
  rate: number,
  seconds: number,
): Promise<Probe> {
  const before = threadTimes(subject.pid);
  const traffic = await sendTraffic(workspace, {
    port: subject.port,
    turnFile: subject.turnFile,
    sessions: scenario.sessions,
    size: scenario.size,
    pattern: scenario.pattern,
    rate,
    seconds,
  });
  const threads = Number.isFinite(subject.packetThreads) ? subject.packetThreads : 1;
  const { threadNs } = cpuUse(before, threadTimes(subject.pid), subject.packetThreads);
  return {
    offered: traffic.sent / traffic.seconds,
    loss: 1 - traffic.received / Math.max(1, traffic.sent),
    busy: Math.min(1, threadNs / threads / (traffic.seconds * 1e9)),
  };
}
