import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { KubeConfig } from '@kubernetes/client-node';

import { findBinaries } from '../../local/cluster/binaries.ts';
import { type Cluster, startCluster } from '../../local/cluster/cluster.ts';
import { KubeClient } from '../../operator/kube/client.ts';
import { Connection } from '../../operator/kube/connection.ts';
import { BenchError } from '../bench-error.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const NAMESPACE = 'wavry-system';
const RELEASE = 'wavry-relay-operator';
const PODS_PER_NODE = 100;
const OPERATOR_IMAGE = 'ghcr.io/wavry/wavry-relay-operator';
/** What Node gives itself under the chart's memory limit of 512Mi, as the local cluster's nodes enforce none. */
const HEAP = '--max-old-space-size=256';
export const MASTER_URL = 'http://198.18.0.1:8080';
/** Name under which the API server knows the operator. */
export const OPERATOR_USER = `system:serviceaccount:${NAMESPACE}:${RELEASE}`;

/** A real control plane with the operator as its chart installs it, a development Master, and simulated relays. */
export interface Site {
  readonly cluster: Cluster;
  readonly client: KubeClient;
  /** The operator's /metrics. */
  operatorMetrics(): Promise<string>;
  /** Ends the operator's pod and resolves when its successor is ready. */
  restartOperator(): Promise<void>;
  stop(): Promise<void>;
}

/** @param relays how many the nodes must have room for */
export async function startSite(relays: number): Promise<Site> {
  const run = promisify(execFile);
  const { helm } = await findBinaries(['helm']);
  const limits = ['--kube-api-qps=300', '--kube-api-burst=600'];
  // A node for the operator alone, and some room left for the scheduler to choose.
  const count = 2 + Math.ceil(relays / PODS_PER_NODE);
  const cluster = await startCluster({
    auditLog: true,
    nodes: Array.from({ length: count }, (_, index) => ({
      name: `node-${index + 1}`,
      capacity: { cpu: '64', memory: '256Gi' },
    })),
    images: {
      [OPERATOR_IMAGE]: { command: [process.execPath, HEAP, join(ROOT, 'operator/main.ts')] },
      'ghcr.io/wavry/wavry-relay': { simulated: true },
    },
    extraFlags: { 'kube-controller-manager': limits, 'kube-scheduler': limits },
  });
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const connection = new Connection(config);
  const client = new KubeClient(connection, { userAgent: 'wavry-relay-bench' });
  const operatorPod = async (): Promise<OperatorPod | undefined> => {
    const text = await cluster.kubectl(['get', 'pods', `--namespace=${NAMESPACE}`, '--output=json']);
    return (JSON.parse(text) as { items: OperatorPod[] }).items.find(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
    );
  };
  const site: Site = {
    cluster,
    client,
    operatorMetrics: async () => {
      const pod = await operatorPod();
      if (!pod) throw new BenchError('bench operator: the operator is not ready');
      const url = `http://${pod.status.podIP}:8080/metrics`;
      return (await cluster.exec('curl', ['--silent', '--fail', '--max-time', '10', url])).stdout;
    },
    restartOperator: async () => {
      const old = await operatorPod();
      if (!old) throw new BenchError('bench operator: the operator is not ready');
      await cluster.kubectl(['delete', 'pod', old.metadata.name, `--namespace=${NAMESPACE}`]);
      for (let tries = 0; tries < 300; tries += 1) {
        if ((await operatorPod())?.metadata.uid !== old.metadata.uid && (await operatorPod())) return;
        await sleep(1000);
      }
      throw new BenchError('bench operator: the restarted operator did not become ready within 300 s');
    },
    stop: async () => {
      await connection.close();
      await cluster.stop();
    },
  };
  try {
    for (const [program, ready] of [
      ['local/master/main.ts', ['--listen=198.18.0.1:8080', '--allow-public-bind', '--admin-token=bench']],
      ['bench/operator/stand-in.ts', []],
    ] as const) {
      const child = cluster.spawn(process.execPath, [join(ROOT, program), ...ready], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout!, 'data');
      child.stdout!.resume();
    }
    const chart = join(ROOT, 'helm', 'wavry-relay-operator');
    const flags = [
      `--namespace=${NAMESPACE}`,
      '--create-namespace',
      '--wait',
      '--timeout=120s',
      '--set=replicas=1',
    ];
    await run(helm, ['install', RELEASE, chart, ...flags], {
      env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    });
  } catch (error) {
    await site.stop();
    throw error;
  }
  return site;
}

interface OperatorPod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}
