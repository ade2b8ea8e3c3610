import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { stringify } from 'yaml';

import type { AlertingRule } from '../../operator/specs/alerts.ts';
import type { RecordingRule } from '../../operator/specs/recording-rules.ts';

export interface RuleFile {
  readonly groups: readonly {
    readonly name: string;
    readonly rules: readonly (RecordingRule | AlertingRule)[];
  }[];
}

/** `values` in promtool's notation, a sample a minute: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series */
export interface Series {
  readonly series: string;
  readonly values: string;
}

/** What has to fire, and nothing else of that name, when the series have run for that many minutes. */
export interface AlertExpectation {
  readonly alertname: string;
  readonly eval_time: string;
  readonly exp_alerts: readonly {
    readonly exp_labels: Readonly<Record<string, string>>;
    readonly exp_annotations: Readonly<Record<string, string>>;
  }[];
}

export interface UnitTest {
  readonly name: string;
  readonly interval: '1m';
  readonly input_series: readonly Series[];
  readonly alert_rule_test?: readonly AlertExpectation[];
  readonly promql_expr_test?: readonly {
    readonly expr: string;
    readonly eval_time: string;
    readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
  }[];
}

const run = promisify(execFile);

/** @throws Error with what promtool says; where there is no promtool, with what brings it. */
export async function promtool(...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run('promtool', args);
    return stdout;
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: string; stdout?: string; stderr?: string };
    if (code === 'ENOENT') {
      throw new Error('there is no promtool: "apt-get install prometheus" brings it (Debian, Ubuntu)', {
        cause: error,
      });
    }
    throw new Error(`promtool ${args.join(' ')}: ${stderr}${stdout}`, { cause: error });
  }
}

export async function checkRules(rules: RuleFile): Promise<string> {
  return inFolder(rules, (file) => promtool('check', 'rules', '--lint=all', '--lint-fatal', file));
}

export async function testRules(rules: RuleFile, tests: readonly UnitTest[]): Promise<void> {
  await inFolder(rules, async (file, folder) => {
    const test = join(folder, 'test.yaml');
    const content = {
      rule_files: [file],
      evaluation_interval: '1m',
      // Alerts look at what the recording rules made in the same round.
      group_eval_order: rules.groups.map((group) => group.name),
      tests,
    };
    writeFileSync(test, stringify(content, { aliasDuplicateObjects: false }));
    return promtool('test', 'rules', test);
  });
}

async function inFolder<T>(rules: RuleFile, work: (file: string, folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'promtool-'));
  try {
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, stringify(rules, { aliasDuplicateObjects: false }));
    return await work(file, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
