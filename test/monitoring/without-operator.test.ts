import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

import { parse, stringify } from 'yaml';

import { ruleFile, ruleFileOf } from '../../helm/rules.ts';
import { freePort } from '../../local/demo/free-port.ts';
import { startRelay, until } from '../e2e/relay/relay-process.ts';
import { devMaster, temporaryDirectory } from '../e2e/relay/traffic.ts';
import { checkRules, promtool, type RuleFile } from './promtool.ts';

/** docs/monitoring.md for people without the Prometheus Operator; test/e2e/operator/monitoring.test.ts tries what finds pods. */
const PAGE = readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8');
const EXAMPLES = join(import.meta.dirname, '../../crds/examples');

suite('the rules as a file', () => {
  for (const name of ['laptop', 'autoscaling'])
    test(`of the example ${name} pass promtool, and are what the operator makes`, async () => {
      const rules = parse(ruleFile(readFileSync(join(EXAMPLES, `${name}.yaml`), 'utf8'))) as RuleFile;
      await checkRules(rules);
      const text = JSON.stringify(rules);
      assert.match(text, /WavryRelayDrainStuck/);
      // Limits of this very fleet: its drain timeout and 10 minutes; 20 relays of 100 sessions.
      assert.match(text, name === 'laptop' ? /"for":"900s"/ : /> 2000 /);
    });

  test('what is no WavryRelay is told of', () => {
    assert.throws(() => ruleFile(''), /this is no WavryRelay/);
    assert.throws(
      () => ruleFile('kind: WavryRelay\nmetadata: { name: x }\nspec: {}'),
      /^Error: spec\.master/,
    );
    assert.throws(() => ruleFileOf('relays'), /--fleet=relays: must be the labels/);
  });

  test('and the scrape_config for relays outside of a cluster feed a real Prometheus', async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, ['--master-url', master.url]);
    await relay.ready();
    const target = new URL(await relay.health()).host;
    const page = /rule_files: \[wavry-rules.yaml\]\n[\s\S]*?```/.exec(PAGE)?.[0] ?? '';
    const fleet = /npm run --silent rules -- --fleet=(\S+)/.exec(PAGE)?.[1] ?? '';
    const config = parse(page.replace('```', '').replace(/targets: \[.*\]/, `targets: ['${target}']`)) as {
      scrape_configs: object[];
    };
    const [job] = config.scrape_configs;
    const directory = temporaryDirectory(context);
    const file = join(directory, 'prometheus.yml');
    writeFileSync(join(directory, 'wavry-rules.yaml'), ruleFileOf(fleet));
    writeFileSync(
      file,
      stringify({
        ...config,
        global: { evaluation_interval: '1s' },
        scrape_configs: [{ ...job, scrape_interval: '1s', scrape_timeout: '1s' }],
      }),
    );
    await promtool('check', 'config', file);
    // Below those that the kernel gives to others until it is used.
    const address = `127.0.0.1:${await freePort('tcp', 21_020)}`;
    const prometheus = spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=${address}`,
      ],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => prometheus.once('close', resolve));
    const query = async (expr: string): Promise<{ metric: Record<string, string> }[]> => {
      const answer = await fetch(`http://${address}/api/v1/query?query=${encodeURIComponent(expr)}`);
      const { data } = (await answer.json()) as { data: { result: { metric: Record<string, string> }[] } };
      return data.result;
    };
    try {
      for (const expr of ['wavry_dev_fleet:wavry_relay_total_sessions:sum', 'up == 1']) {
        const [sample] = await until(expr, async () => {
          const found = await query(expr).catch(() => []);
          return found.length > 0 ? found : undefined;
        });
        assert.equal(sample?.metric['namespace'], 'outside');
        assert.equal(sample?.metric['wavry_dev_fleet'], 'relays');
        if (expr.startsWith('up')) assert.equal(sample?.metric['wavry_dev_relay'], target);
      }
    } finally {
      // Before its folder goes.
      prometheus.kill('SIGKILL');
      await ended;
    }
  });
});
