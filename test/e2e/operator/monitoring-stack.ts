import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { stringify } from 'yaml';

import { findBinaries } from '../../../local/cluster/binaries.ts';
import type { ImageMap } from '../../../local/cluster/node-agent/images.ts';
import { type OperatorCluster, ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

const NAMESPACE = 'monitoring';
const PROMETHEUS = 'quay.io/prometheus/prometheus';
const OPERATOR = 'quay.io/prometheus-operator/prometheus-operator';
const RELOADER = 'quay.io/prometheus-operator/prometheus-config-reloader';
const ADDITIONAL = 'further-jobs';
const MODULE = 'github.com/prometheus-operator/prometheus-operator';

/** One element of the answer to an instant query: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

export interface Target {
  readonly health: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly lastError: string;
}

export interface LoadedRule {
  readonly name: string;
  readonly type: 'alerting' | 'recording';
  readonly health: string;
  readonly lastError?: string;
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly LoadedRule[];
}

export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: string;
}

/** The real programs, as what stands in for their images. */
export async function monitoringImages(): Promise<ImageMap> {
  const found = await findBinaries(['prometheus-operator', 'prometheus-config-reloader', 'prometheus']);
  return {
    [PROMETHEUS]: { command: [found.prometheus] },
    [OPERATOR]: { command: [found['prometheus-operator']] },
    [RELOADER]: {
      command: [found['prometheus-config-reloader']],
      programs: { '/bin/prometheus-config-reloader': found['prometheus-config-reloader'] },
    },
  };
}

/** The Prometheus Operator and one Prometheus that takes every ServiceMonitor and PrometheusRule, as people have them. */
export class MonitoringStack {
  readonly #cluster: OperatorCluster;
  #url = '';

  constructor(cluster: OperatorCluster) {
    this.#cluster = cluster;
  }

  /** CRDs first: what comes with the operator's chart needs them. */
  async installCrds(): Promise<void> {
    const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', MODULE], {
      cwd: join(ROOT, 'local/tools/prometheus-operator'),
      env: { ...process.env, GOWORK: 'off' },
    });
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    // Server-side, as they are too large for the annotation of a client's apply.
    await this.#cluster.cluster.kubectl([
      'apply',
      '--server-side',
      `--filename=${join(Dir, 'example/prometheus-operator-crd')}`,
    ]);
    // kubectl gives up on one that has no conditions yet.
    await until('the CRDs to be established', () =>
      this.#cluster.cluster.kubectl([
        'wait',
        '--for=condition=Established',
        '--timeout=60s',
        'crd/prometheuses.monitoring.coreos.com',
        'crd/servicemonitors.monitoring.coreos.com',
        'crd/prometheusrules.monitoring.coreos.com',
      ]),
    );
  }

  async start(): Promise<void> {
    await this.#cluster.apply(...prometheusOperator(), ...prometheus());
    await this.#whenAnswering();
  }

  async #whenAnswering(): Promise<void> {
    await until('Prometheus answers', async () => {
      const pods = await this.#cluster.cluster.kubectl([
        'get',
        'pods',
        `--namespace=${NAMESPACE}`,
        '--selector=app.kubernetes.io/name=prometheus',
        '--output=jsonpath={.items[*].status.podIP}',
      ]);
      if (pods === '') throw new Error('it has no pod yet');
      this.#url = `http://${pods}:9090`;
      return this.#cluster.fetch(`${this.#url}/-/ready`);
    });
  }

  /** Further jobs, as people write them into prometheus.yml who have no Prometheus Operator. */
  async scrapeToo(jobs: readonly object[]): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: ADDITIONAL, namespace: NAMESPACE },
      stringData: { [ADDITIONAL]: stringify(jobs) },
    });
    const kubectl = (args: readonly string[]): Promise<string> => this.#cluster.cluster.kubectl(args);
    const where = `--namespace=${NAMESPACE}`;
    const spec = { additionalScrapeConfigs: { name: ADDITIONAL, key: ADDITIONAL } };
    const patch = JSON.stringify({ spec });
    await kubectl([
      'patch',
      'prometheus.monitoring.coreos.com/all',
      where,
      '--type=merge',
      `--patch=${patch}`,
    ]);
    await until('the Prometheus Operator to have seen that', async () => {
      const text = await kubectl(['get', 'prometheus.monitoring.coreos.com/all', where, '--output=json']);
      const { metadata, status } = JSON.parse(text) as {
        metadata: { generation: number };
        status: { conditions: { type: string; observedGeneration: number }[] };
      };
      const reconciled = status.conditions.find(({ type }) => type === 'Reconciled');
      return reconciled?.observedGeneration === metadata.generation || undefined;
    });
    // The reloader beside it looks at the file by itself every three minutes only.
    await kubectl(['delete', 'pod', where, '--selector=app.kubernetes.io/name=prometheus']);
    await this.#whenAnswering();
  }

  async targets(): Promise<Target[]> {
    return (await this.#get<{ activeTargets: Target[] }>('targets?state=active')).activeTargets;
  }

  async rules(): Promise<RuleGroup[]> {
    return (await this.#get<{ groups: RuleGroup[] }>('rules')).groups;
  }

  async alerts(): Promise<ActiveAlert[]> {
    return (await this.#get<{ alerts: ActiveAlert[] }>('alerts')).alerts;
  }

  async query(expr: string): Promise<Sample[]> {
    return (await this.#get<{ result: Sample[] }>(`query?query=${encodeURIComponent(expr)}`)).result;
  }

  /** @param range Unix seconds */
  async queryRange(
    expr: string,
    range: { readonly start: number; readonly end: number },
    stepSeconds: number,
  ): Promise<Series[]> {
    const { start, end } = range;
    const query = `query=${encodeURIComponent(expr)}&start=${start}&end=${end}&step=${stepSeconds}`;
    return (await this.#get<{ result: Series[] }>(`query_range?${query}`)).result;
  }

  async #get<T>(path: string): Promise<T> {
    return (JSON.parse(await this.#cluster.fetch(`${this.#url}/api/v1/${path}`)) as { data: T }).data;
  }
}

function prometheusOperator(): object[] {
  const metadata = { name: 'prometheus-operator', namespace: NAMESPACE };
  const labels = { 'app.kubernetes.io/name': 'prometheus-operator' };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    // What rights it needs is its own affair, not what is proven here.
    bindingTo('prometheus-operator', 'cluster-admin'),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: 'prometheus-operator',
            containers: [
              {
                name: 'prometheus-operator',
                image: `${OPERATOR}:v0.85.0`,
                args: [`--prometheus-config-reloader=${RELOADER}:v0.85.0`],
              },
            ],
          },
        },
      },
    },
  ];
}

function prometheus(): object[] {
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'prometheus', namespace: NAMESPACE } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'prometheus' },
      rules: [
        {
          apiGroups: [''],
          resources: ['nodes', 'services', 'endpoints', 'pods'],
          verbs: ['get', 'list', 'watch'],
        },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
      ],
    },
    bindingTo('prometheus', 'prometheus'),
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'Prometheus',
      metadata: { name: 'all', namespace: NAMESPACE },
      spec: {
        image: `${PROMETHEUS}:v3.16.0`,
        version: 'v3.5.0',
        replicas: 1,
        serviceAccountName: 'prometheus',
        evaluationInterval: '5s',
        resources: { requests: { memory: '100Mi' } },
        serviceMonitorSelector: {},
        serviceMonitorNamespaceSelector: {},
        ruleSelector: {},
        ruleNamespaceSelector: {},
      },
    },
  ];
}

function bindingTo(account: string, role: string): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: account },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: NAMESPACE }],
  };
}
