import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Commands } from './commands.ts';
import type {
  FromSupervisor,
  SupervisorRequest,
  SupervisorSetup,
  ToSupervisor,
} from './supervisor-protocol.ts';

/** The owner's end of the channel to the supervisor, and the namespaces it lives in. */
export class SupervisorLink {
  /** The supervisor's process number as this process sees it: the way into its namespaces. */
  readonly pid: Promise<number>;
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #onTrouble: (message: string) => void;
  readonly #pid = Promise.withResolvers<number>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #answers = new Map<number, PromiseWithResolvers<void>>();
  #next = 0;

  /** Makes the namespaces: a user namespace too where this isn't root. */
  constructor(setup: SupervisorSetup, commands: Commands, onTrouble: (message: string) => void) {
    this.#onTrouble = onTrouble;
    this.#log = join(setup.logs, 'supervisor.log');
    this.pid = this.#pid.promise;
    // Entering a user namespace clears the parent-death signal, so it is set after that, and the namespaces that
    // change no credentials come last. Only the last unshare forks: its child gets --kill-child's signal.
    const dies = [commands.setpriv, '--pdeathsig', 'KILL'];
    const line = [
      ...(isRoot() ? [] : [commands.unshare, '--user', '--map-root-user', '--']),
      ...dies,
      commands.unshare,
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--',
      process.execPath,
      join(import.meta.dirname, 'supervisor.ts'),
    ];
    const { NODE_TEST_CONTEXT, NODE_OPTIONS, ...env } = process.env;
    void [NODE_TEST_CONTEXT, NODE_OPTIONS];
    const log = openSync(this.#log, 'a');
    // A session of its own: a Ctrl-C at the terminal is for the owner, who then stops the cluster in order.
    this.#child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', log, log, 'ipc'], detached: true, env });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      const end = (how: string): void => {
        const log = this.#logTail();
        const hint = log.startsWith('unshare:') ? NAMESPACE_HINT : '';
        this.#fail(new Error(`the cluster's supervisor ended (${how})${hint}:\n${log}`));
        resolve();
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
    this.#child.on('message', (message: FromSupervisor) => this.#receive(message));
    for (const { promise } of [this.#pid, this.#ready]) promise.catch(() => undefined);
    this.#send({ setup });
  }

  /** @throws Error saying what could not be started. */
  async ready(): Promise<void> {
    await this.#ready.promise;
  }

  async request(request: SupervisorRequest): Promise<void> {
    if (!this.#child.connected) throw new Error('the cluster has ended');
    const id = this.#next++;
    const answer = Promise.withResolvers<void>();
    this.#answers.set(id, answer);
    this.#send({ id, request });
    await answer.promise;
  }

  /** Ends the supervisor, and with it every process of the cluster. */
  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const pid = await this.#pid.promise.catch(() => this.#child.pid);
    const timer = setTimeout(() => {
      try {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      } catch {
        // It has just ended.
      }
    }, 5000);
    await this.exited;
    clearTimeout(timer);
  }

  #receive(message: FromSupervisor): void {
    if ('pid' in message) this.#pid.resolve(message.pid);
    else if ('ready' in message) this.#ready.resolve();
    else if ('failed' in message)
      this.#fail(new Error(`the cluster could not be started: ${message.failed}`));
    else if ('trouble' in message) this.#onTrouble(message.trouble);
    else {
      const answer = this.#answers.get(message.id);
      this.#answers.delete(message.id);
      if (message.error === undefined) answer?.resolve();
      else answer?.reject(new Error(message.error));
    }
  }

  #fail(error: Error): void {
    this.#pid.reject(error);
    this.#ready.reject(error);
    for (const answer of this.#answers.values()) answer.reject(error);
    this.#answers.clear();
  }

  #send(message: ToSupervisor): void {
    // A channel that is closed shows as the supervisor's end.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #logTail(): string {
    return readFileSync(this.#log, 'utf8').slice(-2000);
  }
}

const NAMESPACE_HINT =
  ', as this machine lets it make no namespaces: run as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)';

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
