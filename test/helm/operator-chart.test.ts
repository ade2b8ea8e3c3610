import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';

import { parse, parseAllDocuments } from 'yaml';

import { operatorReadme } from '../../helm/operator-readme.ts';
import { findBinaries } from '../../local/cluster/binaries.ts';
import { CHART, ROOT, runHelm } from '../e2e/operator/operator-cluster.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly rules?: readonly Rule[];
  readonly spec?: Readonly<Record<string, unknown>>;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface PodSpec {
  readonly securityContext: unknown;
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly image: string;
    readonly securityContext: unknown;
    readonly resources: unknown;
    readonly ports: readonly { readonly name: string }[];
  }[];
  readonly nodeSelector?: unknown;
  readonly affinity: unknown;
  readonly topologySpreadConstraints?: unknown;
}

suite('the templates of the operator’s chart', () => {
  let helm: string;
  before(async () => ({ helm } = await findBinaries(['helm'])));

  async function render(...args: readonly string[]): Promise<Manifest[]> {
    const text = await runHelm(helm, ['template', 'wavry', CHART, '--namespace=wavry-system', ...args]);
    return parseAllDocuments(text).flatMap((document) => (document.toJS() as Manifest | null) ?? []);
  }

  const ofKind = (manifests: readonly Manifest[], kind: string): Manifest[] =>
    manifests.filter((manifest) => manifest.kind === kind);

  function pod(manifests: readonly Manifest[]): PodSpec {
    const [deployment] = ofKind(manifests, 'Deployment');
    return (deployment!.spec!['template'] as { spec: PodSpec }).spec;
  }

  test('helm lint has nothing to say, with the values as they are and with namespaces', async () => {
    for (const args of [[], ['--set=namespaces={games,lab}']]) {
      const said = await runHelm(helm, ['lint', '--strict', CHART, ...args]);
      assert.doesNotMatch(said, /\[(WARNING|ERROR)\]/);
    }
  });

  for (const [args, wrong] of [
    [['--set=replica=3'], /'replica'/],
    [['--set=replicas=two'], /replicas/],
    [['--set=image.tags=1'], /'tags'/],
    [['--set=image.pullPolicy=Sometimes'], /pullPolicy/],
    [['--set=namespaces=games'], /namespaces/],
    [['--set=namespaces={games,games}'], /namespaces/],
    [['--set=namespaces={Games}'], /namespaces/],
    [['--set=crd.keep=maybe'], /keep/],
    [['--set=crd.remove=true'], /'remove'/],
    [['--set=serviceAccount.annotation.a=b'], /'annotation'/],
    [['--set=logLevel=verbose'], /logLevel/],
    [['--set-json=resources=[]'], /resources/],
    [['--set=monitoring.servicemonitor=true'], /'servicemonitor'/],
    [['--set=monitoring.runbookUrl=wiki'], /runbookUrl': 'wiki' does not match/],
    [['--set=networkpolicy.enabled=false'], /'networkpolicy'/],
    [['--set=networkPolicy.enable=false'], /'\/networkPolicy'.*'enable'/],
    [['--set-json=networkPolicy.metricsFrom=[{"podselector":{}}]'], /metricsFrom\/0'.*'podselector'/],
    [['--set-json=networkPolicy.egress=[{"from":[]}]'], /egress\/0'.*'from'/],
    [['--set=image.digest=latest'], /\/image\/digest': 'latest' does not match/],
    [['--set-json=image.pullSecrets=["mine"]'], /pullSecrets\/0': got string, want object/],
    [['--set-json=image.pullSecrets=[{"nme":"mine"}]'], /pullSecrets\/0': .*'nme'/],
    [['--set-json=podLabels={"a":1}'], /podLabels\/a': got number, want string/],
    [['--set=resources.limit.cpu=1'], /'\/resources'.*'limit'/],
    [['--set-json=tolerations=[{"keys":"a"}]'], /tolerations\/0'.*'keys'/],
    [['--set-json=affinity={"podAntiAffinty":{}}'], /'\/affinity'.*'podAntiAffinty'/],
    [
      ['--set-json=affinity={"podAntiAffinity":{"preferred":[]}}'],
      /'\/affinity\/podAntiAffinity'.*'preferred'/,
    ],
    [['--set-json=networkPolicy.metricsFrom=[{"podSelector":{"a":"b"}}]'], /podSelector'.*'a'/],
    [['--set-json=topologySpreadConstraints=[{"maxSkew":1}]'], /topologySpreadConstraints\/0'.*missing/],
    [['--set=fullnameOverride=9lives'], /fullnameOverride'.*does not match/],
    [
      ['--set=customMetrics.port=8080'],
      /customMetrics\.port: 8080 is the port of the probes.*choose another/,
    ],
    [['--set=customMetrics.port=443'], /customMetrics\/port': minimum: got 443, want 1,?024/],
  ] as const) {
    test(`${args.join(' ')} is refused in one line that names the value`, async () => {
      await assert.rejects(render(...args), ({ message }: Error) => {
        const [line, ...more] = message.split('\n').filter((text) => /^- at |^Error: execution/.test(text));
        assert.deepEqual(more, []);
        assert.match(line ?? message, wrong);
        return true;
      });
    });
  }

  test('what a cluster doesn’t know is told in one line before anything is done', async () => {
    const monitored = ['--set=monitoring.serviceMonitor=true', '--set=monitoring.prometheusRule=true'];
    const cluster = ['--api-versions=apiregistration.k8s.io/v1'];
    await assert.rejects(
      render(...monitored, ...cluster),
      /monitoring\.(serviceMonitor|prometheusRule): this cluster knows no .*install the Prometheus Operator first/,
    );
    const kinds = ['ServiceMonitor', 'PrometheusRule'].map(
      (kind) => `--api-versions=monitoring.coreos.com/v1/${kind}`,
    );
    await render(...monitored, ...cluster, ...kinds);
  });

  test('the schema knows every value, and nothing that there isn’t', () => {
    const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as unknown;
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
    const { properties: { global: _global, ...properties } = {} } = schema;
    compare('', values, { ...schema, properties });
  });

  test('the schema takes names that it doesn’t know only where names are free: helm lets through what Kubernetes doesn’t know', () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
    const isOpen = ({ type, properties, additionalProperties }: Schema): boolean =>
      type === 'object' &&
      (properties === undefined ? additionalProperties === undefined : additionalProperties !== false);
    const all = [...schemasOf(schema, schema)];
    assert.ok(all.length > 150);
    const open = all.filter(([, below]) => isOpen(below)).map(([path]) => path);
    assert.deepEqual(open, ['.global']);
  });

  test('the README has a row for each value, with its default', () => {
    const readme = readFileSync(join(CHART, 'README.md'), 'utf8');
    const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Record<string, unknown>;
    const leaves = Object.entries(values).flatMap(([name, value]) =>
      WHOLE.has(`.${name}`) ||
      typeof value !== 'object' ||
      Array.isArray(value) ||
      Object.keys(value!).length === 0
        ? [[name, value] as const]
        : Object.entries(value!).map(([below, leaf]) => [`${name}.${below}`, leaf as unknown] as const),
    );
    assert.ok(leaves.length > 30);
    for (const [path, value] of leaves) {
      const row = readme.split('\n').find((line) => line.startsWith(`| \`${path}\` | `));
      assert.ok(row?.includes(`| \`${JSON.stringify(value)}\` | `), `${path}: ${row}`);
    }
  });

  test('a value without a comment, or one that the schema lacks, gets no README', () => {
    const schema = { properties: { a: { type: 'string' } } };
    assert.throws(() => operatorReadme("a: ''\n", schema), /values\.yaml: a has no comment/);
    assert.throws(() => operatorReadme("# A.\nb: ''\n", schema), /values\.schema\.json doesn't know b/);
    assert.match(
      operatorReadme("# A thing.\na: ''\n", schema),
      /^\| `a` \| string \| `""` \| A thing\. \|$/m,
    );
  });

  test('the CRD is the one that the operator knows, and is kept on uninstall unless told otherwise', async () => {
    const [crd] = ofKind(await render(), 'CustomResourceDefinition');
    const generated = parse(readFileSync(join(ROOT, 'crds/wavryrelays.wavry.dev.yaml'), 'utf8')) as Manifest;
    assert.deepEqual(crd!.spec, generated.spec);
    const policy = ({ metadata }: Manifest): string | undefined =>
      metadata.annotations?.['helm.sh/resource-policy'];
    assert.equal(policy(crd!), 'keep');
    const [left] = ofKind(await render('--set=crd.keep=false'), 'CustomResourceDefinition');
    assert.equal(policy(left!), undefined);
    assert.deepEqual(ofKind(await render('--set=crd.install=false'), 'CustomResourceDefinition'), []);
  });

  test('the operator’s pod is one that restricted pod security admits', async () => {
    const { securityContext, containers } = pod(await render());
    assert.deepEqual(securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    assert.deepEqual(containers[0]!.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test('helm test runs the operator’s own image as the operator’s pod runs, and is no operator to anybody', async () => {
    const manifests = await render('--set=image.pullSecrets[0].name=mine', '--set=image.tag=1.2.3');
    const operator = pod(manifests);
    const [test, ...more] = ofKind(manifests, 'Pod');
    assert.deepEqual(more, []);
    assert.equal(test!.metadata.annotations?.['helm.sh/hook'], 'test');
    const spec = test!.spec as unknown as PodSpec & Readonly<Record<string, unknown>>;
    for (const part of ['securityContext', 'imagePullSecrets'] as const)
      assert.deepEqual(spec[part], (operator as typeof spec)[part], part);
    for (const part of ['image', 'securityContext', 'resources'] as const)
      assert.deepEqual(spec.containers[0]![part], operator.containers[0]![part], part);
    const { matchLabels } = ofKind(manifests, 'Deployment')[0]!.spec!['selector'] as {
      matchLabels: Record<string, string>;
    };
    assert.ok(Object.entries(matchLabels).some(([name, value]) => test!.metadata.labels?.[name] !== value));
    const selector = Object.entries(matchLabels).map(([name, value]) => `${name}=${value}`);
    assert.deepEqual(spec.containers[0]!.args, [
      'check',
      `--selector=${selector.join(',')}`,
      '--custom-metrics',
    ]);
    const without = ofKind(await render('--set=customMetrics.enabled=false'), 'Pod')[0]!
      .spec as unknown as PodSpec;
    assert.ok(!without.containers[0]!.args.includes('--custom-metrics'));
  });

  test('no pod of the chart goes to a Windows node, whatever else a person asks of its node', async () => {
    const manifests = await render('--set=nodeSelector.pool=system');
    const wanted = { 'kubernetes.io/os': 'linux', pool: 'system' };
    assert.deepEqual(pod(manifests).nodeSelector, wanted);
    assert.deepEqual(ofKind(manifests, 'Pod')[0]!.spec!['nodeSelector'], wanted);
  });

  test('what is made for Prometheus is made when it is asked for, and clashes with nothing', async () => {
    const plain = await render();
    assert.deepEqual([...ofKind(plain, 'ServiceMonitor'), ...ofKind(plain, 'PrometheusRule')], []);
    const watched = await render(
      '--set=monitoring.serviceMonitor=true',
      '--set=monitoring.prometheusRule=true',
      '--set=monitoring.labels.release=prometheus',
    );
    const objects = watched.map(
      ({ kind, metadata }) => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`,
    );
    assert.equal(new Set(objects).size, objects.length, objects.join(', '));
    const [monitor] = ofKind(watched, 'ServiceMonitor');
    const [rule] = ofKind(watched, 'PrometheusRule');
    for (const { metadata } of [monitor!, rule!]) assert.equal(metadata.labels?.['release'], 'prometheus');
    const wanted = Object.entries((monitor!.spec!['selector'] as { matchLabels: object }).matchLabels);
    const selected = ofKind(watched, 'Service').filter(({ metadata }) =>
      wanted.every(([key, value]) => metadata.labels?.[key] === value),
    );
    assert.equal(selected.length, 1, 'one Service, so that each operator is scraped once');
    const alerts = readFileSync(join(CHART, 'files/alerts.yaml'), 'utf8');
    const names = [...alerts.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name]) => name);
    const [group] = (rule!.spec as { groups: [{ rules: { alert: string }[] }] }).groups;
    assert.deepEqual(
      group.rules.map(({ alert }) => alert),
      names,
    );
  });

  test('several operators go one at a time, and prefer nodes of their own', async () => {
    const manifests = await render('--set=replicas=3');
    const [budget, ...more] = ofKind(manifests, 'PodDisruptionBudget');
    assert.deepEqual(more, []);
    const { labels } = (
      ofKind(manifests, 'Deployment')[0]!.spec!['template'] as { metadata: { labels: object } }
    ).metadata;
    const { selector, ...rest } = budget!.spec as { selector: { matchLabels: object } };
    assert.deepEqual(rest, { maxUnavailable: 1, unhealthyPodEvictionPolicy: 'AlwaysAllow' });
    assert.deepEqual({ ...labels, ...selector.matchLabels }, labels, 'it selects the operator’s pods');
    const { podAntiAffinity } = pod(manifests).affinity as { podAntiAffinity: object };
    assert.deepEqual(Object.keys(podAntiAffinity), ['preferredDuringSchedulingIgnoredDuringExecution']);
    // With one, a budget would hold up every node's drain or say nothing.
    for (const replicas of [0, 1])
      assert.deepEqual(ofKind(await render(`--set=replicas=${replicas}`), 'PodDisruptionBudget'), []);
  });

  test('the network policy opens the ports that are served, and closes what goes out only when told to where', async () => {
    const policyOf = async (...args: readonly string[]): Promise<Manifest['spec']> =>
      ofKind(await render(...args), 'NetworkPolicy')[0]?.spec;
    const metrics = {
      from: [{ namespaceSelector: {} }],
      ports: [{ protocol: 'TCP', port: 'http' }],
    };
    const api = { ports: [{ protocol: 'TCP', port: 'metrics-api' }] };
    const standard = await policyOf();
    assert.deepEqual([standard!['policyTypes'], standard!['ingress']], [['Ingress'], [metrics, api]]);
    const served = pod(await render()).containers[0]!.ports.map(({ name }) => name);
    assert.deepEqual(served, ['http', 'metrics-api']);

    const without = await policyOf('--set=customMetrics.enabled=false');
    assert.deepEqual(without!['ingress'], [metrics]);
    const nobody = await policyOf('--set-json=networkPolicy.metricsFrom=[]');
    assert.deepEqual(nobody!['ingress'], [api]);
    const to = { to: [{ ipBlock: { cidr: '10.0.0.1/32' } }], ports: [{ protocol: 'TCP', port: 6443 }] };
    const closed = await policyOf(`--set-json=networkPolicy.egress=[${JSON.stringify(to)}]`);
    assert.deepEqual(closed!['policyTypes'], ['Ingress', 'Egress']);
    const [names, relays, own] = closed!['egress'] as readonly { readonly ports: readonly object[] }[];
    assert.deepEqual(names!.ports, [
      { protocol: 'UDP', port: 53 },
      { protocol: 'TCP', port: 53 },
    ]);
    assert.deepEqual(relays!.ports, [{ protocol: 'TCP', port: 'health' }]);
    assert.deepEqual(own, to);
    assert.equal(await policyOf('--set=networkPolicy.enabled=false'), undefined);
  });

  test('no right is a wildcard, and Secrets are read by name alone', async () => {
    for (const manifests of [await render(), await render('--set=namespaces={games}')]) {
      const rules = manifests.flatMap((manifest) => manifest.rules ?? []);
      assert.ok(rules.length > 10);
      for (const { apiGroups, resources, resourceNames, verbs } of rules) {
        assert.ok(![...apiGroups, ...resources, ...verbs].includes('*'));
        if (!resources.includes('secrets')) continue;
        // The certificate of custom metrics is the one Secret of its own.
        const own = resourceNames?.join() === 'wavry-wavry-relay-operator-metrics';
        assert.deepEqual([resources, verbs], [['secrets'], own ? ['get', 'patch'] : ['get']]);
      }
    }
  });

  test('with namespaces the rights are Roles in them, and cluster-wide it may only look at nodes', async () => {
    const noMetrics = '--set=customMetrics.enabled=false';
    const manifests = await render('--set=namespaces={games,lab}', noMetrics);
    const [clusterRole, ...further] = ofKind(manifests, 'ClusterRole');
    assert.deepEqual(further, []);
    assert.deepEqual(clusterRole!.rules, [
      { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
    ]);
    const wide = await render(noMetrics);
    const [everywhere] = ofKind(wide, 'ClusterRole');
    for (const kind of ['Role', 'RoleBinding']) {
      const places = (list: readonly Manifest[]): string[] =>
        ofKind(list, kind)
          .map(({ metadata }) => metadata.namespace ?? '')
          .toSorted();
      // In the operator's own: one for its Lease, and one for "helm test".
      assert.deepEqual(places(manifests), ['games', 'lab', 'wavry-system', 'wavry-system']);
      assert.deepEqual(places(wide), ['wavry-system', 'wavry-system']);
    }
    const [games] = ofKind(manifests, 'Role').filter(({ metadata }) => metadata.namespace === 'games');
    assert.deepEqual([...clusterRole!.rules, ...games!.rules!], everywhere!.rules);
    assert.ok(pod(manifests).containers[0]!.args.includes('--namespaces=games,lab'));
    assert.ok(!pod(wide).containers[0]!.args.some((arg) => arg.startsWith('--namespaces')));
  });

  test('custom metrics bring two APIServices, and rights by name only', async () => {
    const manifests = await render('--set=customMetrics.port=12345');
    const without = await render('--set=customMetrics.enabled=false');
    const services = ofKind(manifests, 'APIService');
    assert.deepEqual(
      services.map(({ metadata }) => metadata.name),
      ['v1beta1.custom.metrics.k8s.io', 'v1beta2.custom.metrics.k8s.io'],
    );
    const place = { namespace: 'wavry-system', name: 'wavry-wavry-relay-operator-metrics', port: 443 };
    for (const service of services) {
      const spec = service.spec ?? {};
      assert.deepEqual(spec['service'], place);
      // Both are the operator's to write: here they would be put back at each upgrade.
      assert.equal(spec['caBundle'], undefined);
      assert.equal(spec['insecureSkipTLSVerify'], undefined);
    }
    assert.deepEqual(ofKind(without, 'APIService'), []);
    // All but what may be somebody else's; an older chart's values don't have this one.
    const named = (list: readonly Manifest[]): string[] =>
      list.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    const bare = await render('--set=customMetrics.apiServices=false');
    assert.deepEqual(
      named(bare),
      named(manifests).filter((name) => !name.startsWith('APIService/')),
    );
    const [check] = ofKind(bare, 'Pod');
    assert.doesNotMatch(JSON.stringify(check), /--custom-metrics/);
    assert.deepEqual(named(await render('--set=customMetrics.apiServices=null')), named(manifests));
    const known = new Set(without.flatMap(({ rules }) => rules ?? []).map((rule) => JSON.stringify(rule)));
    const added = manifests
      .flatMap(({ rules }) => rules ?? [])
      .filter((rule) => !known.has(JSON.stringify(rule)));
    assert.equal(added.length, 2);
    assert.ok(added.every(({ resourceNames }) => (resourceNames?.length ?? 0) > 0));
    // A pod of an IPv6 cluster has no IPv4 address that its probes could ask.
    for (const listen of ['--listen=[::]:8080', '--metrics-api-listen=[::]:12345'])
      assert.ok(pod(manifests).containers[0]!.args.includes(listen));
    assert.ok(!pod(without).containers[0]!.args.some((arg) => arg.startsWith('--metrics-api')));
  });

  test('values come through as they are, whatever is in them', async () => {
    const manifests = await render(
      '--set-json=namespaces=["2048"]',
      '--set-json=extraArgs=["--user-agent=a: b # c","--x={{ .Values }}"]',
      '--set=relayImage=registry.example.com/relay@sha256:abc',
      '--set=monitoring.runbookUrl=https://wiki.example.com/relays',
      '--set=image.tag=1.2.3',
      '--set-json=podLabels={"team":"yes"}',
      '--set-json=topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}]',
    );
    assert.deepEqual(pod(manifests).topologySpreadConstraints, [
      { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' },
    ]);
    const { args, image } = pod(manifests).containers[0]!;
    assert.deepEqual(args.slice(-4), [
      '--relay-image=registry.example.com/relay@sha256:abc',
      '--runbook-url=https://wiki.example.com/relays',
      '--user-agent=a: b # c',
      '--x={{ .Values }}',
    ]);
    assert.match(image, /wavry-relay-operator:1\.2\.3$/);
    const digest = `sha256:${'0f'.repeat(32)}`;
    const mirror = await render(
      '--set=image.repository=mirror.example.com:5000/op',
      `--set=image.digest=${digest}`,
    );
    assert.match(
      pod(mirror).containers[0]!.image,
      /^mirror\.example\.com:5000\/op:\d+\.\d+\.\d+@sha256:(0f){32}$/,
    );
    const role = ofKind(manifests, 'Role').find(({ metadata }) => metadata.namespace !== 'wavry-system');
    assert.equal(role!.metadata.namespace, '2048');
  });

  test('labels of one’s own are added, and take the place of none that objects are found by', async () => {
    const mine = '{"team":"net","app.kubernetes.io/name":"mine","helm.sh/chart":"mine"}';
    const manifests = await render(
      `--set-json=podLabels=${mine}`,
      `--set-json=monitoring={"serviceMonitor":true,"prometheusRule":true,"labels":${mine}}`,
    );
    const { metadata } = ofKind(manifests, 'Deployment')[0]!.spec!['template'] as Pick<Manifest, 'metadata'>;
    for (const { labels } of [
      metadata,
      ...['ServiceMonitor', 'PrometheusRule'].map((kind) => ofKind(manifests, kind)[0]!.metadata),
    ]) {
      assert.equal(labels?.['team'], 'net');
      assert.equal(labels?.['app.kubernetes.io/name'], 'wavry-relay-operator');
      assert.match(labels?.['helm.sh/chart'] ?? '', /^wavry-relay-operator-/);
    }
  });

  test('a service account of one’s own is used and not made', async () => {
    const manifests = await render('--set=serviceAccount.create=false', '--set=serviceAccount.name=mine');
    assert.deepEqual(
      ofKind(manifests, 'ServiceAccount').map(({ metadata }) => metadata.name),
      ['wavry-wavry-relay-operator-test'],
    );
    assert.ok(JSON.stringify(pod(manifests)).includes('"serviceAccountName":"mine"'));
    const bindings = [...ofKind(manifests, 'RoleBinding'), ...ofKind(manifests, 'ClusterRoleBinding')];
    for (const binding of bindings.filter(({ metadata }) => !metadata.name.endsWith('-test'))) {
      const { subjects } = binding as unknown as { subjects: { name: string }[] };
      assert.deepEqual(
        subjects.map(({ name }) => name),
        ['mine'],
      );
    }
  });
});

interface Schema {
  readonly $ref?: string;
  readonly definitions?: Readonly<Record<string, Schema>>;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
  readonly items?: Schema;
}

/** Fields of Kubernetes, of which the values have some; or maps with names of a person’s own. */
const WHOLE: ReadonlySet<string> = new Set(['.resources', '.affinity', '.nodeSelector']);

/** Every schema in one, with its path. */
function* schemasOf(root: Schema, schema: Schema, path = ''): Generator<readonly [string, Schema]> {
  const name = /^#\/definitions\/(.+)$/.exec(schema.$ref ?? '')?.[1];
  if (name !== undefined) {
    yield* schemasOf(root, root.definitions![name]!, path);
    return;
  }
  yield [path, schema];
  if (schema.items) yield* schemasOf(root, schema.items, `${path}[]`);
  for (const [field, below] of Object.entries(schema.properties ?? {}))
    yield* schemasOf(root, below, `${path}.${field}`);
}

/** Every object with fixed fields has just those of the schema, and the schema takes no others. */
function compare(path: string, values: unknown, schema: Schema): void {
  if (schema.properties === undefined) return;
  assert.equal(schema.additionalProperties, false, `${path || 'the top'} takes any name`);
  if (WHOLE.has(path)) return;
  assert.deepEqual(Object.keys(values as object).toSorted(), Object.keys(schema.properties).toSorted(), path);
  for (const [name, below] of Object.entries(schema.properties)) {
    compare(`${path}.${name}`, (values as Record<string, unknown>)[name], below);
  }
}
