import { setTimeout as delay } from 'node:timers/promises';
import type { ProbeResult } from './probe-action.ts';
import type { Container, Probe } from './resources.ts';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProberHooks {
  run(probe: Probe): Promise<ProbeResult>;
  /** A probe's judgement has changed; `started` is also given when there is no startup probe. */
  onStarted(): void;
  onReady(ready: boolean): void;
  /** Liveness or startup has failed often enough: the container is to be restarted. */
  onFatal(kind: 'startup' | 'liveness', probe: Probe, message: string): void;
  /** Every single failure. */
  onFailure(kind: ProbeKind, message: string): void;
}

/** Runs the probes of one container from its start to its end. Source of the rules: kubernetes pkg/kubelet/prober. */
export class Prober {
  readonly #container: Container;
  readonly #hooks: ProberHooks;
  readonly #ended = new AbortController();
  #terminating = false;

  constructor(container: Container, hooks: ProberHooks) {
    this.#container = container;
    this.#hooks = hooks;
  }

  start(): void {
    void this.#run();
  }

  /** The pod is being deleted: only readiness is asked from now on. */
  terminate(): void {
    this.#terminating = true;
  }

  stop(): void {
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = this.#container;
    const began = Date.now();
    if (startupProbe && !(await this.#repeat('startup', startupProbe, began, (success) => success))) return;
    if (this.#ended.signal.aborted) return;
    this.#hooks.onStarted();
    if (livenessProbe) void this.#repeat('liveness', livenessProbe, began, () => false);
    if (!readinessProbe) this.#hooks.onReady(true);
    else
      void this.#repeat('readiness', readinessProbe, began, (success) => {
        this.#hooks.onReady(success);
        return false;
      });
  }

  /** Probes until a judgement satisfies `enough`; false when the container ended first or the failure was fatal. */
  async #repeat(
    kind: ProbeKind,
    probe: Probe,
    began: number,
    enough: (success: boolean) => boolean,
  ): Promise<boolean> {
    const { signal } = this.#ended;
    const needed = { true: probe.successThreshold ?? 1, false: probe.failureThreshold ?? 3 };
    let last: boolean | undefined;
    let count = 0;
    const initial = began + (probe.initialDelaySeconds ?? 0) * 1000 - Date.now();
    if (initial > 0) await pause(initial, signal);
    while (!signal.aborted) {
      if (this.#terminating && kind !== 'readiness') return false;
      const { success, message } = await this.#hooks.run(probe).catch((error: Error) => ({
        success: false,
        message: error.message,
      }));
      if (signal.aborted) return false;
      if (this.#terminating && kind !== 'readiness') return false;
      count = success === last ? count + 1 : 1;
      last = success;
      if (!success) this.#hooks.onFailure(kind, message);
      if (count >= needed[`${success}`]) {
        if (!success && kind !== 'readiness') {
          this.#hooks.onFatal(kind, probe, message);
          return false;
        }
        if (enough(success)) return true;
      }
      await pause((probe.periodSeconds ?? 10) * 1000, signal);
    }
    return false;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
