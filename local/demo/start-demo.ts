import { performance } from 'node:perf_hooks';

import { BinarySearch } from './binary-search.ts';
import { ClusterDemo } from './cluster-demo.ts';
import type { CommandLine } from './command-line.ts';
import { openContextSite } from './context-site.ts';
import type { DemoEnd } from './demo.ts';
import { Demo } from './demo.ts';
import { NoClusterError, openLocalSite } from './local-site.ts';
import type { Site, SiteEvents } from './site.ts';
import type { Stage } from './stage.ts';

/**
 * The whole: on an existing cluster, on a local one, or while that is being built, and where it can't be, the relay alone.
 *
 * @throws Error with a reason in one line when it can't go on.
 */
export class StartDemo {
  readonly #commandLine: CommandLine;
  readonly #stage: Stage;
  readonly #stopping = new AbortController();
  #relayDemo: Demo | undefined;
  #clusterDemo: ClusterDemo | undefined;
  #failure: string | undefined;

  constructor(commandLine: CommandLine, stage: Stage) {
    this.#commandLine = commandLine;
    this.#stage = stage;
  }

  stop(): void {
    this.#stopping.abort();
    this.#relayDemo?.stop();
  }

  /** For the end of the process, where nothing can be waited for. */
  leaveNothing(): void {
    this.#relayDemo?.leaveNothing();
    this.#clusterDemo?.killNow();
  }

  async run(): Promise<DemoEnd> {
    const { existing } = this.#commandLine;
    if (existing)
      return this.#onCluster((events) => openContextSite(existing, events, this.#stopping.signal));
    const search = new BinarySearch(this.#stopping.signal, () => performance.now());
    const helm = await this.#binaries(search);
    // The relay demo has gone on to the end.
    if (!(typeof helm === 'string' || helm instanceof Error)) return helm;
    try {
      return await this.#onCluster((events) => openLocalSite(helm, events, this.#stopping.signal));
    } catch (error) {
      if (!(error instanceof NoClusterError)) throw error;
      this.#sayWithout(error);
      return this.#relayAlone();
    }
  }

  /** helm, or why there is none, as soon as the cluster can start; or how the demo ended without it. */
  async #binaries(search: BinarySearch): Promise<string | Error | DemoEnd> {
    const slow = search.building.then(always);
    if (!(await Promise.race([slow, search.found.then(never, always)]))) return search.found;
    const { signal } = this.#stopping;
    let ready = false;
    const demo = new Demo(this.#stage, () => search.notice);
    this.#relayDemo = demo;
    if (signal.aborted) return NOTHING;
    void search.found.then(
      () => {
        ready = true;
        demo.stop();
      },
      (error: Error) => {
        if (!signal.aborted) this.#sayWithout(error);
      },
    );
    const end = await demo.run(this.#commandLine.seconds);
    this.#relayDemo = undefined;
    if (ready && !signal.aborted) {
      this.#stage.clear();
      this.#stage.say('All that the cluster needs is built: it takes over.');
      return search.found;
    }
    this.#stopping.abort();
    await search.found.catch(() => undefined);
    return end;
  }

  #sayWithout(error: Error): void {
    this.#stage.say(`The relay without a cluster: ${error.message.trimEnd()}`);
  }

  async #relayAlone(): Promise<DemoEnd> {
    this.#relayDemo = new Demo(this.#stage);
    return this.#relayDemo.run(this.#commandLine.seconds);
  }

  async #onCluster(open: (events: SiteEvents) => Promise<Site>): Promise<DemoEnd> {
    const { signal } = this.#stopping;
    if (signal.aborted) return NOTHING;
    const broken = new AbortController();
    const opening = open({
      say: (line) => this.#stage.say(line),
      onEnd: (reason) => {
        this.#failure ??= reason;
        broken.abort();
      },
    });
    const site = await opening.catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (!site) return NOTHING;
    try {
      if (signal.aborted) return NOTHING;
      const demo = new ClusterDemo(site, this.#stage);
      this.#clusterDemo = demo;
      const end = await demo.run(this.#commandLine.seconds, AbortSignal.any([signal, broken.signal]));
      if (this.#failure !== undefined) throw new Error(this.#failure);
      return end;
    } finally {
      await site.close();
    }
  }
}

const NOTHING: DemoEnd = { code: 0, words: [] };
const always = (): true => true;
const never = (): false => false;
