import * as fc from 'fast-check';

import { Random } from './random.ts';
import { shrinkBytes } from './shrink.ts';

export interface Failure {
  readonly error: string;
  /** The smallest input found, as the target shows it: hex, or a list of steps. */
  readonly input: string;
}

export interface Batch {
  readonly iterations: number;
  readonly failure?: Failure;
}

/** A target at work. A batch takes some 10 to 500 ms and depends on its seed alone, as far as the target can see to that. */
export interface Running {
  batch(seed: number): Batch | Promise<Batch>;
  stop?(): Promise<void>;
}

export interface Target {
  readonly name: string;
  /** What is fed with what, and what must hold. */
  readonly about: string;
  /** Share of a run's time, 1 when left out. */
  readonly weight?: number;
  start(): Running | Promise<Running>;
}

interface BytesTarget {
  readonly name: string;
  readonly about: string;
  readonly weight?: number;
  readonly generate: (random: Random) => Uint8Array;
  /** Throws when what must hold does not. */
  readonly check: (bytes: Uint8Array) => void;
}

const BYTES_A_BATCH = 2000;

/** Byte strings through a loop of our own, as fast as what is tested. */
export function bytesTarget({ generate, check, ...about }: BytesTarget): Target {
  const problem = (bytes: Uint8Array): string | undefined => {
    try {
      check(bytes);
      return undefined;
    } catch (error) {
      return textOf(error);
    }
  };
  return {
    ...about,
    start: () => ({
      batch: async (seed) => {
        const random = new Random(seed);
        for (let i = 1; i <= BYTES_A_BATCH; i++) {
          const bytes = generate(random);
          if (problem(bytes) === undefined) continue;
          const smallest = await shrinkBytes(bytes, (less) => problem(less) !== undefined);
          return {
            iterations: i,
            failure: { error: problem(smallest)!, input: `${smallest.length} bytes: ${hex(smallest)}` },
          };
        }
        return { iterations: BYTES_A_BATCH };
      },
    }),
  };
}

interface PropertyTarget {
  readonly name: string;
  readonly about: string;
  readonly weight?: number;
  /** Runs of the property a batch. */
  readonly runs: number;
  readonly property: fc.IRawProperty<unknown>;
}

/** Values with a structure, made and shrunk by fast-check. */
export function propertyTarget({ runs, property, ...about }: PropertyTarget): Target {
  return {
    ...about,
    start: () => ({ batch: (seed) => checkProperty(property, seed, runs) }),
  };
}

export async function checkProperty(
  property: fc.IRawProperty<unknown>,
  seed: number,
  runs: number,
): Promise<Batch> {
  const details = await fc.check(property, { seed, numRuns: runs });
  if (!details.failed) return { iterations: details.numRuns };
  return {
    iterations: details.numRuns,
    failure: { error: textOf(details.errorInstance), input: fc.stringify(details.counterexample) },
  };
}

export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place =
    error.stack?.split('\n').find((line) => /^\s+at /.test(line) && !line.includes('node:')) ?? '';
  return `${error.name}: ${error.message}${place.replace(/^\s+/, ' ')}`;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
