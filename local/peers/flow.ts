import { performance } from 'node:perf_hooks';

import type { Role } from '../master/lease.ts';
import { flowSeed } from './payload.ts';
import { SequenceChecker } from './sequence-checker.ts';
import { HANDSHAKE_OVERHEAD, ROLE_BYTE, TYPE, writeHandshakeHeader, writeHeader } from './wire.ts';

/** One direction of a session: what its sender and its receiver know of it. Both live in this process. */
export class Flow {
  /** Stands for session and direction in every packet's body. */
  readonly seed: number;
  /** RIFT's name for the sender, never 0. */
  readonly alias: number;
  /** The one handshake message of this direction, whole. */
  readonly handshake: Buffer;
  readonly arrivals: SequenceChecker = new SequenceChecker();
  /** The last packet id given out; the first is 1. */
  sent = 0;
  readonly #sentAtMs: Float64Array;

  /** `remembered` packets are kept in mind for their latency, rounded up to a power of two. */
  constructor(sender: Role, sessionId: Uint8Array, remembered: number) {
    this.seed = flowSeed(sessionId, ROLE_BYTE[sender]);
    this.alias = this.seed >>> 0 || 1;
    this.handshake = Buffer.alloc(HANDSHAKE_OVERHEAD + HANDSHAKE_BODY, this.seed & 0xff);
    writeHeader(this.handshake, TYPE.forward, sessionId);
    writeHandshakeHeader(this.handshake, sessionId);
    this.#sentAtMs = new Float64Array(2 ** Math.ceil(Math.log2(Math.max(2, remembered))));
  }

  /** The next packet id, with its time of sending taken down. */
  nextSequence(): number {
    const sequence = ++this.sent;
    this.#sentAtMs[sequence % this.#sentAtMs.length] = performance.now();
    return sequence;
  }

  /** How long ago a packet was sent, in ms; -1 when that is forgotten. */
  ageMs(sequence: number): number {
    if (sequence > this.sent || sequence <= this.sent - this.#sentAtMs.length) return -1;
    return performance.now() - this.#sentAtMs[sequence % this.#sentAtMs.length]!;
  }

  get lost(): number {
    return this.sent - this.arrivals.unique;
  }
}

/** About what a Noise handshake message takes. */
const HANDSHAKE_BODY = 96;
