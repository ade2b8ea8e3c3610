import type { BinaryName, BinaryProgress } from '../cluster/binaries.ts';
import { CONTROL_PLANE_BINARIES, findBinaries } from '../cluster/binaries.ts';
import { findCommands } from '../cluster/commands.ts';
import { clock } from './view.ts';

/** The binaries of a local cluster: there already, being built, or out of reach. */
export class BinarySearch {
  /** Path of helm, or why there is none. Rejects when the cluster's own binaries can't be had, with what would bring them. */
  readonly found: Promise<string | Error>;
  /** Resolves when something has to be built: then it takes minutes. */
  readonly building: Promise<void>;
  readonly #startedMs: number;
  readonly #nowMs: () => number;
  readonly #building = Promise.withResolvers<void>();
  #progress: BinaryProgress | undefined;

  /** `nowMs` is monotonic. */
  constructor(signal: AbortSignal, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startedMs = nowMs();
    this.building = this.#building.promise;
    this.found = this.#find(signal);
    this.found.catch(() => undefined);
  }

  /** What is being built, in one line; undefined when nothing is. */
  get notice(): string | undefined {
    if (this.#progress?.state !== 'building') return undefined;
    return buildNotice(this.#progress, this.#nowMs() - this.#startedMs);
  }

  async #find(signal: AbortSignal): Promise<string | Error> {
    // What is missing besides is said before eight minutes of building, not after.
    findCommands();
    const onProgress = (progress: BinaryProgress): void => {
      this.#progress = progress;
      if (progress.state === 'building') this.#building.resolve();
    };
    try {
      await findBinaries(CONTROL_PLANE_BINARIES, { signal, onProgress });
      try {
        return (await findBinaries(['helm'], { signal, onProgress })).helm;
      } catch (error) {
        signal.throwIfAborted();
        return error as Error;
      }
    } finally {
      this.#progress = undefined;
    }
  }
}

/** `building kube-apiserver (2 of 6) 01:23, 01:40 of about 10 min`: at most 70 characters. */
export function buildNotice({ binary, seconds }: BinaryProgress, totalMs: number): string {
  const which = `${binary} (${ALL.indexOf(binary) + 1} of ${ALL.length})`;
  return `building ${which} ${clock(seconds)}, ${clock(totalMs / 1000)} of about 10 min`;
}

const ALL: readonly BinaryName[] = [...CONTROL_PLANE_BINARIES, 'helm'];
