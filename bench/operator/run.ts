import { mkdirSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeObject } from '../../operator/kube/object.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { resourceOfKind, resourcePath, Resources } from '../../operator/kube/resource.ts';
import { Store } from '../../operator/kube/store.ts';
import { BenchError } from '../bench-error.ts';
import { allowedCores, machineJiffies } from '../datapath/process-stats.ts';
import { quartiles } from '../datapath/statistics.ts';
import { publishTables, replaceFile } from '../publish.ts';
import { terminalTable } from '../table.ts';
import { auditedRequests } from './audit-log.ts';
import { type AuditedRequest, countRequests, isWrite } from './audit.ts';
import type { OperatorBenchOptions } from './options.ts';
import { findProcesses, type MeasuredProcess, type Usage, usageOf } from './processes.ts';
import { type Machine, type OperatorResults, type Phase, type Program, PROGRAMS } from './results.ts';
import { MASTER_URL, OPERATOR_USER, type Site, startSite } from './site.ts';
import { machineLines, resultTables } from './tables.ts';
import {
  expectedObjects,
  type Fleet,
  fleetObject,
  fleetsOf,
  hasConverged,
  missingObjects,
  readiness,
} from './workload.ts';

/** WavryRelays made at the same time, as by a pipeline that applies a folder of them. */
const LANES = 8;
const CONVERGE_WITHIN_MS = 30 * 60_000;
/** Without a write for so long the operator is taken to have finished. */
const QUIET_MS = 30_000;
const QUIET_WITHIN_MS = 10 * 60_000;
/** A restarted operator looks at each WavryRelay at once and then every 30 s. */
const RESTART_MS = 60_000;
const LEASE = 'leases';

/** Measures, keeps and prints. Returns the exit code. */
export async function runOperatorBench(options: OperatorBenchOptions): Promise<number> {
  if (process.platform !== 'linux') {
    throw new BenchError(
      `bench operator: needs Linux (network namespaces, /proc), this is ${process.platform}`,
    );
  }
  const startedMs = performance.now();
  const progress = (line: string): void => {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    console.error(`[${String(seconds).padStart(4)} s] ${line}`);
  };
  const machine = await machineNow();
  progress('starting the control plane, the operator and what stands in for the relays');
  const site = await startSite(options.resources * options.replicas);
  const stop = (): void => void site.stop().then(() => process.exit(130));
  process.once('SIGINT', stop);
  let results: OperatorResults;
  try {
    results = { format: 1, machine, ...(await measure(site, options, progress)) };
  } finally {
    process.off('SIGINT', stop);
    await site.stop();
  }
  const directory = options.resultsDir ?? join(import.meta.dirname, '..', 'results');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'operator.json');
  replaceFile(file, `${JSON.stringify(results, undefined, 1)}\n`);
  if (options.publish) publishTables('operator', machineLines(results), resultTables(results));
  const text = options.json
    ? JSON.stringify(results)
    : ['', ...machineLines(results), '', ...resultTables(results).map(terminalTable)].join('\n');
  process.stdout.write(`${text}\n`);
  progress(`kept in ${file}`);
  return 0;
}

async function measure(
  site: Site,
  options: OperatorBenchOptions,
  progress: (line: string) => void,
): Promise<Omit<OperatorResults, 'format' | 'machine'>> {
  const { resources, replicas } = options;
  const fleets = fleetsOf(resources);
  for (const name of new Set(fleets.map(({ namespace }) => namespace))) {
    await site.cluster.kubectl(['create', 'namespace', name]);
  }
  await using convergence = new Convergence(site);

  progress(`making ${resources} WavryRelays`);
  const converging = new PhaseMeter(site);
  const queue = [...fleets];
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (let fleet = queue.shift(); fleet; fleet = queue.shift()) {
        convergence.begin(fleet);
        await site.client.create(
          Resources.wavryRelays,
          fleet.namespace,
          fleetObject(fleet, replicas, MASTER_URL),
        );
      }
    }),
  );
  const createdSeconds = converging.seconds;
  await convergence.complete(resources, progress);
  const convergedMs = Date.now();
  const convergingPhase = await converging.end();
  const missing = missingObjects(fleets, replicas, await madeObjects(site, replicas));
  if (missing.length > 0) {
    throw new BenchError(
      `bench operator: every WavryRelay says that it is ready, but objects are missing: ${missing.slice(0, 5).join('; ')}`,
    );
  }
  const each = convergence.seconds;
  await convergence.stop();
  progress(`converged after ${convergingPhase.seconds.toFixed(1)} s; waiting for the last write`);
  const lastWriteMs = await quiet(site);

  progress(`at rest; watching for ${options.idleSeconds} s`);
  const idle = new PhaseMeter(site);
  await sleep(options.idleSeconds * 1000);
  const idlePhase = await idle.end();
  const peakResident = idle.usage('operator').peakResidentBytes;

  progress('restarting the operator');
  const restartedMs = Date.now();
  await site.restartOperator();
  const restart = new PhaseMeter(site, restartedMs);
  await looksAtAll(site, resources);
  await sleep(RESTART_MS);
  const restartPhase = await restart.end();
  return {
    resources,
    replicas,
    createdSeconds,
    each: { ...quartiles(each)!, worst: Math.max(...each) },
    converging: convergingPhase,
    tailSeconds: Math.max(0, (lastWriteMs - convergedMs) / 1000),
    idle: idlePhase,
    restart: restartPhase,
    peakResident,
  };
}

/** Watches all WavryRelays and notes when each has converged. */
class Convergence {
  readonly #begun = new Map<string, number>();
  readonly #took = new Map<string, number>();
  readonly #store = new Store<KubeObject>();
  readonly #reflector: Reflector<KubeObject>;

  constructor({ client }: Site) {
    const store = this.#store;
    store.onChange((key, object) => {
      const begunMs = this.#begun.get(key);
      if (object && begunMs !== undefined && !this.#took.has(key) && hasConverged(object))
        this.#took.set(key, (performance.now() - begunMs) / 1000);
    });
    this.#reflector = new Reflector({
      client,
      resource: Resources.wavryRelays,
      store,
      random: Math.random,
      onProblem: ({ message }) => console.error(message),
    });
    this.#reflector.start();
  }

  get seconds(): readonly number[] {
    return [...this.#took.values()];
  }

  begin({ namespace, name }: Fleet): void {
    this.#begun.set(`${namespace}/${name}`, performance.now());
  }

  async complete(wanted: number, progress: (line: string) => void): Promise<void> {
    const deadlineMs = performance.now() + CONVERGE_WITHIN_MS;
    for (let looks = 1; this.#took.size < wanted; looks += 1) {
      if (performance.now() > deadlineMs) {
        const left = [...this.#begun.keys()].filter((key) => !this.#took.has(key));
        const [namespace, name = ''] = left[0]?.split('/') ?? [];
        const why = readiness(this.#store.get(namespace, name));
        throw new BenchError(
          `bench operator: ${left.length} WavryRelays did not converge within ${CONVERGE_WITHIN_MS / 60_000} min, ${left[0]} for example: ${why}`,
        );
      }
      if (looks % 100 === 0) progress(`${this.#took.size} of ${wanted} have converged`);
      await sleep(100);
    }
  }

  stop(): Promise<void> {
    return this.#reflector.stop();
  }

  /** A run that fails must not go on watching. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** What is spent from its making to its end. */
class PhaseMeter {
  readonly #site: Site;
  readonly #fromMs: number;
  readonly #startedMs = performance.now();
  readonly #processes: Readonly<Record<Program, MeasuredProcess>>;
  readonly #before: Readonly<Record<Program, Usage>>;

  /** @param fromMs requests count from here; Unix milliseconds */
  constructor(site: Site, fromMs: number = Date.now()) {
    this.#site = site;
    this.#fromMs = fromMs;
    this.#processes = programs((program) => {
      const found = findProcesses(process.pid, program === 'operator' ? '/operator/main.ts' : `/${program}`);
      if (found.length !== 1)
        throw new BenchError(`bench operator: ${found.length} processes of ${program} run, not 1`);
      return found[0]!;
    });
    this.#before = programs((program) => usageOf(this.#processes[program]));
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1000;
  }

  usage(program: Program): Usage {
    return usageOf(this.#processes[program]);
  }

  async end(): Promise<Phase> {
    const { seconds } = this;
    const untilMs = Date.now();
    const spent = programs((program) => {
      const now = this.usage(program);
      return { cpu: now.cpuSeconds - this.#before[program].cpuSeconds, resident: now.residentBytes };
    });
    const requests = (await auditedRequests(this.#site.cluster.logDirectory, OPERATOR_USER)).filter(
      ({ atMs }) => atMs >= this.#fromMs && atMs <= untilMs,
    );
    return {
      seconds,
      spent,
      requests: countRequests(requests),
      writes: countRequests(requests.filter(isOwnWrite)),
      refused: countRequests(
        requests
          .filter(({ code }) => code >= 400)
          .map((request) => ({ ...request, verb: `${request.code} ${request.verb}` })),
      ),
    };
  }
}

function programs<T>(value: (program: Program) => T): Record<Program, T> {
  return Object.fromEntries(PROGRAMS.map((program) => [program, value(program)])) as Record<Program, T>;
}

function isOwnWrite(request: AuditedRequest): boolean {
  return isWrite(request) && request.resource !== LEASE;
}

async function madeObjects(site: Site, replicas: number): Promise<Map<string, readonly KubeObject[]>> {
  const made = new Map<string, readonly KubeObject[]>();
  for (const kind of expectedObjects(replicas).keys()) {
    const path = resourcePath(resourceOfKind(kind));
    const query = { labelSelector: 'wavry.dev/fleet' };
    made.set(kind, (await site.client.call<{ items: KubeObject[] }>('GET', path, { query })).items);
  }
  return made;
}

/** Resolves once the operator has written nothing for a while, with the time of its last write. */
async function quiet({ cluster }: Site): Promise<number> {
  const deadlineMs = performance.now() + QUIET_WITHIN_MS;
  for (;;) {
    const writes = (await auditedRequests(cluster.logDirectory, OPERATOR_USER)).filter(isOwnWrite);
    const lastMs = Math.max(...writes.map(({ atMs }) => atMs));
    const leftMs = lastMs + QUIET_MS - Date.now();
    if (leftMs <= 0) return lastMs;
    if (performance.now() > deadlineMs) {
      const lately = countRequests(writes.filter(({ atMs }) => atMs > Date.now() - QUIET_MS));
      throw new BenchError(
        `bench operator: the operator goes on writing though everything has converged: ${JSON.stringify(lately)}`,
      );
    }
    await sleep(leftMs + 100);
  }
}

/** Until the operator that runs now has looked at every WavryRelay. */
async function looksAtAll(site: Site, resources: number): Promise<void> {
  const deadlineMs = performance.now() + QUIET_WITHIN_MS;
  for (;;) {
    const text = await site.operatorMetrics();
    const looks = /^controller_runtime_reconcile_total\{[^}]*result="success"[^}]*\} (\d+)/m.exec(text)?.[1];
    if (Number(looks) >= resources) return;
    if (performance.now() > deadlineMs)
      throw new BenchError(
        `bench operator: the restarted operator looked at ${looks} of ${resources} WavryRelays`,
      );
    await sleep(1000);
  }
}

async function machineNow(): Promise<Machine> {
  const before = machineJiffies();
  await sleep(2000);
  const after = machineJiffies();
  return {
    cores: allowedCores().length,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    kernel: `Linux ${release().split('.').slice(0, 2).join('.')} ${process.arch}`,
    node: process.version,
    idle: (after.idle - before.idle) / Math.max(1, after.total - before.total),
  };
}
