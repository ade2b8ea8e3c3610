import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';
import { startCluster, type Cluster } from '../../../local/cluster/cluster.ts';
import { appPod, apply, ask, getPod, IMAGES, read, serving } from './fixtures/pods.ts';
import { until } from './fixtures/until.ts';

suite('pods on a local cluster', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 2, images: IMAGES, restartBackOff: { base: 1, max: 4 } });
  });
  after(() => cluster.stop());

  test('a Deployment comes up, scales, serves and logs', async () => {
    await cluster.kubectl(['create', 'deployment', 'web', '--image=test/app:1', '--replicas=2']);
    await cluster.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    const logs = await until('its log', async () => {
      const text = await cluster.kubectl(['logs', 'deployment/web']);
      return text.includes('hello') && text;
    });
    assert.match(logs, /^hello from web-/);

    await cluster.kubectl(['scale', 'deployment/web', '--replicas=3']);
    await cluster.kubectl(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    const text = await cluster.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'json']);
    const pods = (JSON.parse(text) as { items: { status: { podIP: string } }[] }).items;
    const addresses = new Set(pods.map((pod) => pod.status.podIP));
    assert.equal(addresses.size, 3, 'each pod has an address of its own, and port 8080 of it');
    for (const address of addresses) assert.match(address, /^198\.18\.[12]\.1\d\d$/);
    await cluster.kubectl(['delete', 'deployment', 'web']);
  });

  test('a container sees its environment, arguments and volumes', async () => {
    await apply(
      cluster,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'env-config' },
        data: { FIRST: '1', SECOND: '2' },
      },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'env-secret' }, stringData: { word: 's3cret' } },
      appPod(
        'surroundings',
        {
          args: ['--name=$(POD)', '$$(POD)', '$(MISSING)'],
          workingDir: '/etc',
          resources: { limits: { cpu: '1500m', memory: '64Mi' }, requests: { cpu: '100m' } },
          envFrom: [{ prefix: 'C_', configMapRef: { name: 'env-config' } }],
          env: [
            { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
            { name: 'HOST_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
            { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
            { name: 'WORD', valueFrom: { secretKeyRef: { name: 'env-secret', key: 'word' } } },
            { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'nowhere', key: 'x', optional: true } } },
            { name: 'CPUS', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
            { name: 'MILLIS', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
            { name: 'COMPOSED', value: '$(POD) has $(C_FIRST)' },
          ],
          volumeMounts: [
            { name: 'scratch', mountPath: '/var/lib/app/scratch' },
            { name: 'config', mountPath: '/etc/app/config' },
            { name: 'config', mountPath: '/opt/one.txt', subPath: 'FIRST' },
            { name: 'all', mountPath: '/data', readOnly: true },
          ],
        },
        {
          volumes: [
            { name: 'scratch', emptyDir: {} },
            { name: 'config', configMap: { name: 'env-config' } },
            {
              name: 'all',
              projected: {
                sources: [
                  { secret: { name: 'env-secret', items: [{ key: 'word', path: 'deep/word' }] } },
                  {
                    downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
                  },
                ],
              },
            },
          ],
        },
      ),
    );
    const pod = await serving(cluster, 'surroundings');
    const env = JSON.parse(await ask(cluster, 'surroundings', '/env')) as Record<string, string>;
    const { POD, IP, HOST_IP, LABEL, WORD, NONE, CPUS, MILLIS, COMPOSED, C_SECOND, FROM_IMAGE, HOSTNAME } =
      env;
    assert.deepEqual(
      { POD, IP, HOST_IP, LABEL, WORD, NONE, CPUS, MILLIS, COMPOSED, C_SECOND, FROM_IMAGE, HOSTNAME },
      {
        POD: 'surroundings',
        IP: pod.status!.podIP,
        HOST_IP: pod.status!.hostIP,
        LABEL: 'surroundings',
        WORD: 's3cret',
        NONE: undefined,
        CPUS: '2',
        MILLIS: '100',
        COMPOSED: 'surroundings has 1',
        C_SECOND: '2',
        FROM_IMAGE: 'yes',
        HOSTNAME: 'surroundings',
      },
    );
    assert.equal(env['USER'], undefined, 'nothing of the machine’s own environment comes in');
    assert.equal(env['PWD'], undefined);

    const self = JSON.parse(await ask(cluster, 'surroundings', '/args')) as Record<string, unknown>;
    assert.deepEqual(self, {
      argv: ['--name=surroundings', '$(POD)', '$(MISSING)'],
      cwd: '/etc',
      pid: 1,
      host: 'surroundings',
    });
    assert.equal(await read(cluster, 'surroundings', '/etc/app/config/SECOND'), '2');
    assert.equal(await read(cluster, 'surroundings', '/opt/one.txt'), '1');
    assert.equal(await read(cluster, 'surroundings', '/data/deep/word'), 's3cret');
    assert.equal(await read(cluster, 'surroundings', '/data/labels'), 'app="surroundings"');
    assert.match(
      await read(cluster, 'surroundings', '/etc/hosts'),
      new RegExp(`${pod.status!.podIP}\\tsurroundings`),
    );
    assert.match(
      await read(cluster, 'surroundings', '/etc/passwd'),
      /^root:/,
      'the rest of /etc is still there',
    );
    assert.equal(await ask(cluster, 'surroundings', '/write?path=/var/lib/app/scratch/x'), 'written');
    assert.equal(await ask(cluster, 'surroundings', '/write?path=/tmp/x'), 'written');
    for (const path of ['/data/x', '/etc/app/config/SECOND', '/etc/x', '/usr/x'])
      await assert.rejects(ask(cluster, 'surroundings', `/write?path=${path}`), `${path} is read-only`);
  });

  test('volumes follow their ConfigMap, Secret and annotations', async () => {
    await apply(
      cluster,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'live' }, data: { keys: 'a', gone: 'x' } },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'live' }, stringData: { token: 't1' } },
      appPod(
        'live',
        {
          volumeMounts: [
            { name: 'config', mountPath: '/etc/wavry/config' },
            { name: 'secret', mountPath: '/etc/wavry/secret' },
            { name: 'control', mountPath: '/etc/wavry/control' },
          ],
        },
        {
          volumes: [
            { name: 'config', configMap: { name: 'live' } },
            { name: 'secret', secret: { secretName: 'live' } },
            {
              name: 'control',
              downwardAPI: {
                items: [
                  { path: 'draining', fieldRef: { fieldPath: "metadata.annotations['wavry.dev/draining']" } },
                ],
              },
            },
          ],
        },
      ),
    );
    await serving(cluster, 'live');
    assert.equal(await read(cluster, 'live', '/etc/wavry/control/draining'), '');
    await cluster.kubectl(['annotate', 'pod', 'live', 'wavry.dev/draining=true']);
    await cluster.kubectl([
      'patch',
      'configmap',
      'live',
      '-p',
      '{"data":{"keys":"b","gone":null,"new":"n"}}',
    ]);
    await cluster.kubectl(['patch', 'secret', 'live', '-p', '{"stringData":{"token":"t2"}}']);
    await until('the new files', async () => {
      const files = await Promise.all(
        ['control/draining', 'config/keys', 'config/new', 'secret/token'].map((file) =>
          read(cluster, 'live', `/etc/wavry/${file}`),
        ),
      );
      return files.join(' ') === 'true b n t2';
    });
    await until('those of before to go', async () => {
      const names = JSON.parse(await ask(cluster, 'live', '/list?path=/etc/wavry/config')) as string[];
      return names.filter((name) => !/^\.\.\d/.test(name)).join(' ') === '..data keys new';
    });
  });

  test('a service account token opens the API from inside', async () => {
    await cluster.kubectl([
      'create',
      'clusterrolebinding',
      'look',
      '--clusterrole=view',
      '--serviceaccount=default:default',
    ]);
    await until('the binding to count', async () => {
      const may = ['auth', 'can-i', 'list', 'pods', '--as=system:serviceaccount:default:default'];
      return (await cluster.kubectl(may)).startsWith('yes');
    });
    await apply(
      cluster,
      appPod(
        'client',
        {
          command: [
            'sh',
            '-c',
            'cd /var/run/secrets/kubernetes.io/serviceaccount && exec "$0" -e "$1"',
            IMAGES_NODE,
            `const fs = require('fs'), https = require('https');
             const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
             const headers = { authorization: 'Bearer ' + fs.readFileSync('token', 'utf8') };
             const path = '/api/v1/namespaces/' + fs.readFileSync('namespace', 'utf8') + '/pods';
             https.get({ host, port, path, headers, agent: false, ca: fs.readFileSync('ca.crt') }, (response) => {
               console.log(response.statusCode);
               response.resume();
             });`,
          ],
        },
        { restartPolicy: 'Never' },
      ),
    );
    const pod = await until('the client has ended', async () => {
      const pod = await getPod(cluster, 'client');
      return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed' ? pod : undefined;
    });
    assert.equal(await cluster.kubectl(['logs', 'client']), '200\n');
    assert.equal(pod.status?.phase, 'Succeeded');
    assert.equal(pod.status?.containerStatuses?.[0]?.state.terminated?.reason, 'Completed');
    assert.equal(pod.status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'PodCompleted');
  });

  test('a failing liveness probe restarts the container with its own grace, a readiness probe only marks it', async () => {
    await apply(
      cluster,
      appPod(
        'probed',
        {
          env: [{ name: 'LINGER_MS', value: '600000' }],
          startupProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1, failureThreshold: 30 },
          livenessProbe: {
            httpGet: { path: '/healthz', port: 8080 },
            periodSeconds: 1,
            timeoutSeconds: 10,
            failureThreshold: 2,
            terminationGracePeriodSeconds: 5,
          },
          readinessProbe: { httpGet: { path: '/readyz', port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
        },
        { terminationGracePeriodSeconds: 600 },
      ),
    );
    await cluster.kubectl(['wait', 'pod/probed', '--for=condition=Ready', '--timeout=60s']);
    await ask(cluster, 'probed', '/unready');
    await cluster.kubectl(['wait', 'pod/probed', '--for=condition=Ready=false', '--timeout=60s']);
    assert.equal((await getPod(cluster, 'probed')).status!.containerStatuses![0]!.restartCount, 0);

    await ask(cluster, 'probed', '/sicken');
    const pod = await until('a restart', async () => {
      const pod = await getPod(cluster, 'probed');
      return pod.status!.containerStatuses![0]!.restartCount === 1 && pod;
    });
    // It lingers for minutes after SIGTERM, so only the probe's grace of seconds can have ended it.
    const ended = pod.status!.containerStatuses![0]!.lastState.terminated!;
    assert.equal(ended.exitCode, 137);
    assert.match(await cluster.kubectl(['logs', 'probed', '--previous']), /SIGTERM/);
    await until('its event', async () =>
      (await cluster.kubectl(['get', 'events'])).includes('Liveness probe failed'),
    );
    await cluster.kubectl(['wait', 'pod/probed', '--for=condition=Ready', '--timeout=60s']);
    await cluster.kubectl(['delete', 'pod', 'probed', '--grace-period=1']);
  });

  test('deletion gives the grace it was asked for and leaves no process', async () => {
    await apply(
      cluster,
      appPod(
        'patient',
        { env: [{ name: 'LINGER_MS', value: '3000' }] },
        { terminationGracePeriodSeconds: 60 },
      ),
      appPod('stubborn', { command: ['sh', '-c', 'trap "" TERM; while :; do sleep 1234; done'] }),
    );
    await serving(cluster, 'patient');
    await cluster.kubectl(['wait', 'pod/stubborn', '--for=condition=Ready', '--timeout=60s']);
    const follow = spawn(cluster.binaries.kubectl, [
      `--kubeconfig=${cluster.kubeconfig}`,
      'logs',
      'patient',
      '--follow',
    ]);
    const closed = once(follow, 'close');
    let followed = '';
    follow.stdout.setEncoding('utf8').on('data', (text: string) => (followed += text));
    follow.stderr.resume();
    await until('the log', async () => followed.includes('hello'));
    const began = performance.now();
    await cluster.kubectl(['delete', 'pod', 'patient']);
    assert.ok(performance.now() - began >= 3000, 'it was let finish');
    await closed;
    assert.match(followed, /SIGTERM\nbye\n$/);

    await cluster.kubectl(['delete', 'pod', 'stubborn', '--grace-period=2']);
    assert.doesNotMatch(await processes(cluster), /sleep 1234/);
  });

  test('only process 1 ignores a SIGTERM that it does not handle', async () => {
    const deaf = { command: ['sh', '-c', 'while :; do sleep 4322; done'] };
    const spec = { terminationGracePeriodSeconds: 600 };
    await apply(
      cluster,
      appPod('init', deaf, spec),
      appPod('shared', deaf, { ...spec, shareProcessNamespace: true }),
    );
    for (const name of ['init', 'shared'])
      await cluster.kubectl(['wait', `pod/${name}`, '--for=condition=Ready', '--timeout=60s']);
    await cluster.kubectl(['delete', 'pod', 'init', 'shared', '--wait=false']);
    await cluster.kubectl(['wait', 'pod/shared', '--for=delete', '--timeout=60s']);
    assert.equal((await getPod(cluster, 'init')).status?.phase, 'Running');
    await cluster.kubectl(['delete', 'pod', 'init', '--grace-period=1']);
    assert.doesNotMatch(await processes(cluster), /sleep 4322/);
  });

  test('a container that fails is restarted with growing pauses', async () => {
    await apply(cluster, appPod('crasher', { command: ['sh', '-c', 'echo oops; exit 3'] }));
    const status = await until('CrashLoopBackOff', async () => {
      const status = (await getPod(cluster, 'crasher')).status!.containerStatuses![0]!;
      return status.state.waiting?.reason === 'CrashLoopBackOff' && status.restartCount >= 2 && status;
    });
    assert.equal(status.lastState.terminated?.exitCode, 3);
    assert.equal(status.lastState.terminated.reason, 'Error');
    await cluster.kubectl(['delete', 'pod', 'crasher']);
  });

  test('what is missing is shown, and heals when it comes', async () => {
    await apply(
      cluster,
      appPod('unpullable', { image: 'test/app:broken' }),
      appPod('unmapped', { image: 'late/app:1' }),
      appPod('needy', { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'late', key: 'x' } } }] }),
      appPod(
        'hollow',
        { volumeMounts: [{ name: 'v', mountPath: '/v' }] },
        { volumes: [{ name: 'v', secret: { secretName: 'late' } }] },
      ),
    );
    const waiting = (name: string, reason: RegExp): Promise<true> =>
      until(`${name} waits with ${reason}`, async () => {
        const state = (await getPod(cluster, name)).status?.containerStatuses?.[0]?.state;
        return reason.test(state?.waiting?.reason ?? '');
      }).then(() => true);
    await waiting('unpullable', /^ImagePullBackOff$/);
    await waiting('unmapped', /^(ErrImagePull|ImagePullBackOff)$/);
    await waiting('needy', /^CreateContainerConfigError$/);
    await waiting('hollow', /^ContainerCreating$/);
    await cluster.setImages({ ...IMAGES, 'late/app': IMAGES['test/app']! });
    await cluster.kubectl(['create', 'secret', 'generic', 'late', '--from-literal=x=1']);
    for (const name of ['unmapped', 'needy', 'hollow']) await serving(cluster, name);
    assert.equal(await read(cluster, 'hollow', '/v/x'), '1');
    await cluster.kubectl(['delete', 'pod', 'unpullable', 'needy', 'hollow', 'unmapped']);
  });

  test('init containers run first, one after the other, and sidecars stay', async () => {
    const mount = { volumeMounts: [{ name: 'shared', mountPath: '/shared' }] };
    await apply(
      cluster,
      appPod('staged', mount, {
        volumes: [{ name: 'shared', emptyDir: {} }],
        initContainers: [
          { name: 'one', image: 'test/app', command: ['sh', '-c', 'echo one >> /shared/order'], ...mount },
          {
            name: 'side',
            image: 'test/app',
            restartPolicy: 'Always',
            command: ['sh', '-c', 'echo side >> /shared/order; exec sleep 1000'],
            ...mount,
          },
          {
            name: 'two',
            image: 'test/app',
            command: ['sh', '-c', 'sleep 0.2; echo two >> /shared/order'],
            ...mount,
          },
        ],
      }),
    );
    const pod = await serving(cluster, 'staged');
    const order = await until('all three', async () => {
      const lines = (await read(cluster, 'staged', '/shared/order')).trim().split('\n');
      return lines.length === 3 && lines;
    });
    assert.deepEqual(order.toSorted(), ['one', 'side', 'two']);
    assert.equal(order[0], 'one');
    assert.deepEqual(
      pod.status!.initContainerStatuses!.map(({ state }) => Object.keys(state)[0]),
      ['terminated', 'running', 'terminated'],
    );
    await cluster.kubectl(['delete', 'pod', 'staged', '--grace-period=1']);
  });

  test('pods on the network of their nodes share its address and no other node’s ports', async () => {
    const probe = { readinessProbe: { httpGet: { path: '/readyz', port: 8080 }, periodSeconds: 1 } };
    for (const node of ['node-1', 'node-2'])
      await apply(cluster, appPod(`host-${node}`, probe, { hostNetwork: true, nodeName: node }));
    for (const [node, address] of [
      ['node-1', '198.18.1.1'],
      ['node-2', '198.18.2.1'],
    ] as const) {
      const pod = await serving(cluster, `host-${node}`);
      assert.equal(pod.status!.podIP, address);
      const self = JSON.parse(await ask(cluster, `host-${node}`, '/args')) as { host: string };
      assert.equal(self.host, node);
      await cluster.kubectl(['wait', `pod/host-${node}`, '--for=condition=Ready', '--timeout=60s']);
    }
    await cluster.kubectl(['delete', 'pod', 'host-node-1', 'host-node-2']);
  });

  test('a read-only root file system leaves only volumes to write to', async () => {
    const container = {
      securityContext: { readOnlyRootFilesystem: true },
      volumeMounts: [{ name: 'state', mountPath: '/var/lib/state' }],
    };
    await apply(cluster, appPod('sealed', container, { volumes: [{ name: 'state', emptyDir: {} }] }));
    await serving(cluster, 'sealed');
    assert.equal(await ask(cluster, 'sealed', '/write?path=/var/lib/state/x'), 'written');
    await assert.rejects(ask(cluster, 'sealed', '/write?path=/tmp/x'));
    await cluster.kubectl(['delete', 'pod', 'sealed']);
  });

  test('a simulated image runs nothing and is ready at once', async () => {
    await cluster.setImages({ ...IMAGES, 'fake/app': { simulated: true } });
    await apply(
      cluster,
      appPod('fake', { image: 'fake/app:1', readinessProbe: { httpGet: { path: '/', port: 1 } } }),
    );
    await cluster.kubectl(['wait', 'pod/fake', '--for=condition=Ready', '--timeout=60s']);
    await cluster.kubectl(['delete', 'pod', 'fake']);
  });
});

const IMAGES_NODE = process.execPath;

/** The command lines of all processes in the cluster's PID namespace. */
async function processes(cluster: Cluster): Promise<string> {
  const { stdout } = await cluster.exec('ps', ['-eo', 'args']);
  return stdout;
}
