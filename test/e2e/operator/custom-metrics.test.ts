import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { METRICS_API_SERVICES } from '../../../operator/plan/metrics-api.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { CHART, fleetOf, MASTER_URL, OPERATOR_NAMESPACE, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

const API = '/apis/custom.metrics.k8s.io';
const SERVICE = 'wavry-wavry-relay-operator-metrics';
const HOST = `${SERVICE}.${OPERATOR_NAMESPACE}.svc`;
/** Six sessions of a fleet whose relays hold ten, at 50 %: a second relay is needed. */
const SESSIONS = 6;
const FOREIGN_SERVICE = { name: 'prometheus-adapter', namespace: 'monitoring', port: 443 };

interface MetricValue {
  readonly describedObject: { readonly kind: string; readonly name: string; readonly namespace: string };
  readonly value: string;
  readonly timestamp: string;
  readonly metric?: { readonly name: string };
  readonly metricName?: string;
  readonly windowSeconds?: number;
}

interface ApiServiceObject extends KubeObject {
  readonly spec: { readonly caBundle?: string; readonly service: { readonly name: string } };
}

suite('custom.metrics.k8s.io through the real aggregation layer', () => {
  let operator: OperatorCluster;
  let peers: ChildProcess | undefined;

  before(async () => {
    operator = await OperatorCluster.start({ nodes: 2, hpaSyncPeriod: 2, auditLog: true });
    await Promise.all([operator.startMaster(), operator.installOperator('--set=replicas=2')]);
    await operator.apply(
      fleetOf('games', {
        limits: { maxSessions: 10 },
        autoscaling: { minReplicas: 1, maxReplicas: 3, targetSessionUtilization: 50 },
        drain: { timeout: '5s' },
      }),
    );
    await operator.whenServing('games');
  });
  after(() => operator.stop());

  const raw = (path: string, ...flags: readonly string[]): Promise<string> =>
    operator.cluster.kubectl(['get', '--raw', `${API}${path}`, ...flags]);
  const values = async (path: string): Promise<MetricValue[]> =>
    (JSON.parse(await raw(path)) as { items: MetricValue[] }).items;
  const apiService = (name: string): Promise<ApiServiceObject | undefined> =>
    operator.find<ApiServiceObject>(Resources.apiServices, undefined, name);

  const patchService = (name: string, spec: object): Promise<string> =>
    operator.cluster.kubectl([
      'patch',
      'apiservice',
      name,
      '--type=merge',
      `--patch=${JSON.stringify({ spec })}`,
    ]);

  test('both versions are available and discovered', async () => {
    for (const name of METRICS_API_SERVICES) {
      await operator.cluster.kubectl([
        'wait',
        `apiservice/${name}`,
        '--for=condition=Available',
        '--timeout=60s',
      ]);
    }
    // One replica is enough to be available; the other may still wait for its certificate.
    await until('both to be discovered', async () => {
      const { resources } = JSON.parse(await raw('/v1beta2')) as { resources: { name: string }[] };
      assert.ok(resources.some(({ name }) => name === 'wavryrelays.wavry.dev/overload_shed_packets'));
      // Fails, and says so, when any group's discovery does.
      await operator.cluster.kubectl(['api-resources']);
      const versions = await operator.cluster.kubectl(['api-versions']);
      assert.match(versions, /custom\.metrics\.k8s\.io\/v1beta1\ncustom\.metrics\.k8s\.io\/v1beta2/);
      const group = JSON.parse(await raw('')) as { preferredVersion: { version: string } };
      assert.equal(group.preferredVersion.version, 'v1beta2');
      return true;
    });
  });

  test('the API server takes in its OpenAPI documents, and has nothing to complain of', async () => {
    await until('both versions among the documents', async () => {
      const { paths } = JSON.parse(await operator.cluster.kubectl(['get', '--raw', '/openapi/v3'])) as {
        paths: Record<string, { serverRelativeURL: string }>;
      };
      const ours = ['v1beta1', 'v1beta2'].map((version) => paths[`apis/custom.metrics.k8s.io/${version}`]);
      if (ours.some((path) => path === undefined)) return false;
      for (const path of ours)
        assert.match(
          await operator.cluster.kubectl(['get', '--raw', path!.serverRelativeURL]),
          /"openapi":"3/,
        );
      return true;
    });
    // The other form is put together, with a warning for each document that is missing, when somebody asks for it.
    await operator.cluster.kubectl(['get', '--raw', '/openapi/v2']);
    const log = readFileSync(join(operator.cluster.logDirectory, 'kube-apiserver.log'), 'utf8');
    assert.doesNotMatch(log, /failed to download v1beta\d\.custom\.metrics\.k8s\.io: resource not found/);
  });

  test('the fleet’s sessions are told as they are, and the HPA makes room for them', async () => {
    peers = operator.spawn('local/peers/main.ts', [
      `--master=${MASTER_URL}`,
      `--sessions=${SESSIONS}`,
      '--rate=5',
      '--duration=0',
      '--json',
    ]);
    peers.stdout?.resume();
    peers.stderr?.resume();
    const path = '/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions';
    const [item] = await until('the sessions', async () => {
      const items = await values(path);
      return items[0]?.value === String(SESSIONS) && items;
    });
    assert.deepEqual(item?.describedObject, {
      kind: 'WavryRelay',
      namespace: 'default',
      name: 'games',
      apiVersion: 'wavry.dev/v1alpha1',
    });
    assert.equal(item?.metric?.name, 'active_sessions');
    const ageMs = Date.now() - Date.parse(item?.timestamp ?? '');
    assert.ok(ageMs >= 0 && ageMs < 20_000, `it is ${ageMs} ms old`);

    await until(
      'the HPA to ask for a second relay',
      async () => (await operator.fleet('games')).spec.replicas === 2,
    );
    // Either replica answers, and each comes to know the new relay in its own time.
    const watched = new AbortController();
    const told = watch(async () => (await values(path))[0]?.value, watched.signal);
    try {
      await operator.whenServing('games');
      await operator.whenCondition('games', 'Autoscaling', { status: 'True', reason: 'Active' });
    } finally {
      watched.abort();
    }
    assert.deepEqual(await told, [String(SESSIONS)], 'a further relay changes no demand');
  });

  test('v1beta1, lists by selector, pods, rates', async () => {
    const fleets = '/v1beta1/namespaces/default/wavryrelays.wavry.dev';
    const [old] = await values(`${fleets}/games/active_sessions`);
    assert.equal(old?.metricName, 'active_sessions');
    assert.equal(old?.value, String(SESSIONS));
    await operator.cluster.kubectl(['label', 'wr/games', 'tier=gold']);
    await until(
      'the label',
      async () =>
        (await values(`${fleets}/*/active_sessions?labelSelector=tier%20in%20(gold,silver)`)).length === 1,
    );
    assert.deepEqual(await values(`${fleets}/*/active_sessions?labelSelector=tier=silver`), []);

    const pods = '/v1beta2/namespaces/default/pods';
    // Of a pod that the replica which answers hasn't heard yet nothing is known.
    const each = await until('both pods to be known', async () => {
      const known = await values(`${pods}/*/active_sessions?labelSelector=wavry.dev/fleet=games`);
      return known.length === 2 && known;
    });
    assert.equal(
      each.reduce((sum, { value }) => sum + Number(value), 0),
      SESSIONS,
    );
    const [one] = await until('whichever replica answers to know it', () =>
      values(`${pods}/${each[0]!.describedObject.name}/active_sessions`),
    );
    assert.equal(one?.value, each[0]!.value);
    const [rate] = await until('two samples', () =>
      values('/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/overload_shed_packets'),
    );
    assert.deepEqual([rate?.value, rate?.windowSeconds], ['0', 30]);
  });

  test('what isn’t there is not found, in words', async () => {
    for (const [path, words] of [
      ['/v1beta2/namespaces/default/wavryrelays.wavry.dev/none/active_sessions', /"none" not found/],
      ['/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/fps', /could not find the metric fps/],
      ['/v1beta2/namespaces/default/deployments.apps/games/active_sessions', /could not find the metric/],
      ['/v1beta2/nodes/node-1/active_sessions', /could not find the metric/],
    ] as const) {
      await assert.rejects(raw(path), words);
    }
    await operator.apply(fleetOf('empty', { image: 'test/none:1' }));
    await until('nothing known of a fleet that doesn’t run', () =>
      raw('/v1beta2/namespaces/default/wavryrelays.wavry.dev/empty/active_sessions').then(
        () => false,
        (error: Error) => /no relay of empty has answered yet/.test(error.message),
      ),
    );
    await operator.deleteFleet('empty');
  });

  test('each replica answers those it knows, and nobody else', async () => {
    const { spec } = (await apiService(METRICS_API_SERVICES[1]!))!;
    const ca = join(operator.cluster.directory, 'metrics-ca.crt');
    writeFileSync(ca, Buffer.from(spec.caBundle ?? '', 'base64'));
    await operator.apply(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader', namespace: 'default' } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'stranger', namespace: 'default' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: 'reads-metrics', namespace: 'default' },
        rules: [
          {
            apiGroups: ['custom.metrics.k8s.io'],
            resources: ['wavryrelays.wavry.dev/active_sessions'],
            verbs: ['get'],
          },
        ],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'reads-metrics', namespace: 'default' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reads-metrics' },
        subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
      },
    );
    const token = async (account: string): Promise<string> =>
      (await operator.cluster.kubectl(['create', 'token', account])).trim();
    const [reader, stranger] = await Promise.all([token('reader'), token('stranger')]);
    const pods = await operator.list<KubeObject & { status: { podIP: string } }>(
      Resources.pods,
      OPERATOR_NAMESPACE,
    );
    assert.equal(pods.length, 2);
    for (const { status } of pods) {
      const ask = async (...headers: readonly string[]): Promise<string> => {
        const { stdout } = await operator.cluster.exec('curl', [
          '--silent',
          '--max-time',
          '10',
          `--cacert`,
          ca,
          `--connect-to`,
          `${HOST}:443:${status.podIP}:10250`,
          '--write-out',
          ' %{http_code}',
          ...headers.flatMap((header) => ['--header', header]),
          `https://${HOST}${API}/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions`,
        ]);
        return stdout;
      };
      assert.match(await ask(), /"reason":"Unauthorized".* 401$/s);
      assert.match(await ask('X-Remote-User: kubernetes-admin', 'X-Remote-Group: system:masters'), / 401$/);
      assert.match(await ask('Authorization: Bearer made-up'), / 401$/);
      assert.match(
        await ask(`Authorization: Bearer ${stranger}`),
        /User \\"system:serviceaccount:default:stranger\\" cannot get resource.* 403$/s,
      );
      assert.match(await ask(`Authorization: Bearer ${reader}`), /"value":"6".* 200$/s);
      assert.match(
        await ask(`Authorization: Bearer ${stranger}`, 'X-Remote-User: kubernetes-admin'),
        / 403$/,
        'a user can’t speak for another',
      );
      const forged = operator.cluster.exec('curl', [
        '--silent',
        '--show-error',
        '--cacert',
        ca,
        `https://${status.podIP}:10250/`,
      ]);
      await assert.rejects(forged, /SSL|certificate/, 'the certificate is for the Service’s name only');
    }
    await assert.rejects(
      raw('/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions', '--as=somebody'),
      /cannot get resource "wavryrelays\.wavry\.dev\/active_sessions"/,
    );
  });

  test('an upgrade leaves the authority as it is', async () => {
    const before = await Promise.all(METRICS_API_SERVICES.map(apiService));
    assert.ok(before.every((service) => (service?.spec.caBundle?.length ?? 0) > 100));
    await operator.helm(
      'upgrade',
      'wavry',
      CHART,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--reuse-values',
      '--set=serviceAccount.annotations.again=yes',
      '--set=replicas=1',
      '--wait',
      '--timeout=200s',
    );
    const after = await Promise.all(METRICS_API_SERVICES.map(apiService));
    assert.deepEqual(
      after.map((service) => service?.spec),
      before.map((service) => service?.spec),
    );
    await until(
      'metrics after the upgrade',
      async () =>
        (await values('/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions'))[0]
          ?.value === String(SESSIONS),
    );
  });

  test('somebody else’s APIService is left alone, and the condition names it', async () => {
    peers?.kill('SIGTERM');
    const name = METRICS_API_SERVICES[0]!;
    const service = FOREIGN_SERVICE;
    const patch = (spec: object): Promise<string> => patchService(name, spec);
    await patch({ service, caBundle: null, insecureSkipTLSVerify: true });
    await operator.whenCondition('games', 'Autoscaling', {
      status: 'False',
      reason: 'ForeignMetricsAPI',
      message: /v1beta1\.custom\.metrics\.k8s\.io belongs to Service monitoring\/prometheus-adapter/,
    });
    await operator.whenCondition('games', 'Ready', { status: 'True' });
    const left = await apiService(name);
    assert.deepEqual(left?.spec.service, service);
    assert.equal(left?.spec.caBundle, undefined);

    const upgrade = (): Promise<string> =>
      operator.helm(
        'upgrade',
        'wavry',
        CHART,
        `--namespace=${OPERATOR_NAMESPACE}`,
        '--reset-then-reuse-values',
        '--wait',
        '--timeout=200s',
      );
    // Twice, as the first leaves another release behind than it found.
    for (const time of ['first', 'second']) {
      assert.match(
        await upgrade(),
        /belongs to Service monitoring\/prometheus-adapter\. It is left alone/,
        time,
      );
      const still = await apiService(name);
      assert.deepEqual(still?.spec.service, service, time);
      // Two owners of two versions would be in each other's way.
      assert.equal(await apiService(METRICS_API_SERVICES[1]!), undefined, time);
    }

    await patch({
      service: { ...service, name: SERVICE, namespace: OPERATOR_NAMESPACE },
      insecureSkipTLSVerify: null,
    });
    await upgrade();
    await operator.whenCondition('games', 'Autoscaling', { reason: 'Active' });
    assert.equal((await apiService(name))?.metadata.annotations?.['helm.sh/resource-policy'], undefined);
  });

  test('one that somebody has taken over outlives the value that makes none, and helm uninstall', async () => {
    const name = METRICS_API_SERVICES[0]!;
    await patchService(name, { service: FOREIGN_SERVICE, caBundle: null, insecureSkipTLSVerify: true });
    await operator.helm(
      'upgrade',
      'wavry',
      CHART,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--reset-then-reuse-values',
      '--set=customMetrics.apiServices=false',
      '--wait',
      '--timeout=200s',
    );
    await operator.helm('uninstall', 'wavry', `--namespace=${OPERATOR_NAMESPACE}`, '--wait');
    assert.deepEqual((await apiService(name))?.spec.service, FOREIGN_SERVICE);
    await operator.cluster.kubectl(['delete', 'apiservice', name]);
    await operator.installOperator();
    await until(
      'its answers',
      async () =>
        (await values('/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions')).length ===
        1,
    );
    await operator.whenCondition('games', 'Autoscaling', { reason: 'Active' });
  });

  test('helm uninstall takes the APIServices first', async () => {
    const byHelm = (): (string | undefined)[] =>
      operator
        .auditLines()
        .map((line) => JSON.parse(line) as AuditLine)
        .filter(
          ({ verb, userAgent, stage }) =>
            verb === 'delete' && stage === 'ResponseComplete' && /^(Helm|helm)/.test(userAgent ?? ''),
        )
        .map(({ objectRef }) => objectRef?.resource);
    // With one operator instead of two, the upgrade above took the PodDisruptionBudget away.
    const before = byHelm().length;
    await operator.helm('uninstall', 'wavry', `--namespace=${OPERATOR_NAMESPACE}`, '--wait');
    const deletions = byHelm().slice(before);
    assert.deepEqual(deletions.slice(0, 2), ['apiservices', 'apiservices']);
    assert.ok(deletions.indexOf('deployments') > 1);
    assert.equal(await apiService(METRICS_API_SERVICES[0]!), undefined);
  });

  test('a namespace deleted under the operator freezes the others until the documented line was run', async () => {
    await operator.installOperator();
    await operator.cluster.kubectl([
      'wait',
      `apiservice/${METRICS_API_SERVICES[1]}`,
      '--for=condition=Available',
      '--timeout=60s',
    ]);
    await operator.cluster.kubectl(['create', 'namespace', 'innocent']);
    await operator.cluster.kubectl(['delete', 'namespace', OPERATOR_NAMESPACE, '--wait=false']);
    await operator.cluster.kubectl([
      'wait',
      `apiservice/${METRICS_API_SERVICES[1]}`,
      '--for=condition=Available=False',
      '--timeout=60s',
    ]);
    await operator.cluster.kubectl(['delete', 'namespace', 'innocent', '--wait=false']);
    await until('the deletion to be held up', async () =>
      /DiscoveryFailed/.test(
        await operator.cluster.kubectl(['get', 'namespace', 'innocent', '--output=json']),
      ),
    );
    const [command, ...line] = documentedLine();
    assert.equal(command, 'kubectl');
    await operator.cluster.kubectl(line);
    await operator.cluster.kubectl(['wait', 'namespace/innocent', '--for=delete', '--timeout=200s']);
  });
});

interface AuditLine {
  readonly verb: string;
  readonly stage: string;
  readonly userAgent?: string;
  readonly objectRef?: { readonly resource: string };
}

/** All values that are told until the signal, each once. A refusal to tell is none: an HPA holds then. */
async function watch<Value>(look: () => Promise<Value>, signal: AbortSignal): Promise<Value[]> {
  const seen = new Set<Value>();
  while (!signal.aborted) {
    const value = await look().catch(() => undefined);
    if (value !== undefined) seen.add(value);
  }
  return [...seen];
}

/** As NOTES print it. */
function documentedLine(): readonly string[] {
  const notes = readFileSync(join(CHART, 'templates/NOTES.txt'), 'utf8');
  const line = /^ {2}(kubectl delete apiservice .+)$/m.exec(notes)?.[1];
  assert.ok(line, 'the notes have the line');
  return line.split(' ');
}
