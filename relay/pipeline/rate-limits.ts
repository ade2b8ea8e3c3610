import { RateSketch } from '../session/rate-sketch.ts';

/** `Over` is answered with reject 6 where the packet is a lease, for as many again as the limit; `FarOver` gets silence. */
export const Rate = { Within: 0, Over: 1, FarOver: 2 } as const;
export type Rate = (typeof Rate)[keyof typeof Rate];

/** The limits that strangers run into: per source address and per identity, each worker its own (design-relay 4). */
export class RateLimits {
  readonly #sources: RateSketch;
  readonly #identities: RateSketch;
  readonly #sourceLimit: number;
  readonly #identityLimit: number;

  /** Limits per second; `seed` has four words. */
  constructor(seed: Uint32Array, sourceLimit: number, identityLimit: number) {
    this.#sources = new RateSketch(seed, 0);
    this.#identities = new RateSketch(seed, 2);
    this.#sourceLimit = sourceLimit;
    this.#identityLimit = identityLimit;
  }

  /** For every sound packet that is not from a known peer of an active session, and for every lease that is to be verified. */
  source(address: Int32Array, base: number, nowMs: number): Rate {
    return rateOf(this.#sources.addAddress(address, base, nowMs), this.#sourceLimit);
  }

  /** For every lease request of a proven identity; `digest` is its SHA-256, eight words at `base`. */
  identity(digest: Int32Array, base: number, nowMs: number): Rate {
    return rateOf(this.#identities.addDigest(digest, base, nowMs), this.#identityLimit);
  }
}

function rateOf(count: number, limit: number): Rate {
  if (count <= limit) return Rate.Within;
  return count <= 2 * limit ? Rate.Over : Rate.FarOver;
}
