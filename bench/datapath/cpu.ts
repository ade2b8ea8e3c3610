import { sendTraffic, writePeerLeases } from './generator.ts';
import { cpuUse, threadTimes } from './process-stats.ts';
import type { CpuSample, CpuSection, Scenario, SubjectId } from './results.ts';
import { SUBJECT_IDS, SUBJECT_LABELS } from './results.ts';
import { scenarioLabel } from './scenarios.ts';
import type { Subject } from './subjects.ts';
import { findCoturn, startSubject } from './subjects.ts';
import type { Workspace } from './workspace.ts';

export interface CpuPlan {
  readonly pairs: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Scenarios by their number of sessions; subjects are started anew for each group. */
  readonly groups: readonly (readonly Scenario[])[];
}

/**
 * CPU time for each forwarded packet: all subjects run side by side, and in each round the generator sends to one after
 * the other, so that a ratio is between figures taken within seconds of each other.
 */
export async function measureCpu(workspace: Workspace, plan: CpuPlan): Promise<CpuSection> {
  const samples: CpuSample[] = [];
  const absent: SubjectId[] = findCoturn() === undefined ? ['coturn'] : [];
  if (absent.length > 0) {
    workspace.progress(
      '!! coturn is NOT installed: there will be no figures of it (Debian: apt-get install coturn)',
    );
  }
  for (const scenarios of plan.groups) {
    const { sessions } = scenarios[0]!;
    // coturn needs a port for each session and more files than a process may open: it takes part in the small groups.
    const ids = SUBJECT_IDS.filter((id) => !absent.includes(id) && (id !== 'coturn' || sessions <= 1000));
    workspace.progress(`cpu: starting ${ids.length} subjects with ${sessions} sessions`);
    const subjects = await startAll(workspace, ids, sessions);
    try {
      await warmUp(workspace, subjects, scenarios, plan.warmUpSeconds);
      for (const scenario of scenarios) {
        workspace.progress(`cpu: ${scenarioLabel(scenario)}`);
        for (let round = 0; round < plan.pairs; round++) {
          for (const subject of rotated(subjects, round)) {
            samples.push(await measure(workspace, subject, scenario, plan.seconds, round));
          }
        }
      }
    } finally {
      await Promise.all(subjects.map((subject) => subject.stop()));
    }
  }
  return { pairs: plan.pairs, seconds: plan.seconds, scenarios: plan.groups.flat(), absent, samples };
}

async function startAll(
  workspace: Workspace,
  ids: readonly SubjectId[],
  sessions: number,
): Promise<Subject[]> {
  const leases = writePeerLeases(workspace, sessions);
  const subjects: Subject[] = [];
  try {
    for (const id of ids) subjects.push(await startSubject(workspace, id, sessions, leases));
  } catch (error) {
    await Promise.all(subjects.map((subject) => subject.stop()));
    throw error;
  }
  return subjects;
}

/** What V8 compiles only once it runs hot is compiled before anything is counted. */
async function warmUp(
  workspace: Workspace,
  subjects: readonly Subject[],
  scenarios: readonly Scenario[],
  seconds: number,
): Promise<void> {
  for (const subject of subjects) {
    for (const pattern of ['interleaved', 'segmented'] as const) {
      const { sessions, rate } = scenarios[0]!;
      await sendTraffic(workspace, { ...subject, sessions, rate, size: 1200, pattern, seconds });
    }
  }
}

async function measure(
  workspace: Workspace,
  subject: Subject,
  scenario: Scenario,
  seconds: number,
  round: number,
): Promise<CpuSample> {
  const before = threadTimes(subject.pid);
  const traffic = await sendTraffic(workspace, {
    port: subject.port,
    turnFile: subject.turnFile,
    sessions: scenario.sessions,
    size: scenario.size,
    pattern: scenario.pattern,
    rate: scenario.rate,
    seconds,
  });
  const used = cpuUse(before, threadTimes(subject.pid), subject.packetThreads);
  const forwarded = Math.max(1, traffic.received);
  const wrong = traffic.corrupt + traffic.misdelivered + traffic.duplicate;
  if (wrong > 0 || traffic.received === 0) {
    workspace.progress(
      `!! ${SUBJECT_LABELS[subject.id]}, ${scenarioLabel(scenario)}: ${traffic.received} of ${traffic.sent} packets arrived, ` +
        `${traffic.corrupt} corrupt, ${traffic.misdelivered} at the wrong peer, ${traffic.duplicate} twice`,
    );
  }
  return {
    scenario: scenario.id,
    subject: subject.id,
    round,
    threadNs: used.threadNs / forwarded,
    processNs: used.processNs / forwarded,
    waited: used.waitedNs / (traffic.seconds * 1e9),
    traffic,
  };
}

/** Each round begins with another subject: none is always measured right after the same one. */
function rotated<T>(values: readonly T[], by: number): T[] {
  const start = by % values.length;
  return [...values.slice(start), ...values.slice(0, start)];
}
