import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** What the relay says of itself at `/metrics`: flat, by name. */
export type RelayMetrics = Readonly<Record<string, number>>;

/** What its process costs; null where the system doesn't say. */
export interface RelayCost {
  /** Of one core, since the last call. */
  readonly cpuPercent: number | null;
  readonly residentBytes: number | null;
}

/** The relay as an operator runs it: a process with flags. */
export class RelayProcess {
  readonly #child: ChildProcess;
  readonly #healthUrl: string;
  readonly #lastLines: string[] = [];
  readonly #closed: Promise<unknown>;
  #ended = false;
  #stopping = false;
  #cpu = { ticks: 0, atMs: performance.now() };

  /** `onEnd` is called when the relay ends without having been asked to, with the reason in one line. */
  constructor(args: readonly string[], healthListen: string, onEnd: (reason: string) => void) {
    this.#healthUrl = `http://${healthListen}`;
    // A group of its own, so that Ctrl-C in the terminal reaches the demo only, which then ends things in order.
    this.#child = spawn(process.execPath, [RELAY_PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.#remember(line));
    }
    this.#closed = once(this.#child, 'close');
    this.#child.once('close', (code, signal) => {
      this.#ended = true;
      if (!this.#stopping)
        onEnd(`the relay ended (${signal ?? `exit ${code}`}): ${this.#lastLines.at(-1) ?? 'without a word'}`);
    });
  }

  /** Resolves when peers can be sent to it. Rejects with what it said last when that takes too long. */
  async ready(timeoutMs: number): Promise<void> {
    const until = performance.now() + timeoutMs;
    let problem = 'no answer yet';
    while (performance.now() < until && !this.#ended) {
      try {
        const response = await fetch(`${this.#healthUrl}/ready`, { signal: AbortSignal.timeout(1000) });
        if (response.ok) return;
        problem = (await response.text()).replaceAll(/\s+/g, ' ').slice(0, 200);
      } catch {
        // Not listening yet.
      }
      await sleep(50);
    }
    const last = this.#lastLines.at(-1) ?? 'without a word';
    if (this.#ended) throw new Error(`the relay ended: ${last}`);
    throw new Error(`the relay is not ready after ${timeoutMs / 1000} s: ${problem}; ${last}`);
  }

  /** Undefined when it does not answer. */
  async metrics(): Promise<RelayMetrics | undefined> {
    try {
      const response = await fetch(`${this.#healthUrl}/metrics`, { signal: AbortSignal.timeout(900) });
      return (await response.json()) as RelayMetrics;
    } catch {
      return undefined;
    }
  }

  cost(): RelayCost {
    try {
      // Linux: proc_pid_stat(5), fields 14, 15 and 24; the second one, the name, may hold blanks.
      const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const ticks = Number(fields[11]) + Number(fields[12]);
      const atMs = performance.now();
      const cpuPercent = ((ticks - this.#cpu.ticks) * TICK_MS * 100) / (atMs - this.#cpu.atMs);
      this.#cpu = { ticks, atMs };
      return { cpuPercent, residentBytes: Number(fields[21]) * PAGE_BYTES };
    } catch {
      return { cpuPercent: null, residentBytes: null };
    }
  }

  /** Ends it: a first signal makes it drain, a second one ends it at once, and if nothing helps it is killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const signal of ['SIGTERM', 'SIGTERM', 'SIGKILL'] as const) {
      if (this.#ended) return;
      this.#child.kill(signal);
      await Promise.race([
        this.#closed,
        sleep(signal === 'SIGTERM' ? PATIENCE_MS : 5000, undefined, { ref: false }),
      ]);
    }
  }

  /** The last resort when the demo itself comes to an unforeseen end. */
  killNow(): void {
    this.#stopping = true;
    if (!this.#ended) this.#child.kill('SIGKILL');
  }

  #remember(line: string): void {
    if (line.trim() === '') return;
    this.#lastLines.push(line.trim());
    if (this.#lastLines.length > 20) this.#lastLines.shift();
  }
}

const RELAY_PROGRAM = fileURLToPath(new URL('../../relay/main.ts', import.meta.url));
const PATIENCE_MS = 1000;
/** USER_HZ is 100 and pages have 4 KiB wherever this runs (x64, arm64 as distributed). */
const TICK_MS = 10;
const PAGE_BYTES = 4096;
