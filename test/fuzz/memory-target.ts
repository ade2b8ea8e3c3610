import process from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { SharedAdmission } from '../../relay/pipeline/admission.ts';
import { ADMISSION_FLOATS, ADMISSION_WORDS } from '../../relay/pipeline/admission.ts';
import { bookImbalance, COUNTER_CELLS } from '../../relay/pipeline/counters.ts';
import { HELD_BYTES } from '../../relay/pipeline/held-forwards.ts';
import { LeaseQueue } from '../../relay/pipeline/lease-queue.ts';
import { Pipeline } from '../../relay/pipeline/pipeline.ts';
import { Verdict } from '../../relay/pipeline/verdict.ts';
import { RELAY_ID, START_WALL_MS, STRANGERS, STUN_ID, stubLeases } from './cast.ts';
import { hostileDatagram } from './hostile-datagrams.ts';
import { Random } from './random.ts';
import type { Batch, Running, Target } from './target.ts';

const DATAGRAMS_A_BATCH = 20_000;
/** Batches until everything is compiled and every path was taken. */
const WARM_UP = 2;
const SLACK_BYTES = 3_000_000;
/** What a second look takes, and what a datagram may cost in it: ten bytes are less than any object. */
const DATAGRAMS_AGAIN = 10 * DATAGRAMS_A_BATCH;
const LEAK_BYTES = 10;

export const memoryTarget: Target = {
  name: 'memory',
  about:
    'a flood from ever new addresses with ever new session ids through one pipeline: the heap does not grow',
  start: () => new FloodedPipeline(),
};

class FloodedPipeline implements Running {
  readonly #cells = new Float64Array(COUNTER_CELLS);
  readonly #queue = new LeaseQueue(2048);
  readonly #tokens = stubLeases().tokens;
  readonly #pipeline: Pipeline;
  readonly #source = new Int32Array(6);
  #nowMs = 1e7;
  #batches = 0;
  #heapBytes = 0;

  constructor() {
    const words = new Int32Array(ADMISSION_WORDS);
    this.#pipeline = new Pipeline({
      relayId: RELAY_ID,
      sessionCapacity: 1000,
      limits: {
        idleTimeoutMs: 60_000,
        leaseDurationMs: 300_000,
        cleanupIntervalMs: 10_000,
        renewOnTraffic: true,
        rebindOnForward: 'port',
        ipRateLimitPps: 1000,
        identityRateLimitPps: 200,
      },
      counters: this.#cells,
      seed: Uint32Array.of(1, 2, 3, 4),
      admission: new SharedAdmission(words, new Float64Array(ADMISSION_FLOATS), 1000, 95),
      journal: undefined,
      verify: stubLeases().verify,
      insecure: false,
      heldBytes: new Uint8Array(HELD_BYTES),
      nowMs: this.#nowMs,
      wallMs: START_WALL_MS,
    });
  }

  batch(seed: number): Batch {
    const random = new Random(seed);
    for (let i = 0; i < DATAGRAMS_A_BATCH; i++) this.#flood(random);
    this.#batches++;
    const failure = this.#problem(random);
    return failure === undefined
      ? { iterations: DATAGRAMS_A_BATCH }
      : { iterations: DATAGRAMS_A_BATCH, failure: { error: failure, input: `${this.#batches} batches` } };
  }

  #flood(random: Random): void {
    const pipeline = this.#pipeline;
    const sessions = [random.noise(16)];
    const bytes = hostileDatagram(random, {
      sessions,
      tokens: this.#tokens,
      stunId: STUN_ID,
      addresses: STRANGERS,
    });
    const source = this.#source;
    const v4 = random.oneIn(2);
    for (let i = 0; i < 4; i++) source[i] = random.u32();
    if (v4) source.set([0, 0, 0xffff]);
    source[4] = random.between(1, 65_535);
    this.#nowMs += 0.05;
    const wallMs = START_WALL_MS + this.#nowMs - 1e7;
    const verdict = pipeline.receive(bytes, 0, bytes.length, source, 0, this.#nowMs);
    if (verdict === Verdict.Forward) pipeline.forwarded(1, bytes.length);
    if (verdict === Verdict.Lease && !this.#queue.push(bytes, 0, bytes.length, source, 0, false)) {
      pipeline.queueFull();
    }
    if (!random.oneIn(16)) return;
    while (this.#queue.shift()) {
      const { offset, length, sourceBase } = this.#queue;
      pipeline.present(
        this.#queue.bytes,
        offset,
        length,
        this.#queue.sources,
        sourceBase,
        this.#nowMs,
        wallMs,
      );
      for (;;) {
        const held = pipeline.takeHeld(this.#nowMs);
        if (held === Verdict.Held) break;
        if (held === Verdict.Forward) pipeline.forwarded(1, pipeline.held.length);
      }
    }
    pipeline.sweep(this.#nowMs, wallMs);
    while (pipeline.takeDue(this.#nowMs, wallMs) === Verdict.Reply);
  }

  #problem(random: Random): string | undefined {
    if (this.#queue.size === 0) {
      const imbalance = bookImbalance(this.#cells);
      if (imbalance !== undefined) return imbalance;
    }
    const used = usedBytes();
    if (this.#batches <= WARM_UP) this.#heapBytes = used;
    if (used - this.#heapBytes <= SLACK_BYTES) return undefined;
    // Late compilation, or another target in this process, costs memory once; a leak costs it for every datagram.
    for (let i = 0; i < DATAGRAMS_AGAIN; i++) this.#flood(random);
    const usedThen = usedBytes();
    if (usedThen - used > DATAGRAMS_AGAIN * LEAK_BYTES) {
      return `the heap grew by ${used - this.#heapBytes} bytes, and by ${usedThen - used} over ${DATAGRAMS_AGAIN} datagrams more`;
    }
    this.#heapBytes = usedThen;
    return undefined;
  }
}

function usedBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** As node's --expose-gc gives it, for a process that was started without. */
const collectGarbage: () => void = ((): (() => void) => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();
