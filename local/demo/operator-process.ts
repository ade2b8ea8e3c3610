import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type { Start } from './crowd-process.ts';

/** The operator as a process outside of the cluster's pods. */
export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #stopping = false;

  /** @param logFile takes what it writes */
  constructor(start: Start, flags: readonly string[], logFile: string, onEnd: (reason: string) => void) {
    this.#child = start(process.execPath, [PROGRAM, '--log-format=text', ...flags], process.env);
    const log = createWriteStream(logFile, { flags: 'a', mode: 0o600 });
    let last = 'without a word';
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`);
        if (line.trim() !== '') last = line.trim();
      });
    }
    this.#closed = once(this.#child, 'close');
    this.#child.once('close', (code, signal) => {
      log.end();
      if (!this.#stopping) onEnd(`the operator ended (${signal ?? `exit ${code}`}): ${last}`);
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
      this.#child.kill(signal);
      await Promise.race([this.#closed, sleep(PATIENCE_MS, undefined, { ref: false })]);
    }
  }

  /** For the end of the process, where nothing can be waited for. */
  killNow(): void {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
  }
}

const PROGRAM = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));
const PATIENCE_MS = 5000;
