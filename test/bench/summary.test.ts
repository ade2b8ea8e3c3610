import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ratioPlot } from '../../bench/datapath/plot.ts';
import type { CpuSample, Sections, SubjectId, TrafficReport } from '../../bench/datapath/results.ts';
import { cpuScenarios } from '../../bench/datapath/scenarios.ts';
import { completeResults } from '../../bench/datapath/store.ts';
import { judgeTargets, ratioRows } from '../../bench/datapath/summary.ts';
import { resultTables } from '../../bench/datapath/tables.ts';
import { markdownTable, terminalTable } from '../../bench/table.ts';

const MACHINE = {
  cores: 2,
  cpu: 'a CPU',
  kernel: 'Linux 6.1 x64',
  node: 'v26.0.0',
  compiler: 'cc 12',
  idle: 1,
  relayCores: '0',
  generatorCores: '1',
};

test('nothing measured is neither held nor missed', () => {
  for (const target of judgeTargets({})) assert.equal(target.holds, undefined, target.id);
});

test('CPU targets hold at their limit and are missed beyond it', () => {
  const verdicts = (ns: Partial<Record<SubjectId, number>>): Record<string, boolean | undefined> =>
    Object.fromEntries(judgeTargets({ cpu: cpuSection(ns) }).map(({ id, holds }) => [id, holds]));
  const good = verdicts({ 'relay-mmsg': 75, 'relay-dgram': 190, 'c-gro': 70, 'c-batch': 100 });
  assert.deepEqual([good['same-calls'], good['trains'], good['dgram']], [true, true, true]);
  const bad = verdicts({ 'relay-mmsg': 80, 'relay-dgram': 190, 'c-gro': 70, 'c-batch': 100 });
  assert.deepEqual([bad['same-calls'], bad['trains'], bad['dgram']], [false, false, false]);
});

test('the worst scenario decides a target and is named', () => {
  const cpu = cpuSection({ 'relay-mmsg': 100, 'c-gro': 100, 'c-batch': 200 });
  const slow = cpu.samples.map((sample) =>
    sample.subject === 'relay-mmsg' && sample.scenario === 'interleaved-1200-100'
      ? { ...sample, threadNs: 130 }
      : sample,
  );
  const target = judgeTargets({ cpu: { ...cpu, samples: slow } }).find(({ id }) => id === 'same-calls')!;
  assert.equal(target.holds, false);
  assert.match(target.measured, /^1\.30 .*1200 B mixed, 100 sessions$/);
});

test('memory targets compare further workers with one, and the flood with what was there before', () => {
  const memory = (byWorkers: number[], flood: number[]): Sections => ({
    memory: {
      sessions: 10_000,
      rss: byWorkers.map((megabytes, index) => ({ workers: index + 1, bytes: megabytes * 1e6 })),
      flood: {
        hours: 1,
        packetsPerSecond: 1,
        offered: 1,
        receivedByRelay: 1,
        seconds: 1,
        sessionsBefore: 1,
        sessionsAfter: 1,
        rss: flood.map((megabytes) => megabytes * 1e6),
      },
    },
  });
  const holds = (sections: Sections): unknown[] =>
    judgeTargets(sections)
      .filter(({ id }) => id.startsWith('rss'))
      .map((target) => target.holds);
  assert.deepEqual(holds(memory([150, 170, 210], [150, 154.9, 152])), [true, true, true]);
  assert.deepEqual(holds(memory([151, 190, 220], [150, 156, 152])), [false, false, false]);
});

test('flood targets allow a hundredth of a percent more loss and 5 ms', () => {
  const holds = (lost: number, p99: number, leasesPerSecond = 50_000): unknown[] =>
    judgeTargets({
      flood: {
        pairs: 1,
        packetsPerSecond: 20_000,
        leasesPerSecond: 50_000,
        seconds: 3,
        samples: [
          {
            round: 0,
            flooded: false,
            leasesPerSecond: 0,
            traffic: { ...traffic(100_000, 3), latencyUs: latency(100) },
            counted: {},
            waited: 0,
          },
          {
            round: 0,
            flooded: true,
            leasesPerSecond,
            traffic: { ...traffic(100_000, lost), latencyUs: latency(p99) },
            counted: {},
            waited: 0,
          },
        ],
      },
    })
      .filter(({ id }) => id.startsWith('flood'))
      .map((target) => target.holds);
  assert.deepEqual(holds(12, 4999), [true, true]);
  assert.deepEqual(holds(14, 5001), [false, false]);
  assert.deepEqual(holds(0, 100, 40_000), [undefined, undefined], 'a weaker flood proves nothing');
});

test('tables and plot show every scenario, with a dash or nothing for a subject that was not measured', () => {
  const cpu = cpuSection({ 'relay-mmsg': 90, 'c-batch': 100 });
  const results = completeResults(false, MACHINE, { cpu });
  const text = resultTables(results).map(terminalTable).join('\n');
  const markdown = resultTables(results).map(markdownTable).join('\n');
  for (const table of [text, markdown]) {
    assert.match(table, /100 B mixed, 100 sessions/);
    assert.match(table, /0\.90 \(0\.90–0\.90\)/);
    assert.match(table, /coturn was NOT installed/);
    assert.doesNotMatch(table, /NaN|undefined/);
  }
  const svg = ratioPlot(results);
  assert.doesNotMatch(svg, /NaN|undefined/);
  assert.equal(svg.match(/<title>/g)!.length, ratioRows(cpu).length);
});

function cpuSection(ns: Partial<Record<SubjectId, number>>): NonNullable<Sections['cpu']> {
  const scenarios = cpuScenarios(100);
  const samples = scenarios.flatMap((scenario) =>
    Object.entries(ns).flatMap(([subject, threadNs]) =>
      [0, 1].map((round): CpuSample => ({
        scenario: scenario.id,
        subject: subject as SubjectId,
        round,
        threadNs,
        processNs: threadNs * 1.1,
        waited: 0.01,
        traffic: { ...traffic(1000, 0), latencyUs: latency(100) },
      })),
    ),
  );
  return { pairs: 2, seconds: 1, scenarios, absent: ['coturn'], samples };
}

function traffic(sent: number, lost: number): TrafficReport {
  return {
    sent,
    received: sent - lost,
    corrupt: 0,
    misdelivered: 0,
    reordered: 0,
    duplicate: 0,
    stale: 0,
    refused: 0,
    seconds: 1,
    floodSent: 0,
  };
}

function latency(p99: number): NonNullable<TrafficReport['latencyUs']> {
  return { p50: 60, p90: 70, p99, p999: p99, max: p99 };
}
