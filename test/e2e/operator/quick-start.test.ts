import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { monitoringImages, MonitoringStack } from './monitoring-stack.ts';
import { CHART, example, IMAGES, OPERATOR_NAMESPACE, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

/** The first time on a machine, Prometheus and its operator are built. */
const FIRST_BUILD_MS = 900_000;

/** On a cluster that has a Prometheus already, as most have: `npm run test:unit -- test/e2e/operator/quick-start.test.ts`. */
suite('the quick start', { timeout: FIRST_BUILD_MS }, () => {
  let operator: OperatorCluster;
  let stack: MonitoringStack;

  before(
    async () => {
      operator = await OperatorCluster.start({ images: { ...IMAGES, ...(await monitoringImages()) } });
      stack = new MonitoringStack(operator);
      await stack.installCrds();
      await Promise.all([stack.start(), operator.startMaster()]);
    },
    { timeout: FIRST_BUILD_MS },
  );
  after(async () => {
    await operator.stop();
  });

  test('helm install and one example: registered, forwarding and scraped relays', async (context) => {
    const startedMs = performance.now();
    const said: string[] = [];
    const reached = (what: string): void => {
      said.push(`${what} after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    };
    await operator.helm(
      'install',
      'wavry',
      CHART,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--create-namespace',
      '--wait',
    );
    reached('operator installed');
    await operator.apply(example('laptop'));
    const ready = ['wait', 'wavryrelay/laptop', '--for=condition=Ready', '--timeout=60s'];
    await operator.cluster.kubectl(ready);
    assert.equal((await operator.registry()).length, 2);
    reached('relays registered');
    const report = await operator.peers('--sessions=4', '--rate=50', '--duration=1', '--bidirectional');
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    reached('a second of four sessions forwarded');
    await until('Prometheus to have scraped both relays', async () => {
      const samples = await stack.query('wavry_relay_packets_forwarded{wavry_dev_fleet="laptop"}');
      return samples.length === 2 && samples.every(({ value }) => Number(value[1]) > 0);
    });
    reached('both relays scraped');
    context.diagnostic(said.join(', '));
  });
});
