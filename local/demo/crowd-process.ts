import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { CrowdReport } from './crowd/crowd-report.ts';

/** Starts a program with pipes for all three standard streams. */
export type Start = (command: string, args: readonly string[], env: NodeJS.ProcessEnv) => ChildProcess;

export interface CrowdProcessOptions {
  readonly masterUrl: string;
  /** `ip:port` of a development Master to start with it; without it there is one already. */
  readonly listen?: string;
  readonly adminToken?: string;
  readonly onReport: (report: CrowdReport) => void;
  /** It ended without having been asked to; the reason in one line. */
  readonly onEnd: (reason: string) => void;
}

/** Peers, and Master, as a process of their own: in the cluster's network, and off the thread that draws. */
export class CrowdProcess {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #last: CrowdReport | undefined;
  #lastError = '';
  #stopping = false;

  constructor(start: Start, options: CrowdProcessOptions) {
    const { masterUrl, listen, adminToken } = options;
    this.#child = start(
      process.execPath,
      [PROGRAM, `--master=${masterUrl}`, ...(listen === undefined ? [] : [`--listen=${listen}`])],
      { ...process.env, ...(adminToken !== undefined && { WAVRY_DEMO_ADMIN_TOKEN: adminToken }) },
    );
    this.#closed = once(this.#child, 'close');
    this.#child.stdin!.on('error', () => undefined);
    createInterface({ input: this.#child.stderr! }).on('line', (line) => (this.#lastError = line));
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      if (line === 'ready') ready.resolve();
      else options.onReport((this.#last = JSON.parse(line) as CrowdReport));
    });
    this.#child.once('close', (code, signal) => {
      const how = `the peers ended (${signal ?? `exit ${code}`}): ${this.#lastError || 'without a word'}`;
      ready.reject(new Error(how));
      if (!this.#stopping) options.onEnd(how);
    });
    ready.promise.catch(() => undefined);
  }

  /** Ends it; the last report says what came of it all. */
  async stop(): Promise<CrowdReport | undefined> {
    this.#stopping = true;
    this.#child.stdin!.end();
    const late = new AbortController();
    void sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(
      () => this.killNow(),
      () => undefined,
    );
    await this.#closed.catch(() => undefined);
    late.abort();
    return this.#last;
  }

  killNow(): void {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
  }
}

const PROGRAM = fileURLToPath(new URL('crowd/main.ts', import.meta.url));
/** Packets under way are waited for, ten seconds at most. */
const PATIENCE_MS = 15_000;
