import { signedLeases, stubLeases } from './cast.ts';
import type { Leases } from './cast.ts';
import { script, showStep } from './pipeline-script.ts';
import type { Step } from './pipeline-script.ts';
import { anyOptions, PipelineWorld } from './pipeline-world.ts';
import type { WorldOptions } from './pipeline-world.ts';
import { Random } from './random.ts';
import { shrinkList } from './shrink.ts';
import { textOf } from './target.ts';
import type { Batch, Target } from './target.ts';

const STEPS = 4000;
/** Every so many batches are played twice, with other bytes around the datagrams. */
const TWICE_EVERY = 8;
const SHRINK_TRIES = 3000;

export const pipelineTargets: readonly Target[] = [
  pipelineTarget({
    name: 'pipeline',
    about:
      'strangers’ datagrams of 0 to 65,507 bytes between real sessions, restarts and clock steps: never throws, books balance, nobody but peers gets anything, honest peers lose nothing',
    weight: 6,
    leases: stubLeases,
  }),
  pipelineTarget({
    name: 'pipeline-signed',
    about: 'the same with tokens that are signed and verified',
    weight: 2,
    leases: signedLeases,
  }),
];

function pipelineTarget({
  leases: makeLeases,
  ...about
}: Omit<Target, 'start'> & { readonly leases: () => Leases }): Target {
  return {
    ...about,
    start: () => {
      const leases = makeLeases();
      return { batch: (seed) => batch(seed, leases) };
    },
  };
}

async function batch(seed: number, leases: Leases): Promise<Batch> {
  const random = new Random(seed);
  const options = anyOptions(random);
  const steps = script(random, leases, STEPS);
  const first = play(steps, options, leases);
  if (first.error === undefined && seed % TWICE_EVERY === 0) {
    const elsewhere = { ...options, surroundings: ~options.surroundings >>> 0 };
    const again = play(steps, elsewhere, leases);
    if (again.trace !== first.trace) {
      return failure(
        first.datagrams,
        'what lies around a datagram changes what becomes of it',
        steps,
        options,
      );
    }
  }
  if (first.error === undefined) return { iterations: first.datagrams };
  const smallest = await shrinkList(
    steps.slice(0, first.played),
    (less) => play(less, options, leases).error !== undefined,
    SHRINK_TRIES,
  );
  return failure(first.datagrams, play(smallest, options, leases).error!, smallest, options);
}

interface Played {
  readonly datagrams: number;
  /** Steps, the one that failed included. */
  readonly played: number;
  readonly trace: number;
  readonly error?: string;
}

function play(steps: readonly Step[], options: WorldOptions, leases: Leases): Played {
  const world = new PipelineWorld(options, leases);
  for (const [index, step] of steps.entries()) {
    try {
      world.play(step);
    } catch (error) {
      return { datagrams: world.datagrams, played: index + 1, trace: world.trace, error: textOf(error) };
    }
  }
  return { datagrams: world.datagrams, played: steps.length, trace: world.trace };
}

function failure(iterations: number, error: string, steps: readonly Step[], options: WorldOptions): Batch {
  const lines = steps.map((step, i) => `  ${i + 1}. ${showStep(step)}`);
  const input = [`${steps.length} steps under ${JSON.stringify(options)}`, ...lines].join('\n');
  return { iterations, failure: { error, input } };
}
