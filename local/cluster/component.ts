import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

export interface ComponentOptions {
  name: string;
  command: string;
  args: readonly string[];
  logFile: string;
  /** Resolves when it serves; asked again while it rejects. */
  ready: () => Promise<void>;
  /** Told when it ends without having been asked to. */
  onCrash: (message: string) => void;
}

/** One process of the control plane: started, watched, stopped and started again. */
export class Component {
  readonly #options: ComponentOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #expected = false;

  constructor(options: ComponentOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Starts it and waits until it serves. @throws Error with the end of its log when it exits before or takes 60 s. */
  async start(): Promise<void> {
    if (this.#child) throw new Error(`${this.#options.name} is running already`);
    this.#expected = false;
    const log = openSync(this.#options.logFile, 'a');
    const child = spawn(this.#options.command, [...this.#options.args], {
      stdio: ['ignore', log, log],
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    });
    closeSync(log);
    this.#child = child;
    let ended: string | undefined;
    this.#exited = new Promise((resolve) => {
      const end = (how: string): void => {
        ended = `${this.#options.name} ended by ${how}:\n${logTail(this.#options.logFile)}`;
        this.#child = undefined;
        resolve();
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });

    const deadline = performance.now() + 60_000;
    for (;;) {
      if (ended) throw new Error(ended);
      try {
        await this.#options.ready();
        break;
      } catch (error) {
        if (performance.now() > deadline)
          throw new Error(
            `${this.#options.name} is not ready after 60 s (${(error as Error).message}):\n${logTail(this.#options.logFile)}`,
          );
        await delay(50);
      }
    }
    void this.#exited.then(() => {
      if (!this.#expected && ended) this.#options.onCrash(ended);
    });
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    this.#expected = true;
    this.#child?.kill(signal);
    await this.#exited;
  }
}

function logTail(file: string): string {
  try {
    const size = statSync(file).size;
    return readFileSync(file, 'utf8').slice(-Math.min(size, 3000));
  } catch {
    return '(no log)';
  }
}
