import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { startCluster, type Cluster } from '../../../local/cluster/cluster.ts';
import { appPod, apply, getPod, IMAGES, read, serving } from './fixtures/pods.ts';
import { until } from './fixtures/until.ts';

suite('faults of the control plane and the nodes', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({
      nodes: [
        { name: 'one', labels: { zone: 'a' }, externalAddress: '198.19.0.7' },
        { name: 'two', labels: { zone: 'b' } },
      ],
      images: IMAGES,
      nodeMonitorGracePeriod: 4,
    });
  });
  after(() => cluster.stop());

  test('nodes are registered as asked', async () => {
    const node = JSON.parse(await cluster.kubectl(['get', 'node', 'one', '-o', 'json'])) as {
      metadata: { labels: Record<string, string> };
      status: { addresses: object[]; capacity: Record<string, string> };
    };
    assert.equal(node.metadata.labels['zone'], 'a');
    assert.deepEqual(node.status.addresses, [
      { type: 'InternalIP', address: '198.18.1.1' },
      { type: 'ExternalIP', address: '198.19.0.7' },
      { type: 'Hostname', address: 'one' },
    ]);
    assert.equal(node.status.capacity['pods'], '100');
  });

  test('a disconnected node becomes NotReady while its pods go on, and catches up', async () => {
    await apply(cluster, appPod('stays', {}, { nodeName: 'one' }), appPod('leaves', {}, { nodeName: 'one' }));
    const before = await serving(cluster, 'stays');
    const leaving = await serving(cluster, 'leaves');
    await cluster.setNodeState('one', 'disconnected');
    await cluster.kubectl(['wait', 'node/one', '--for=condition=Ready=Unknown', '--timeout=60s']);
    await cluster.kubectl(['wait', 'pod/stays', '--for=condition=Ready=false', '--timeout=60s']);
    await cluster.kubectl(['delete', 'pod', 'leaves', '--wait=false']);
    // From a node that is cut off only the kubelet is missing: its pods still answer.
    await cluster.exec('curl', ['--silent', '--fail', `http://${leaving.status!.podIP}:8080/args`]);

    await cluster.setNodeState('one', 'up');
    await cluster.kubectl(['wait', 'node/one', '--for=condition=Ready', '--timeout=60s']);
    await cluster.kubectl(['wait', 'pod/stays', '--for=condition=Ready', '--timeout=60s']);
    await cluster.kubectl(['wait', 'pod/leaves', '--for=delete', '--timeout=60s']);
    const after = await getPod(cluster, 'stays');
    assert.deepEqual(after.status!.containerStatuses, before.status!.containerStatuses);
    await cluster.kubectl(['delete', 'pod', 'stays']);
  });

  test('a node that goes down takes its processes with it, and starts its pods anew', async () => {
    await apply(cluster, appPod('victim', {}, { nodeName: 'two' }));
    const before = await serving(cluster, 'victim');
    await cluster.setNodeState('two', 'down');
    await assert.rejects(
      cluster.exec('curl', ['--silent', '--max-time', '2', `http://${before.status!.podIP}:8080/args`]),
    );
    await cluster.kubectl(['wait', 'node/two', '--for=condition=Ready=Unknown', '--timeout=60s']);
    await cluster.setNodeState('two', 'up');
    await until(
      'a restart',
      async () => (await getPod(cluster, 'victim')).status!.containerStatuses![0]!.restartCount === 1,
    );
    await serving(cluster, 'victim');
    await cluster.kubectl(['delete', 'pod', 'victim']);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    test(`pods and the agent outlive an API server ended by ${signal}`, async () => {
      const name = `survivor-${signal.toLowerCase()}`;
      const volumes = [{ name: 'v', configMap: { name } }];
      await cluster.kubectl(['create', 'configmap', name, '--from-literal=x=1']);
      await apply(cluster, appPod(name, { volumeMounts: [{ name: 'v', mountPath: '/v' }] }, { volumes }));
      const before = await serving(cluster, name);
      await cluster.restart('kube-apiserver', signal);
      await cluster.kubectl(['patch', 'configmap', name, '-p', '{"data":{"x":"2"}}']);
      await until('the agent to watch again', async () => (await read(cluster, name, '/v/x')) === '2');
      const after = await getPod(cluster, name);
      assert.deepEqual(after.status!.containerStatuses, before.status!.containerStatuses);
      await apply(cluster, appPod(`${name}-later`));
      await serving(cluster, `${name}-later`);
      await cluster.kubectl(['delete', 'pod', name, `${name}-later`]);
    });

  test('what ends while the API server is away is reported when it is back', async () => {
    await apply(cluster, appPod('quiet', {}, { restartPolicy: 'Never' }));
    const { status } = await serving(cluster, 'quiet');
    const curl = (path: string): Promise<boolean> =>
      cluster.exec('curl', ['--silent', '--max-time', '5', `http://${status!.podIP}:8080${path}`]).then(
        () => true,
        () => false,
      );
    await cluster.stopComponent('kube-apiserver', 'SIGKILL');
    assert.ok(await curl('/args'));
    await curl('/exit?path=4');
    await until('it to end', async () => !(await curl('/args')));
    await cluster.startComponent('kube-apiserver');
    await until('its end', async () => (await getPod(cluster, 'quiet')).status?.phase === 'Failed');
    await cluster.kubectl(['delete', 'pod', 'quiet']);
  });

  test('an unknown node is named in the error', async () => {
    await assert.rejects(cluster.setNodeState('nine', 'down'), /no node "nine": there are one, two/);
  });

  test('the folder is there while the cluster is', () => {
    assert.ok(existsSync(cluster.kubeconfig));
  });
});
