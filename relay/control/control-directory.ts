import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { readBoundedFile } from './bounded-file.ts';
import type { Clock } from './clock.ts';
import type { ControlLog } from './control-log.ts';

export interface ControlDirectoryOptions {
  readonly path: string;
  /** Throws, with what is wrong, for endpoints that can't be registered. */
  readonly checkEndpoints: (endpoints: readonly string[]) => void;
  readonly clock: Clock;
  readonly log: ControlLog;
  readonly onChange: () => void;
}

/** How soon a change is seen. */
const CONTROL_POLL_MS = 250;
const MAX_BYTES = 4096;

/**
 * The files `draining` and `endpoints` of `--control-dir` (design-relay 6): an operator's wishes.
 *
 * They are read again and again rather than watched: Kubernetes swaps such a volume by renaming a symbolic link, at which
 * inotify watches of the files hear nothing and watches of links die. What can't be read or understood is named once and
 * leaves the last good value as it was; a file that is missing or empty says "not draining", or no endpoints.
 */
export class ControlDirectory {
  readonly #options: ControlDirectoryOptions;
  #draining = false;
  #endpoints: readonly string[] = [];
  readonly #problems = new Map<string, string>();
  #cancel: (() => void) | undefined;
  #reading: Promise<void> = Promise.resolve();
  #stopped = false;
  #missing = false;

  constructor(options: ControlDirectoryOptions) {
    this.#options = options;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get endpoints(): readonly string[] {
    return this.#endpoints;
  }

  /** Reads once, then goes on reading. */
  async start(): Promise<void> {
    this.#reading = this.#round();
    await this.#reading;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#reading;
  }

  async #round(): Promise<void> {
    await this.#lookForDirectory();
    const draining = await this.#read('draining', parseDraining, this.#draining);
    const endpoints = await this.#read('endpoints', (text) => this.#parseEndpoints(text), this.#endpoints);
    if (this.#stopped) return;
    const changed = draining !== this.#draining || endpoints.join(' ') !== this.#endpoints.join(' ');
    this.#draining = draining;
    this.#endpoints = endpoints;
    if (changed) this.#options.onChange();
    this.#cancel = this.#options.clock.after(CONTROL_POLL_MS, () => {
      this.#reading = this.#round();
    });
  }

  /** Files may come and go, the directory itself only by a typo or a volume that isn't mounted. */
  async #lookForDirectory(): Promise<void> {
    const { path, log } = this.#options;
    const missing = await stat(path).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
    );
    if (missing && !this.#missing) {
      log(
        'warn',
        `--control-dir ${path}: no such directory: not draining and no endpoints until there is one`,
      );
    } else if (!missing && this.#missing) {
      log('info', `--control-dir ${path} is there now`);
    }
    this.#missing = missing;
  }

  async #read<T>(name: string, parse: (text: string) => T, last: T): Promise<T> {
    const path = join(this.#options.path, name);
    try {
      const text = (await readBoundedFile(path, MAX_BYTES)) ?? '';
      const value = parse(text);
      if (this.#problems.delete(name)) this.#options.log('info', `${path} is in order again`);
      return value;
    } catch (error) {
      const { message } = error as Error;
      const problem = message.startsWith(path) ? message : `${path}: ${message}`;
      if (this.#problems.get(name) !== problem) {
        this.#problems.set(name, problem);
        this.#options.log('error', `${problem}; going on with what it said before`);
      }
      return last;
    }
  }

  #parseEndpoints(text: string): readonly string[] {
    const endpoints = text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
    if (endpoints.length > 0) this.#options.checkEndpoints(endpoints);
    return endpoints;
  }
}

function parseDraining(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (word === 'true') return true;
  if (word === 'false' || word === '') return false;
  throw new Error('has to hold true or false');
}
