import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

import { KubeConfig } from '@kubernetes/client-node';

import { customResourceDefinition } from '../../operator/api/crd.ts';
import { KubeClient } from '../../operator/kube/client.ts';
import { Connection } from '../../operator/kube/connection.ts';
import { CONTROL_PLANE_ADDRESS } from '../cluster/addresses.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { startCluster } from '../cluster/cluster.ts';
import { OWN_IMAGES } from '../cluster/own-images.ts';
import { shellLines } from '../cluster/shell-lines.ts';
import type { Start } from './crowd-process.ts';
import { CRDS } from './crd.ts';
import { FIELD_MANAGER } from './fleet.ts';
import { OperatorProcess } from './operator-process.ts';
import type { Site, SiteEvents } from './site.ts';

/**
 * A cluster of this demo's own, with the operator in it: installed by its chart, or started beside the pods where there
 * is no helm.
 *
 * @param helm the helm binary, or why there is none
 * @throws NoClusterError where this machine can't have one, Error for what could not be done on it.
 */
export async function openLocalSite(
  helm: string | Error,
  events: SiteEvents,
  signal: AbortSignal,
): Promise<Site> {
  events.say(`Starting the cluster: etcd, API server, controllers, scheduler, ${NODES} nodes …`);
  const began = performance.now();
  const cluster = await startCluster({
    nodes: NODES,
    images: OWN_IMAGES,
    // A restarted container is back while one watches.
    restartBackOff: { base: 1, max: 30 },
    onTrouble: (message) => events.onEnd(message.split('\n', 1)[0]!),
  }).catch((error: Error) => {
    throw new NoClusterError(error.message);
  });
  events.say(`The cluster is up after ${((performance.now() - began) / 1000).toFixed(1)} s.`);
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  const connection = new Connection(config);
  const client = new KubeClient(connection, { userAgent: 'wavry-demo' });
  const start: Start = (command, args, env) => cluster.spawn(command, args, { stdio: 'pipe', env });
  try {
    signal.throwIfAborted();
    const operator =
      helm instanceof Error
        ? await startOperator(cluster, client, start, helm, events)
        : await installOperator(cluster, helm, events, signal);
    return {
      title: `local cluster, ${NODES} nodes`,
      client,
      namespace: 'default',
      masterUrl: `http://${MASTER}`,
      masterListen: MASTER,
      adminToken: randomBytes(16).toString('hex'),
      start,
      shellLines: shellLines(cluster.kubeconfig, [cluster.binaries.kubectl]),
      operator,
      close: async () => {
        await connection.close();
        await cluster.stop();
      },
    };
  } catch (error) {
    await connection.close();
    await cluster.stop();
    throw error;
  }
}

/** The message is one line, or has the end of a log below it. */
export class NoClusterError extends Error {}

const NODES = 2;
const MASTER = `${CONTROL_PLANE_ADDRESS}:8080`;
const OPERATOR_LISTEN = `${CONTROL_PLANE_ADDRESS}:8081`;
const CHART = join(import.meta.dirname, '../../helm/wavry-relay-operator');
const RELEASE = { namespace: 'wavry-system', name: 'wavry' };

async function installOperator(
  cluster: Cluster,
  helm: string,
  { say }: SiteEvents,
  signal: AbortSignal,
): Promise<Site['operator']> {
  const { name, namespace } = RELEASE;
  const set = '--set=replicas=1,logFormat=text';
  const args = ['install', name, CHART, `--namespace=${namespace}`, '--create-namespace', set];
  say(`Installing CRD and operator: helm install ${name} helm/wavry-relay-operator …`);
  // Its caches go with the cluster.
  const home = join(cluster.directory, 'helm');
  await promisify(execFile)(helm, args, {
    signal,
    env: {
      ...process.env,
      KUBECONFIG: cluster.kubeconfig,
      HELM_CACHE_HOME: join(home, 'cache'),
      HELM_CONFIG_HOME: join(home, 'config'),
      HELM_DATA_HOME: join(home, 'data'),
    },
  }).catch((error: { stderr?: string; message: string }) => {
    throw new Error(`helm install failed: ${error.stderr?.trim().split('\n').at(-1) || error.message}`);
  });
  return { how: 'by its chart', deployment: { namespace, name: `${name}-wavry-relay-operator` } };
}

async function startOperator(
  cluster: Cluster,
  client: KubeClient,
  start: Start,
  why: Error,
  { say, onEnd }: SiteEvents,
): Promise<Site['operator']> {
  say(`The operator runs beside the pods, not by its chart: ${why.message}`);
  const crd = customResourceDefinition();
  await client.apply(CRDS, undefined, 'wavryrelays.wavry.dev', crd, FIELD_MANAGER);
  const flags = [
    `--kubeconfig=${cluster.kubeconfigInside}`,
    '--poll-through=proxy',
    '--lease-namespace=default',
    `--listen=${OPERATOR_LISTEN}`,
  ];
  // The cluster ends it.
  void new OperatorProcess(start, flags, join(cluster.logDirectory, 'operator.log'), onEnd);
  return { how: 'a process beside the pods' };
}

/** Where no kubectl is on the PATH, the cluster's own. */
