import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';

import { findCommands } from '../../../local/cluster/commands.ts';
import { ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

/** Longer than a start and the longest lease of the tests take together. */
const PATIENCE_MS = 180_000;

/** A lease of so many seconds, for those that are to be lost and won. */
export function lease(seconds: number): string[] {
  return [`--lease-duration=${seconds}`, `--renew-deadline=${0.8 * seconds}`, '--retry-period=0.3'];
}

/** The operator as a process outside the cluster, as a person would run it with --kubeconfig. */
export class OperatorProcess {
  readonly #args: readonly string[];
  readonly #restarts: boolean;
  #child: ChildProcess;
  #log = '';
  #over = false;

  /** With `restarts`, one that ends by itself is started again, as the kubelet does it. */
  constructor(kubeconfig: string, args: readonly string[] = [], restarts = false) {
    this.#args = [
      join(ROOT, 'operator/main.ts'),
      `--kubeconfig=${kubeconfig}`,
      '--listen=127.0.0.1:0',
      '--poll-interval=0.5',
      ...args,
    ];
    this.#restarts = restarts;
    this.#child = this.#spawn();
  }

  get log(): string {
    return this.#log;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** @throws Error when it ends before, and nobody starts it again */
  async whenLeading(): Promise<void> {
    const leading = (): boolean => this.ended || this.#log.includes('"leading"');
    await until('the operator to lead', leading, PATIENCE_MS);
    if (this.ended) throw new Error(`it ended: ${this.#log.slice(-2000)}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or the signal that ended it. */
  async whenEnded(): Promise<number | NodeJS.Signals> {
    if (!this.ended) await once(this.#child, 'exit');
    return this.#child.exitCode ?? this.#child.signalCode ?? 0;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | NodeJS.Signals> {
    this.#over = true;
    this.signal(signal);
    return this.whenEnded();
  }

  #spawn(): ChildProcess {
    const { KUBECONFIG: _none, ...env } = process.env;
    // It becomes the operator itself, which ends with the tests however they end.
    const { setpriv } = findCommands();
    const line = ['--pdeathsig', 'KILL', process.execPath, ...this.#args];
    const child = spawn(setpriv, line, { stdio: ['ignore', 'pipe', 'pipe'], env });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#log += text));
    }
    child.once('exit', () => {
      if (this.#restarts && !this.#over) this.#child = this.#spawn();
    });
    return child;
  }
}
