import { ADDRESS_WORDS, copyAddress } from '../protocol/address.ts';
import { SESSION_ID_OFFSET } from '../protocol/header.ts';
import type { SessionTable } from '../session/table.ts';

const SLOTS = 256;
const SLOT_BYTES = 1536;
/** The memory for a worker's held datagrams. */
export const HELD_BYTES: number = SLOTS * SLOT_BYTES;
const BUCKETS = 16_384;

/**
 * FORWARDs that came behind a LEASE_PRESENT for their session which still waits to be verified (design-relay 2): a deployed
 * client sends its first packets without waiting for the LEASE_ACK, and sends them once. Copies, in the order of arrival, each
 * until the presents that were waiting when it came are judged.
 *
 * Presents that wait are counted by the seeded hash of their session id. Ids that share a counter make packets wait that would
 * have been dropped, which harms nobody.
 */
export class HeldForwards {
  readonly bytes: Uint8Array;
  readonly sources: Int32Array = new Int32Array(SLOTS * ADDRESS_WORDS);
  /** After {@link next}: the datagram is `bytes[offset..offset + length)`, its source at `sourceBase` of `sources`. */
  offset = 0;
  length = 0;
  sourceBase = 0;
  /** After {@link next}: none of the presents that it waited for waits any longer. */
  due = false;
  /** Presents that wait to be verified. */
  presents = 0;

  readonly #table: SessionTable;
  /** By bucket: presents that came, and those of them that were judged. Both wrap. */
  readonly #came = new Int32Array(BUCKETS);
  readonly #judged = new Int32Array(BUCKETS);
  /** By slot: its session's bucket, and what #judged has to reach. */
  readonly #buckets = new Int32Array(SLOTS);
  readonly #awaited = new Int32Array(SLOTS);
  readonly #lengths = new Uint16Array(SLOTS);
  /** All slots: those in use as their datagrams came, then the free ones. */
  readonly #order: Int32Array = Int32Array.from({ length: SLOTS }, (_, i) => i);
  #size = 0;
  /** Of the present that came last, and of the one that was judged last. */
  #latest = 0;
  #bucket = 0;
  /** Where next() goes on in #order. */
  #at = 0;

  /** `bytes`: HELD_BYTES of memory, touched only as it is used. */
  constructor(bytes: Uint8Array, table: SessionTable) {
    this.bytes = bytes;
    this.#table = table;
  }

  get size(): number {
    return this.#size;
  }

  /** The LEASE_PRESENT at `offset` goes to wait. */
  presentCame(bytes: Uint8Array, offset: number): void {
    this.#latest = this.#bucketOf(bytes, offset);
    this.#came[this.#latest]!++;
    this.presents++;
  }

  /** The one that came last found no place to wait. */
  presentLost(): void {
    this.#came[this.#latest]!--;
    this.presents--;
  }

  /** The LEASE_PRESENT at `offset` waits no longer: now {@link next} gives the datagrams that may have waited for it. */
  presentJudged(bytes: Uint8Array, offset: number): void {
    this.#bucket = this.#bucketOf(bytes, offset);
    this.#judged[this.#bucket]!++;
    this.presents--;
    this.#at = 0;
  }

  /** Copies a datagram of at most 1500 bytes in; false when no present waits for its session, or there is no room. */
  push(bytes: Uint8Array, offset: number, length: number, source: Int32Array, sourceBase: number): boolean {
    if (this.presents === 0 || this.#size === SLOTS) return false;
    const bucket = this.#bucketOf(bytes, offset);
    if (this.#came[bucket] === this.#judged[bucket]) return false;
    const slot = this.#order[this.#size++]!;
    this.#buckets[slot] = bucket;
    this.#awaited[slot] = this.#came[bucket]!;
    this.#lengths[slot] = length;
    this.bytes.set(bytes.subarray(offset, offset + length), slot * SLOT_BYTES);
    copyAddress(source, sourceBase, this.sources, slot * ADDRESS_WORDS);
    return true;
  }

  /** The next of those datagrams, in order; it stays held unless {@link remove} follows. */
  next(): boolean {
    while (this.#at < this.#size) {
      const slot = this.#order[this.#at++]!;
      if (this.#buckets[slot] !== this.#bucket) continue;
      this.offset = slot * SLOT_BYTES;
      this.length = this.#lengths[slot]!;
      this.sourceBase = slot * ADDRESS_WORDS;
      this.due = ((this.#judged[this.#bucket]! - this.#awaited[slot]!) | 0) >= 0;
      return true;
    }
    return false;
  }

  /** Takes out the datagram that {@link next} gave. Its bytes stay as they are until the next push. */
  remove(): void {
    const at = --this.#at;
    const slot = this.#order[at]!;
    this.#order.copyWithin(at, at + 1, this.#size--);
    this.#order[this.#size] = slot;
  }

  /** Nothing waits any longer, presents or FORWARDs. */
  clear(): void {
    this.#came.set(this.#judged);
    this.presents = 0;
    this.#size = 0;
  }

  #bucketOf(bytes: Uint8Array, offset: number): number {
    return this.#table.hash(bytes, offset + SESSION_ID_OFFSET) & (BUCKETS - 1);
  }
}
