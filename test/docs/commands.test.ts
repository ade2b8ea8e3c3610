import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';

import { findBinaries } from '../../local/cluster/binaries.ts';
import { ADMIN_TOKEN, example, OperatorCluster, ROOT } from '../e2e/operator/operator-cluster.ts';
import { commandBlocks, pages } from './markdown.ts';

/** Pages whose commands are run on one cluster, in this order: the first installs the operator, the last takes it away. */
const ORDER = [
  'docs/quick-start.md',
  'docs/install.md',
  'docs/autoscaling.md',
  'docs/exposure.md',
  'docs/operations.md',
  'docs/key-rotation.md',
  'docs/security.md',
  'docs/runbooks.md',
  'docs/grace-periods.md',
  'docs/upgrading.md',
];
const TIMEOUT_MS = 240_000;

suite('every command of the documentation', () => {
  const all = pages();
  let operator: OperatorCluster;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    operator = await OperatorCluster.start();
    const { helm } = await findBinaries(['helm']);
    const { kubectl } = operator.cluster.binaries;
    env = {
      ...process.env,
      KUBECONFIG: operator.cluster.kubeconfig,
      PATH: [join(ROOT, 'node_modules/.bin'), dirname(kubectl), dirname(helm), process.env['PATH']].join(':'),
      HELM_CACHE_HOME: join(operator.cluster.directory, 'helm/cache'),
      HELM_CONFIG_HOME: join(operator.cluster.directory, 'helm/config'),
      HELM_DATA_HOME: join(operator.cluster.directory, 'helm/data'),
    };
    await operator.startMaster();
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'wavry-master', namespace: 'default' },
      stringData: { token: 'unused', 'admin-token': ADMIN_TOKEN },
    });
  });
  after(async () => {
    await operator.stop();
  });

  test('every block is run, or says why it is not', () => {
    for (const [page, text] of all) {
      for (const { line, notRun } of commandBlocks(text))
        assert.ok(ORDER.includes(page) || notRun !== undefined, `${page}:${line} is neither`);
    }
  });

  for (const page of ORDER) {
    const blocks = commandBlocks(all.get(page) ?? '').filter((block) => block.notRun === undefined);
    if (blocks.length === 0) continue;
    test(`${page}: ${blocks.length} blocks`, { timeout: TIMEOUT_MS + 60_000 }, async () => {
      if (page !== ORDER[0]) await laptop();
      const script = blocks.map(({ line, text }) => `echo "--- ${page}:${line}"\n${text}`).join('\n');
      await bash(script);
    });
  }

  /** The fleet that the pages speak of, whatever the page before has done with it. */
  async function laptop(): Promise<void> {
    await operator.apply(
      example('laptop', (spec) =>
        Object.assign(spec, { sessions: { idleTimeout: '5s', leaseDuration: '10s' } }),
      ),
    );
    await operator.whenServing('laptop');
  }

  function bash(script: string): Promise<void> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd: ROOT, env, timeout: TIMEOUT_MS });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    return new Promise((resolve, reject) => {
      child.once('close', (code, signal) => {
        if (code === 0) resolve();
        else reject(new Error(`ended with ${code ?? signal}:\n${output.slice(-4000)}`));
      });
    });
  }
});
