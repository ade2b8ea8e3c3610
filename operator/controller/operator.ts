import { hostname } from 'node:os';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Logger } from 'winston';

import type { WavryRelayStatus } from '../api/status.ts';
import type { Config } from '../config/config.ts';
import { Poller } from '../fleet/poller.ts';
import { directTransport, proxyTransport } from '../fleet/transport.ts';
import { KubeClient } from '../kube/client.ts';
import { Connection } from '../kube/connection.ts';
import { EventRecorder } from '../kube/events.ts';
import { LeaderElection } from '../kube/leader-election.ts';
import { systemClock, WorkQueue } from '../kube/work-queue.ts';
import { startMetricsApi } from '../metricsapi/metrics-api.ts';
import type { MetricsApi } from '../plan/metrics-api.ts';
import { MANAGED_BY } from '../specs/object.ts';
import { Announcer } from './announcer.ts';
import { ClusterView } from './cluster-view.ts';
import { Controller } from './controller.ts';
import { loadKubeConfig } from './kubeconfig.ts';
import { MasterWatch } from './master-watch.ts';
import { metricSource } from './metric-source.ts';
import { operatorMetrics } from './metrics.ts';
import { awaitsFirstAnswers, pollTargets } from './poll-targets.ts';
import { startProbeServer } from './probe-server.ts';
import { Resolver } from './resolver.ts';
import { ServedCrd } from './served-crd.ts';

const NO_METRICS_API: MetricsApi = {
  state: 'off',
  message:
    'this operator serves no metrics to autoscalers (--metrics-api-service): upgrade its chart with customMetrics.enabled=true',
};
const CONTROLLER = 'wavryrelay';
const LEASE = 'wavry-relay-operator';
/** Relays asked at the same time. */
const POLLS_AT_ONCE = 64;
/** A fleet whose relays this process hasn't asked yet waits so long at most for its first look. */
const FIRST_ANSWERS_MS = 15_000;
/** Work on one fleet that takes longer hangs: every call of it has a time limit of its own. */
const STUCK_MS = 15 * 60_000;
/** What is under way at the end may take so long; then the lease is given up well within a pod's usual grace of 30 s. */
const FINISH_MS = 10_000;

export interface Operator {
  /** Resolves with the reason when the operator can't go on: it lost its lease. */
  readonly ended: Promise<string>;
  /** Finishes what is under way, for ten seconds at most, stops writing and gives the lease up. */
  stop(): Promise<void>;
}

/** Wires everything together and starts it. Rejects with one line that says what to do. */
export async function startOperator(config: Config, log: Logger, version: string): Promise<Operator> {
  const access = loadKubeConfig(config, process.env);
  const connection = new Connection(access.kubeConfig);
  const statuses = new Map<string, WavryRelayStatus>();
  const leading = (): boolean => (election ? election.leading : true);
  const metrics = operatorMetrics({
    controller: CONTROLLER,
    workers: config.workers,
    lease: LEASE,
    leading,
    queue: () => queue,
    statuses,
    fleets: () => view.fleets.list(),
  });
  const userAgent = `wavry-relay-operator/${version}`;
  const onAnswer = (method: string, status: number): void =>
    metrics.requests.inc({ method, code: status === 0 ? '<error>' : status });
  const client = new KubeClient(connection, { userAgent, onAnswer });
  const writer = new KubeClient(connection, { userAgent, onAnswer, mayWrite: leading });
  const warn = (message: string): void => void log.warn(message);
  let syncedMs: number | undefined;
  const lost = Promise.withResolvers<string>();

  const view = new ClusterView({
    client,
    namespaces: config.namespaces,
    random: Math.random,
    onFleet: (key) => queue.add(key),
    onNodes: () => addAll(),
    onProblem: warn,
  });
  const direct = directTransport();
  const throughProxy = config.pollThrough === 'proxy' || (config.pollThrough === 'auto' && !access.inCluster);
  const poller = new Poller({
    transport: throughProxy ? proxyTransport(client) : direct.transport,
    targets: () => pollTargets(view),
    wallMs: Date.now,
    intervalMs: config.pollIntervalMs,
    timeoutMs: Math.max(2000, config.pollIntervalMs),
    concurrency: POLLS_AT_ONCE,
    onChange: ({ fleet }) => queue.add(fleet),
  });
  const masters = new MasterWatch({ wallMs: Date.now, onChange: (key) => queue.add(key) });
  const resolver = new Resolver({ wallMs: Date.now, onChange: (key) => queue.add(key) });
  const events = new EventRecorder({
    client: writer,
    component: MANAGED_BY,
    instance: hostname(),
    wallMs: Date.now,
    onProblem: warn,
  });
  const crd = new ServedCrd({
    client,
    after: (ms, run) => systemClock.after(ms, run),
    onProblem: warn,
    onMended: (message) => void log.info(message),
  });
  const controller = new Controller({
    client,
    writer,
    mayWrite: leading,
    view,
    poller,
    masters,
    resolver,
    crd,
    announcer: new Announcer(events, (level, message, fields) => void log.log(level, message, fields)),
    metricsApi: () => metricsApi?.state ?? NO_METRICS_API,
    fieldManager: MANAGED_BY,
    defaults: { defaultImage: config.relayImage, runbooks: config.runbooks },
    maxConcurrentRollouts: config.maxConcurrentRollouts,
    wallMs: Date.now,
    again: (key, atMs) => queue.addAt(key, systemClock.now() + atMs - Date.now()),
    onStatus: (key, status) => void (status ? statuses.set(key, status) : statuses.delete(key)),
  });
  const queue = new WorkQueue({
    clock: systemClock,
    workers: config.workers,
    work: async (key) => {
      if (!leading() || syncedMs === undefined) return;
      // A restarted operator must not say that nothing serves because it hasn't asked yet. The poller adds the fleet again.
      if (systemClock.now() - syncedMs < FIRST_ANSWERS_MS && awaitsFirstAnswers(view, key, poller.polls)) {
        queue.addAt(key, syncedMs + FIRST_ANSWERS_MS);
        return;
      }
      const timed = metrics.reconcileSeconds.startTimer({ controller: CONTROLLER });
      try {
        await controller.reconcile(key);
        metrics.reconciles.inc({ controller: CONTROLLER, result: 'success' });
      } finally {
        timed();
      }
    },
    onAdd: () => metrics.adds.inc({ name: CONTROLLER }),
    onError: (key, error, retries) => {
      metrics.reconciles.inc({ controller: CONTROLLER, result: 'error' });
      metrics.reconcileErrors.inc({ controller: CONTROLLER });
      metrics.retries.inc({ name: CONTROLLER });
      const message = error instanceof Error ? error.message : String(error);
      log.log(retries < 3 ? 'debug' : 'warn', `reconciling failed: ${message}`, { fleet: key, retries });
    },
  });
  const addAll = (): void => {
    for (const fleet of view.fleets.list()) queue.add(`${fleet.metadata.namespace}/${fleet.metadata.name}`);
  };

  const election = config.leaderElect
    ? new LeaderElection({
        client,
        namespace: config.leaseNamespace ?? access.namespace,
        name: LEASE,
        identity: `${hostname()}_${crypto.randomUUID()}`,
        leaseDurationMs: config.leaseDurationMs,
        renewDeadlineMs: config.renewDeadlineMs,
        retryPeriodMs: config.retryPeriodMs,
        nowMs: () => performance.now(),
        wallMs: Date.now,
        random: Math.random,
        onStarted: () => {
          log.info('leading');
          metricsApi?.leads();
          addAll();
        },
        onStopped: () => {
          lost.resolve('the lease was lost');
          // Whatever is still under way is another's business now.
          if (!stopping) void connection.close();
        },
        onProblem: warn,
      })
    : undefined;
  let stopping = false;

  const server = await startProbeServer({
    ...config.listen,
    registry: metrics.registry,
    unhealthy: () => {
      const longestMs = Math.max(0, ...queue.runningMs);
      return longestMs > STUCK_MS
        ? `work on a WavryRelay hangs since ${Math.round(longestMs / 1000)} s`
        : election?.problem;
    },
    unready: () =>
      syncedMs !== undefined ? undefined : 'the first lists of the API server are not complete yet',
  });

  const metricsApi =
    config.metricsApi &&
    (await startMetricsApi({
      ...config.metricsApi,
      namespace: config.leaseNamespace ?? access.namespace,
      client,
      writer,
      leading,
      wallMs: Date.now,
      random: Math.random,
      fieldManager: MANAGED_BY,
      source: metricSource({
        view,
        polls: () => poller.polls,
        pollsComplete: () => poller.complete,
        wallMs: Date.now,
        fieldManager: MANAGED_BY,
      }),
      onState: () => addAll(),
      onProblem: warn,
    }));

  log.info(
    `watching ${config.namespaces.length === 0 ? 'all namespaces' : config.namespaces.join(', ')} of ${connection.server}`,
  );
  election?.start();
  const started = view.start().then(async () => {
    await crd.look();
    if (stopping) return;
    syncedMs = systemClock.now();
    log.info('in sync');
    poller.start();
    addAll();
  });

  return {
    ended: lost.promise,
    stop: async () => {
      stopping = true;
      const patience = sleep(FINISH_MS, undefined, { ref: false });
      await Promise.race([queue.stop(), patience]);
      await Promise.race([events.stop(), patience]);
      crd.stop();
      await poller.stop();
      if (metricsApi) await Promise.race([metricsApi.stop(), patience]);
      // What still isn't finished writes nothing from here on.
      await election?.stop();
      await view.stop();
      await started;
      await direct.close();
      await connection.close();
      server.close();
      server.closeAllConnections();
    },
  };
}
