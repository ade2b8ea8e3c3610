import { ADDRESS_WORDS, copyAddress } from '../protocol/address.ts';
import { MAX_DATAGRAM } from '../protocol/header.ts';

/**
 * LEASE_PRESENT datagrams that wait to be verified (design-relay 2): copies, first in first out, bounded.
 *
 * Half of the places is kept for ids of sessions that exist, so that a flood of invented ids can't lock out second peers;
 * and the two kinds take turns, so that those don't wait behind the flood either.
 */
export class LeaseQueue {
  /** After {@link shift}: the datagram is `bytes[offset..offset + length)`, its source at `sourceBase` of `sources`. */
  readonly bytes: Uint8Array;
  readonly sources: Int32Array;
  offset = 0;
  length = 0;
  sourceBase = 0;

  readonly #lengths: Uint16Array;
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #known: SlotRing;
  readonly #strangers: SlotRing;
  readonly #strangersMax: number;
  #strangersNext = false;
  #taken = -1;

  /** `capacity` in datagrams, at least 1. Memory is touched only as it is used. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity * MAX_DATAGRAM);
    this.sources = new Int32Array(capacity * ADDRESS_WORDS);
    this.#lengths = new Uint16Array(capacity);
    this.#free = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
    this.#freeCount = capacity;
    this.#known = new SlotRing(capacity);
    this.#strangers = new SlotRing(capacity);
    this.#strangersMax = Math.max(1, capacity >> 1);
  }

  get size(): number {
    return this.#known.size + this.#strangers.size;
  }

  /** Copies the datagram in, or says false when there is no place for it. `length` is at most 1500. */
  push(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    knownSession: boolean,
  ): boolean {
    if (this.#freeCount === 0) return false;
    if (!knownSession && this.#strangers.size >= this.#strangersMax) return false;
    const slot = this.#free[--this.#freeCount]!;
    this.bytes.set(bytes.subarray(offset, offset + length), slot * MAX_DATAGRAM);
    this.#lengths[slot] = length;
    copyAddress(source, sourceBase, this.sources, slot * ADDRESS_WORDS);
    (knownSession ? this.#known : this.#strangers).push(slot);
    return true;
  }

  /** Takes the next datagram; it stays valid until the next call of shift. False when none waits. */
  shift(): boolean {
    if (this.#taken >= 0) {
      this.#free[this.#freeCount++] = this.#taken;
      this.#taken = -1;
    }
    if (this.size === 0) return false;
    const strangers = this.#known.size === 0 || (this.#strangersNext && this.#strangers.size > 0);
    const slot = (strangers ? this.#strangers : this.#known).shift();
    this.#strangersNext = !strangers;
    this.#taken = slot;
    this.offset = slot * MAX_DATAGRAM;
    this.length = this.#lengths[slot]!;
    this.sourceBase = slot * ADDRESS_WORDS;
    return true;
  }
}

class SlotRing {
  size = 0;
  readonly #slots: Int32Array;
  #head = 0;

  constructor(capacity: number) {
    this.#slots = new Int32Array(capacity);
  }

  push(slot: number): void {
    this.#slots[(this.#head + this.size) % this.#slots.length] = slot;
    this.size++;
  }

  shift(): number {
    const slot = this.#slots[this.#head]!;
    this.#head = (this.#head + 1) % this.#slots.length;
    this.size--;
    return slot;
  }
}
