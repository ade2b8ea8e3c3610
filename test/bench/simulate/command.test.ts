import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { test, type TestContext } from 'node:test';

import { parseSimulateOptions } from '../../../bench/simulate/options.ts';
import { findScenario, shippedNames } from '../../../bench/simulate/shipped.ts';

function simulate(...flags: readonly string[]) {
  return spawnSync(process.execPath, ['bench/simulate/main.ts', ...flags], { encoding: 'utf8' });
}

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'simulate-'));
  context.after(() => rmSync(path, { recursive: true }));
  return path;
}

const SMALL = `
title: A small fleet & its <day>
about: test
duration: 30m
relays: 3
spec:
  master: { url: 'https://master.example.com' }
  autoscaling: { maxReplicas: 6 }
sessions: { median: 10m, sigma: 1, longest: 1h }
demand: [[0h, 1]]
incidents:
  - { at: 5m, masterDown: 1m }
  - { at: 10m, burst: 0.1, within: 1m }
`;

test('a scenario of a file is run, told as JSON and drawn', (context) => {
  const path = folder(context);
  writeFileSync(join(path, 'small.yaml'), SMALL);
  const svg = join(path, 'small.svg');
  const run = simulate('--scenario', join(path, 'small.yaml'), '--seed', '4', '--json', '--svg', svg);
  assert.equal(run.status, 0, run.stderr);
  const said = JSON.parse(run.stdout) as {
    scenario: string;
    figures: { lost: number; asked: number };
    samples: unknown[];
  };
  assert.equal(said.scenario, 'small');
  assert.equal(said.figures.lost, 0);
  assert.equal(said.samples.length, 31);
  const drawn = readFileSync(svg, 'utf8');
  assert.match(drawn, /^<svg [^]*<\/svg>\n$/);
  assert.match(drawn, /A small fleet &amp; its &lt;day>/);
  assert.match(drawn, /Master is away/);
  assert.doesNotMatch(drawn, /NaN|Infinity|undefined/);
});

test('a report names what counts', (context) => {
  const path = folder(context);
  writeFileSync(join(path, 'small.yaml'), SMALL);
  const run = simulate('--scenario', join(path, 'small.yaml'));
  assert.equal(run.status, 0, run.stderr);
  for (const word of ['lost by a decision', 'cut by drain.timeout', 'refused', 'clairvoyant', 'undo']) {
    assert.ok(run.stdout.includes(word), word);
  }
});

test('what is wrong with a command or a file is said, with where', (context) => {
  const path = folder(context);
  const broken = (name: string, change: (text: string) => string): string => {
    const file = join(path, `${name}.yaml`);
    writeFileSync(file, change(SMALL));
    return file;
  };
  const cases: [readonly string[], number, RegExp][] = [
    [['--scenario', 'tomorrow'], 64, /no scenario is called 'tomorrow'.*daily-curve/],
    [['--svg', 'x.svg'], 64, /--svg needs --scenario/],
    [['--seed', 'x'], 64, /--seed x: not a number/],
    [['--record', '--relays', '5'], 64, /leave --seed and --relays out/],
    [['--speed'], 64, /Unknown option '--speed'/],
    [
      ['--scenario', broken('duration', (text) => text.replace('30m', 'soon'))],
      65,
      /scenario duration: duration: write a duration such as/,
    ],
    [
      ['--scenario', broken('spec', (text) => text.replace('maxReplicas: 6', 'maxReplicas: 0'))],
      65,
      /spec\.autoscaling\.maxReplicas/,
    ],
    [
      ['--scenario', broken('fixed', (text) => text.replace(/ {2}autoscaling.*\n/, ''))],
      65,
      /spec\.autoscaling is what is simulated/,
    ],
    [['--scenario', broken('text', () => 'title: [')], 65, /scenario text: .*line 1/],
  ];
  for (const [flags, status, message] of cases) {
    const run = simulate(...flags);
    assert.equal(run.status, status, run.stderr);
    assert.match(run.stderr, message);
    assert.equal(run.stderr.trim().split('\n').length, 1, 'one line, no stack');
  }
});

test('every shipped scenario can be read, at any size', () => {
  assert.ok(shippedNames().length >= 6);
  for (const name of shippedNames()) {
    assert.equal(findScenario(name, 10).relays, 10);
    assert.ok(findScenario(name).title.length > 0);
  }
  assert.deepEqual(parseSimulateOptions(['--help']), 'help');
});
