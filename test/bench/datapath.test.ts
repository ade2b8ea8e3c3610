import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, test } from 'node:test';

import type { DatapathResults } from '../../bench/datapath/results.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const results = mkdtempSync(join(tmpdir(), 'wavry-bench-test-'));
after(() => rmSync(results, { recursive: true, force: true }));

/** The whole run that a machine without Linux, a C compiler or taskset refuses, saying why. */
function bench(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  return spawnSync(
    process.execPath,
    ['bench/main.ts', 'datapath', '--quick', '--results', results, ...args],
    {
      cwd: ROOT,
      encoding: 'utf8',
      env,
      timeout: 280_000,
    },
  );
}

test('without a C compiler the benchmark says so and what to do', () => {
  const { status, stderr } = bench([], { ...process.env, CC: '/nonexistent/cc' });
  assert.equal(status, 1);
  assert.match(stderr, /no C compiler|needs Linux|'taskset' is missing/);
});

test('a quick run measures every section and prints what the report is made of', () => {
  const { status, stdout, stderr } = bench(['--json']);
  if (/no C compiler|needs Linux|'taskset' is missing/.test(stderr)) {
    assert.equal(status, 1); // nothing to measure with: that it is said is all there is to see here
    return;
  }
  assert.equal(status, 0, stderr);
  const report = JSON.parse(stdout) as DatapathResults;
  assert.equal(report.format, 1);
  assert.equal(report.quick, true);
  assert.ok(report.machine.cores >= 1);
  const { cpu, saturation, memory, flood } = report.sections;

  assert.equal(cpu!.scenarios.length, 4);
  for (const scenario of cpu!.scenarios) {
    for (const subject of ['relay-mmsg', 'relay-mmsg-2', 'relay-dgram', 'c-gro', 'c-batch', 'c-single']) {
      const samples = cpu!.samples.filter(
        (sample) => sample.scenario === scenario.id && sample.subject === subject,
      );
      assert.equal(samples.length, cpu!.pairs, `${subject} in ${scenario.id}`);
      for (const { threadNs, processNs, traffic } of samples) {
        assert.ok(
          processNs >= threadNs && (threadNs > 0 || traffic.received === 0),
          `${subject}: ${threadNs} of ${processNs} ns`,
        );
        assert.ok(traffic.received <= traffic.sent, `${subject} makes no packets`);
        assert.deepEqual(
          [traffic.corrupt, traffic.misdelivered, traffic.duplicate],
          [0, 0, 0],
          `${subject} forwards to the right peer what was sent`,
        );
      }
    }
  }
  // Over all of its runs: a starved machine may give one of them no time at all.
  for (const subject of new Set(cpu!.samples.map((sample) => sample.subject))) {
    const runs = cpu!.samples.filter((sample) => sample.subject === subject);
    assert.ok(
      runs.some(({ traffic }) => traffic.received > 0),
      `${subject} forwards`,
    );
  }
  assert.equal(report.ratios.length, 4);
  assert.ok(report.ratios.every((row) => row.toPlainC['c-batch']?.median === 1));

  assert.equal(saturation!.samples.length, 2);
  assert.deepEqual(
    memory!.rss.map((start) => start.workers),
    [1, 2],
  );
  assert.ok(memory!.rss.every(({ bytes }) => bytes > 10e6));
  assert.ok(memory!.flood.receivedByRelay >= 3600);
  assert.equal(memory!.flood.rss.length, 12);
  assert.equal(memory!.flood.sessionsBefore, memory!.sessions);
  assert.equal(memory!.flood.sessionsAfter, memory!.sessions, 'no session was lost to spoofed packets');
  assert.deepEqual(
    flood!.samples.map((sample) => sample.flooded),
    [false, true],
  );
  assert.ok(flood!.samples.every(({ traffic }) => traffic.latencyUs!.p99 > 0));
  const flooded = flood!.samples.find((sample) => sample.flooded)!;
  assert.ok(flooded.leasesPerSecond > 0);
  assert.ok(flooded.counted['lease_present_packets']! > 0);
  assert.equal(report.targets.length, 8);
  for (const target of report.targets) assert.notEqual(target.measured, 'not measured', target.id);

  const kept = JSON.parse(readFileSync(join(results, 'datapath.json'), 'utf8')) as DatapathResults;
  assert.deepEqual(kept, report);
  assert.match(readFileSync(join(results, 'datapath.svg'), 'utf8'), /^<svg /);
});

test('one section measured again leaves the others as they were', () => {
  if (!existsSync(join(results, 'datapath.json'))) return; // the run before had nothing to measure with
  const before = JSON.parse(readFileSync(join(results, 'datapath.json'), 'utf8')) as DatapathResults;
  const { status, stdout, stderr } = bench(['--only', 'saturation']);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /figures mean nothing/);
  assert.match(stdout, /Targets/);
  const now = JSON.parse(readFileSync(join(results, 'datapath.json'), 'utf8')) as DatapathResults;
  assert.deepEqual(now.sections.cpu, before.sections.cpu);
  assert.deepEqual(now.sections.memory, before.sections.memory);
});
