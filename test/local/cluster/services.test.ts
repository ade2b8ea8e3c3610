import assert from 'node:assert/strict';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';
import { startCluster, type Cluster } from '../../../local/cluster/cluster.ts';
import { appPod, apply, IMAGES, serving } from './fixtures/pods.ts';
import { until } from './fixtures/until.ts';

suite('Services and host ports', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({
      nodes: [{ name: 'one', externalAddress: '198.19.0.7' }, { name: 'two' }],
      images: { ...IMAGES, 'test/peer': { command: [process.execPath, PEER] } },
    });
    await apply(
      cluster,
      appPod(
        'app',
        { ports: [{ containerPort: 4000, hostPort: 4007, protocol: 'UDP' }] },
        { nodeName: 'one' },
      ),
    );
    await serving(cluster, 'app');
  });
  after(() => cluster.stop());

  test('a host port leads to the pod, and the sender and the answer keep their addresses', async () => {
    for (const address of ['198.18.1.1', '198.19.0.7']) {
      const { answer, from, own } = await ask(cluster, address, 4007);
      assert.equal(answer, `hello from 198.18.0.1:${own}`);
      assert.equal(from, `${address}:4007`);
    }
  });

  test('two pods with one port listen on two nodes, and a flow follows its host port to the next pod', async () => {
    await apply(
      cluster,
      appPod(
        'other',
        { ports: [{ containerPort: 4000, hostPort: 4007, protocol: 'UDP' }] },
        { nodeName: 'two' },
      ),
    );
    await serving(cluster, 'other');
    assert.equal((await ask(cluster, '198.18.2.1', 4007)).from, '198.18.2.1:4007');

    // The peer goes on sending from one port while one pod ends and the next one comes.
    const peer = cluster.spawn(process.execPath, ['-e', STEADY_PEER, '198.18.2.1', '4007'], {
      stdio: 'pipe',
    });
    let received = '';
    peer.stdout!.setEncoding('utf8').on('data', (text: string) => (received += text));
    await until('an answer', async () => received.includes('hello'));
    await cluster.kubectl(['delete', 'pod', 'other']);
    received = '';
    await apply(
      cluster,
      appPod(
        'next',
        { ports: [{ containerPort: 4000, hostPort: 4007, protocol: 'UDP' }] },
        { nodeName: 'two' },
      ),
    );
    await until('an answer of the next pod', async () => received.includes('hello'));
    peer.kill('SIGKILL');
  });

  test('a Service has an address that works from outside, and from a pod', async () => {
    await cluster.kubectl([
      'expose',
      'pod',
      'app',
      '--name=app',
      '--port=53',
      '--target-port=4000',
      '--protocol=UDP',
    ]);
    const address = await cluster.kubectl(['get', 'service', 'app', '-o', 'jsonpath={.spec.clusterIP}']);
    assert.equal((await ask(cluster, address, 53)).from, `${address}:53`);
    await apply(
      cluster,
      appPod(
        'peer',
        { image: 'test/peer', args: [address, '53'] },
        { restartPolicy: 'Never', nodeName: 'two' },
      ),
    );
    const log = await until(
      'the peer’s answer',
      async () => (await cluster.kubectl(['logs', 'peer'])) || undefined,
    );
    const { answer, from } = JSON.parse(log) as Answer;
    assert.match(answer, /^hello from 198\.18\.2\.1\d\d:/);
    assert.equal(from, `${address}:53`);
  });

  test('a node port keeps the sender with the policy Local, and works on every node with Cluster', async () => {
    await service(cluster, 'local', { type: 'NodePort', externalTrafficPolicy: 'Local' }, 30_001);
    await service(cluster, 'anywhere', { type: 'NodePort' }, 30_002);
    const local = await ask(cluster, '198.18.1.1', 30_001);
    assert.equal(local.answer, `hello from 198.18.0.1:${local.own}`);
    await assert.rejects(ask(cluster, '198.18.2.1', 30_001, '1500'), 'node two has no pod of it');
    const far = await ask(cluster, '198.18.2.1', 30_002);
    assert.equal(far.from, '198.18.2.1:30002');
    assert.match(far.answer, /^hello from 198\.18\.2\.1:/);
  });

  test('a LoadBalancer gets an address, unless it is of a class', async () => {
    await service(cluster, 'balanced', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    await service(cluster, 'foreign', { type: 'LoadBalancer', loadBalancerClass: 'example.com/other' });
    const address = await until('an address', async () =>
      cluster
        .kubectl(['get', 'service', 'balanced', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'])
        .then((ip) => ip || undefined),
    );
    assert.match(address, /^198\.19\.2\d\d\./);
    const { answer, from, own } = await ask(cluster, address, 4000);
    assert.equal(answer, `hello from 198.18.0.1:${own}`);
    assert.equal(from, `${address}:4000`);
    assert.equal(
      await cluster.kubectl(['get', 'service', 'foreign', '-o', 'jsonpath={.status.loadBalancer}']),
      '{}',
    );
  });

  test('an aggregated API is reached through its Service, in the name of who asked', async () => {
    // Any key pair does, as nothing checks it here.
    const mount = { volumeMounts: [{ name: 'tls', mountPath: '/tls' }] };
    const env = [
      { name: 'TLS_KEY_FILE', value: '/tls/kubelet.key' },
      { name: 'TLS_CERT_FILE', value: '/tls/kubelet.crt' },
    ];
    const volumes = [{ name: 'tls', hostPath: { path: join(cluster.directory, 'pki') } }];
    await apply(cluster, appPod('api', { ...mount, env }, { volumes }));
    await cluster.kubectl(['expose', 'pod', 'api', '--name=api', '--port=443', '--target-port=8443']);
    await apply(cluster, {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1.test.example' },
      spec: {
        group: 'test.example',
        version: 'v1',
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { name: 'api', namespace: 'default' },
      },
    });
    await cluster.kubectl([
      'wait',
      'apiservice/v1.test.example',
      '--for=condition=Available',
      '--timeout=60s',
    ]);
    const answer = await until('its answer', () =>
      cluster.kubectl(['get', '--raw', '/apis/test.example/v1/things']),
    );
    assert.deepEqual(JSON.parse(answer), {
      path: '/apis/test.example/v1/things',
      user: 'kubernetes-admin',
    });
  });
});

interface Answer {
  answer: string;
  from: string;
  own: number;
}

const PEER = join(import.meta.dirname, 'fixtures', 'udp-peer.ts');
const STEADY_PEER = `
  const socket = require('dgram').createSocket('udp4');
  socket.on('message', (message) => console.log(String(message)));
  socket.on('error', () => undefined);
  socket.bind(0, () => setInterval(() => socket.send('hello', Number(process.argv[2]), process.argv[1]), 50));
`;

/** What a peer outside of all nodes gets as an answer from there. */
async function ask(cluster: Cluster, address: string, port: number, patienceMs = '30000'): Promise<Answer> {
  const { stdout } = await cluster.exec(process.execPath, [PEER, address, String(port), patienceMs]);
  return JSON.parse(stdout) as Answer;
}

async function service(cluster: Cluster, name: string, spec: object, nodePort?: number): Promise<void> {
  const port = { port: 4000, protocol: 'UDP', ...(nodePort ? { nodePort } : {}) };
  await apply(cluster, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: 'app' }, ports: [port], ...spec },
  });
}
