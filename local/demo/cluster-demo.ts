import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { grouped } from '../peers/report.ts';
import type { ClusterState } from './cluster-state.ts';
import { lookAtCluster } from './cluster-state.ts';
import type { ClusterScene } from './cluster-view.ts';
import { clusterLine, drawCluster, traffic } from './cluster-view.ts';
import { CrowdProcess } from './crowd-process.ts';
import type { CrowdReport } from './crowd/crowd-report.ts';
import type { DemoEnd } from './demo.ts';
import { applyFleet, FLEET } from './fleet.ts';
import type { Site } from './site.ts';
import type { Stage } from './stage.ts';

/** A fleet on a cluster, peers through it, and what the API server says of it, shown live. */
export class ClusterDemo {
  readonly #site: Site;
  readonly #stage: Stage;
  readonly #startedMs = performance.now();
  readonly #history: number[] = [];
  #crowdProcess: CrowdProcess | undefined;
  #crowd: CrowdReport | undefined;
  #cluster: ClusterState | undefined;
  #trouble: string | undefined;
  #failure: string | undefined;

  constructor(site: Site, stage: Stage) {
    this.#site = site;
    this.#stage = stage;
  }

  /**
   * Until the signal, or so many seconds after the first packet came through.
   *
   * @throws Error with a reason in one line when it can't go on.
   */
  async run(seconds: number | undefined, signal: AbortSignal): Promise<DemoEnd> {
    const over = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    const { masterUrl, masterListen, adminToken, start } = this.#site;
    const crowdProcess = new CrowdProcess(start, {
      masterUrl,
      ...(masterListen !== undefined && { listen: masterListen }),
      ...(adminToken !== undefined && { adminToken }),
      onReport: (report) => {
        this.#crowd = report;
        if (seconds !== undefined && report.seconds >= seconds) over.abort();
      },
      onEnd: (reason) => {
        this.#failure = reason;
        over.abort();
      },
    });
    this.#crowdProcess = crowdProcess;
    try {
      await Promise.race([crowdProcess.ready, aborted(both)]);
      if (!both.aborted) {
        await applyFleet(this.#site, both);
        this.#sayLines();
        await this.#watch(both);
      }
    } catch (error) {
      if (!both.aborted) throw error;
    } finally {
      const last = await crowdProcess.stop();
      if (last) this.#crowd = last;
    }
    if (this.#failure !== undefined) throw new Error(this.#failure);
    return this.#end(seconds);
  }

  /** For the end of the process, where nothing can be waited for. */
  killNow(): void {
    this.#crowdProcess?.killNow();
  }

  /** A terminal has them in its picture. */
  #sayLines(): void {
    if (this.#stage.isTerminal) return;
    const { shellLines, namespace } = this.#site;
    this.#stage.say(`Applied wavryrelay/${FLEET}. In another terminal:`);
    for (const line of [...shellLines, ...fleetLines(namespace)]) this.#stage.say(`  ${line}`);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let next = performance.now();
    while (!signal.aborted) {
      try {
        const late = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
        this.#cluster = await lookAtCluster(this.#site, late);
        this.#trouble = this.#crowd?.trouble;
      } catch (error) {
        this.#trouble = `the API server does not answer: ${(error as Error).message}`;
      }
      if (signal.aborted) return;
      this.#show();
      next = Math.max(next + 1000, performance.now());
      await sleep(next - performance.now(), undefined, { signal }).catch(() => undefined);
    }
  }

  #show(): void {
    const { title, masterUrl, operator, shellLines, namespace } = this.#site;
    if (this.#crowd?.seconds) this.#history.push(traffic(this.#crowd).p99);
    if (this.#history.length > 100) this.#history.shift();
    const scene: ClusterScene = {
      title,
      seconds: (performance.now() - this.#startedMs) / 1000,
      masterUrl,
      operatorHow: operator.how,
      cluster: this.#cluster,
      crowd: this.#crowd,
      trouble: this.#trouble,
      nowMs: Date.now(),
      history: this.#history,
      shellLines: [...shellLines, ...fleetLines(namespace)],
    };
    this.#stage.show({
      draw: (paint, size) => drawCluster(scene, paint, size),
      line: () => clusterLine(scene),
    });
  }

  #end(seconds: number | undefined): DemoEnd {
    const total = this.#crowd?.total;
    if (!total || total.received === 0) {
      const nothing = 'no packet came through';
      // Who ends it early has not failed.
      return { code: seconds === undefined ? 0 : 1, words: [nothing] };
    }
    const problems = total.wrong > 0 ? [`problem: ${grouped(total.wrong)} packets were wrong`] : [];
    return {
      code: problems.length > 0 ? 1 : 0,
      words: [
        `${grouped(total.received)} packets in ${grouped(total.sessions)} sessions through the relays of wavryrelay/${FLEET}`,
        `${grouped(total.lost)} lost, ${grouped(total.wrong)} duplicated or corrupted`,
        ...problems,
      ],
    };
  }
}

/** What to play with. */
export function fleetLines(namespace: string): string[] {
  const kubectl = namespace === 'default' ? 'kubectl' : `kubectl -n ${namespace}`;
  return [`${kubectl} get wr`, `${kubectl} scale wr ${FLEET} --replicas=3`, `${kubectl} edit wr ${FLEET}`];
}

/** The API server of a machine that is busy with it all. */
const PATIENCE_MS = 5000;

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
