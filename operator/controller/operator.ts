import { hostname } from 'node:os';

import { KubeConfig } from '@kubernetes/client-node';
import type { Logger } from 'winston';

import { Label } from '../api/meta.ts';
import type { Config } from '../config/config.ts';
import { Poller } from '../fleet/poller.ts';
import { directTransport, type PollTarget, proxyTransport } from '../fleet/transport.ts';
import { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { LeaderElection } from '../kube/leader-election.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import { MANAGED_BY } from '../specs/object.ts';
import { ClusterView } from './cluster-view.ts';
import { Controller } from './controller.ts';
import { MasterWatch } from './master-watch.ts';
import { operatorMetrics } from './metrics.ts';
import { startProbeServer } from './probe-server.ts';

const CONTROLLER = 'wavryrelay';
const LEASE = 'wavry-relay-operator';

export interface Operator {
  /** Resolves with the reason when the operator can't go on: it lost its lease. */
  readonly ended: Promise<string>;
  /** Stops writing, finishes what is under way and gives the lease up. */
  stop(): Promise<void>;
}

/** Wires everything together and starts it. Rejects with one line that says what to do. */
export async function startOperator(config: Config, log: Logger, version: string): Promise<Operator> {
  const { kubeConfig, inCluster } = loadKubeConfig(config);
  const client = new KubeClient(kubeConfig, `wavry-relay-operator/${version}`);
  const metrics = operatorMetrics();
  const warn = (message: string): void => void log.warn(message);
  let leading = !config.leaderElect;
  let synced = false;
  let finish!: (reason: string) => void;
  const ended = new Promise<string>((resolve) => (finish = resolve));

  const view = new ClusterView({
    client,
    namespaces: config.namespaces,
    random: Math.random,
    onFleet: (key) => queue.add(key),
    onNodes: () => addAll(),
    onProblem: warn,
  });
  const direct = directTransport();
  const throughProxy = config.pollThrough === 'proxy' || (config.pollThrough === 'auto' && !inCluster);
  const poller = new Poller({
    transport: throughProxy ? proxyTransport(client) : direct.transport,
    targets: () => pollTargets(view),
    wallMs: Date.now,
    intervalMs: config.pollIntervalMs,
    timeoutMs: Math.max(2000, config.pollIntervalMs),
    concurrency: 32,
    onChange: ({ uid }) => {
      const fleet = fleetOfPod(view, uid);
      if (fleet !== undefined) queue.add(fleet);
    },
  });
  const masters = new MasterWatch({ wallMs: Date.now, onChange: (key) => queue.add(key) });
  const events = new EventRecorder({
    client,
    component: MANAGED_BY,
    instance: hostname(),
    wallMs: Date.now,
    onProblem: warn,
  });
  const controller = new Controller({
    client,
    view,
    poller,
    masters,
    events,
    fieldManager: MANAGED_BY,
    defaultImage: config.relayImage,
    maxConcurrentRollouts: config.maxConcurrentRollouts,
    wallMs: Date.now,
    mayWrite: () => leading,
    again: (key, atMs) => queue.addAt(key, atMs),
    log: (level, message, fields) => void log.log(level, message, fields),
  });
  const queue = new WorkQueue({
    clock: {
      now: Date.now,
      after: (ms, run) => {
        const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
        return () => clearTimeout(timer);
      },
    },
    workers: config.workers,
    work: async (key) => {
      if (!leading || !synced) return;
      const timed = metrics.reconcileSeconds.startTimer({ controller: CONTROLLER });
      try {
        await controller.reconcile(key);
        metrics.reconciles.inc({ controller: CONTROLLER, result: 'success' });
      } finally {
        timed();
      }
    },
    onError: (key, error, retries) => {
      metrics.reconciles.inc({ controller: CONTROLLER, result: 'error' });
      metrics.reconcileErrors.inc({ controller: CONTROLLER });
      metrics.retries.inc({ name: CONTROLLER });
      const message = error instanceof Error ? error.message : String(error);
      log.log(retries < 3 ? 'debug' : 'warn', `reconciling failed: ${message}`, { fleet: key, retries });
    },
  });
  metrics.depth.set({ name: CONTROLLER }, 0);
  const addAll = (): void => {
    for (const fleet of view.fleets.list()) queue.add(`${fleet.metadata.namespace}/${fleet.metadata.name}`);
  };

  const server = await startProbeServer({
    ...config.listen,
    registry: metrics.registry,
    unhealthy: () => undefined,
    unready: () => (synced ? undefined : 'the first lists of the API server are not complete yet'),
  });
  const election = config.leaderElect
    ? new LeaderElection({
        client,
        namespace: config.leaseNamespace ?? 'default',
        name: LEASE,
        identity: `${hostname()}_${crypto.randomUUID()}`,
        leaseDurationMs: config.leaseDurationMs,
        renewDeadlineMs: config.renewDeadlineMs,
        retryPeriodMs: config.retryPeriodMs,
        nowMs: () => performance.now(),
        wallMs: Date.now,
        random: Math.random,
        onStarted: () => {
          leading = true;
          metrics.leader.set({ name: LEASE }, 1);
          log.info('leading');
          addAll();
        },
        onStopped: () => {
          leading = false;
          metrics.leader.set({ name: LEASE }, 0);
          finish('the lease was lost');
        },
        onProblem: warn,
      })
    : undefined;
  metrics.leader.set({ name: LEASE }, leading ? 1 : 0);

  log.info(
    `watching ${config.namespaces.length === 0 ? 'all namespaces' : config.namespaces.join(', ')} of ${client.server}`,
  );
  poller.start();
  election?.start();
  const stopping = view.start().then(() => {
    synced = true;
    log.info('in sync');
    addAll();
  });

  return {
    ended,
    stop: async () => {
      await queue.stop();
      await poller.stop();
      await events.flush();
      await election?.stop();
      await view.stop();
      await stopping;
      await direct.close();
      await client.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

function loadKubeConfig(config: Config): { kubeConfig: KubeConfig; inCluster: boolean } {
  const kubeConfig = new KubeConfig();
  if (config.kubeconfig !== undefined) kubeConfig.loadFromFile(config.kubeconfig);
  else kubeConfig.loadFromDefault();
  if (config.context !== undefined) {
    if (!kubeConfig.getContextObject(config.context)) {
      throw new Error(
        `--context: the kubeconfig has no context "${config.context}"; it has ${kubeConfig
          .getContexts()
          .map((context) => context.name)
          .join(', ')}`,
      );
    }
    kubeConfig.setCurrentContext(config.context);
  }
  const cluster = kubeConfig.getCurrentCluster();
  if (!cluster)
    throw new Error('no cluster is configured; give --kubeconfig, or run the operator in a cluster');
  // client-node names what it makes of a pod's service account so.
  return { kubeConfig, inCluster: cluster.name === 'inCluster' };
}

interface RunningPod {
  readonly spec?: {
    readonly containers?: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort?: number }[];
    }[];
  };
  readonly status?: { readonly podIP?: string; readonly phase?: string };
}

function pollTargets(view: ClusterView): PollTarget[] {
  return view.ofKind('Pod').flatMap((pod) => {
    const { spec, status } = pod as typeof pod & RunningPod;
    const port = spec?.containers?.[0]?.ports?.find((entry) => entry.name === 'health')?.containerPort;
    if (status?.phase !== 'Running' || status.podIP === undefined || port === undefined) return [];
    return [
      {
        uid: pod.metadata.uid,
        namespace: pod.metadata.namespace ?? '',
        name: pod.metadata.name,
        ip: status.podIP,
        port,
      },
    ];
  });
}

function fleetOfPod(view: ClusterView, uid: string): string | undefined {
  const pod = view.ofKind('Pod').find((entry) => entry.metadata.uid === uid);
  const fleet = pod?.metadata.labels?.[Label.fleet];
  return pod && fleet !== undefined ? `${pod.metadata.namespace}/${fleet}` : undefined;
}
