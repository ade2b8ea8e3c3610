import { MSG_CTRUNC, MSG_TRUNC, SOL_UDP, UDP_GRO, type Libc } from './libc.ts';
import { NativeBlock } from './native-block.ts';
import { readSockaddr, sockaddrLength, SOCKADDR_STRIDE, SOCKADDR_WORDS } from './sockaddr.ts';
import { MAX_DATAGRAM } from '../protocol/header.ts';
import {
  HEADER_CONTROL,
  HEADER_CONTROL_LENGTH,
  HEADER_FLAGS,
  HEADER_IOV,
  HEADER_IOV_LENGTH,
  HEADER_LENGTH,
  HEADER_NAME,
  HEADER_NAME_LENGTH,
  MESSAGE_BYTES,
  MESSAGE_WORDS,
} from './message-header.ts';

/**
 * One recvmmsg batch over preallocated slots. With UDP_GRO a slot holds up to 64 KiB of one sender's datagrams, all of
 * the same size but the last; without, one datagram.
 *
 * Slots of exactly 64 KiB would alias in the cache (datapath-notes), hence the odd stride.
 */
export class ReceiveBatch {
  /** Base for the native pointers of what was received: byte `offset(i)` of it is where message i starts. */
  readonly block: NativeBlock;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #family: 4 | 6;
  readonly #gro: boolean;
  readonly #slots: number;
  readonly #stride: number;
  readonly #nameLength: number;
  readonly #headers: NativeBlock;
  readonly #names: NativeBlock;
  readonly #controls: NativeBlock;
  readonly #iovs: NativeBlock;
  #used = 0;

  constructor(libc: Libc, fd: number, family: 4 | 6, gro: boolean) {
    this.#libc = libc;
    this.#fd = fd;
    this.#family = family;
    this.#gro = gro;
    this.#slots = gro ? GRO_SLOTS : PLAIN_SLOTS;
    this.#stride = gro ? GRO_STRIDE : PLAIN_STRIDE;
    this.#nameLength = sockaddrLength(family);
    this.block = new NativeBlock(this.#slots * this.#stride);
    this.#headers = new NativeBlock(this.#slots * MESSAGE_BYTES);
    this.#names = new NativeBlock(this.#slots * SOCKADDR_STRIDE);
    this.#controls = new NativeBlock(this.#slots * CONTROL_BYTES);
    this.#iovs = new NativeBlock(this.#slots * 16);
    const room = gro ? GRO_ROOM : PLAIN_STRIDE;
    for (let i = 0; i < this.#slots; i++) {
      const header = i * MESSAGE_WORDS;
      const words = this.#headers.words;
      this.block.pointTo(i * this.#stride, this.#iovs.words, i * 4);
      this.#iovs.words[i * 4 + 2] = room;
      this.#names.pointTo(i * SOCKADDR_STRIDE, words, header + HEADER_NAME);
      this.#iovs.pointTo(i * 16, words, header + HEADER_IOV);
      words[header + HEADER_IOV_LENGTH] = 1;
      if (gro) this.#controls.pointTo(i * CONTROL_BYTES, words, header + HEADER_CONTROL);
    }
    this.#used = this.#slots;
    this.#reset();
  }

  /** Whether a count that {@link receive} gave means that more may wait. */
  isFull(count: number): boolean {
    return count === this.#slots;
  }

  /** Up to all slots in one call; what recvmmsg returned, so -1 when `errno` says why nothing came. */
  receive(flags: number): number {
    this.#reset();
    const count = this.#libc.recvmmsg(this.#fd, this.#headers.address, this.#slots, flags, 0);
    this.#used = count > 0 ? count : 0;
    return count;
  }

  offset(message: number): number {
    return message * this.#stride;
  }

  /** Bytes in the slot: one datagram's, or all of a coalesced buffer's. */
  length(message: number): number {
    return this.#headers.words[message * MESSAGE_WORDS + HEADER_LENGTH]!;
  }

  /**
   * Bytes of each datagram in the slot (the last may be shorter), the slot's length when it holds one, or INVALID: cut
   * off, or with a segment size that no relay packet has.
   */
  segmentSize(message: number): number {
    const header = message * MESSAGE_WORDS;
    const words = this.#headers.words;
    if ((words[header + HEADER_FLAGS]! & (MSG_TRUNC | MSG_CTRUNC)) !== 0) return INVALID;
    const length = words[header + HEADER_LENGTH]!;
    if (!this.#gro || words[header + HEADER_CONTROL_LENGTH] === 0) return length;
    const control = (message * CONTROL_BYTES) >> 2;
    const controls = this.#controls.words;
    // struct cmsghdr: length u64, level, type, then the int.
    if (controls[control + 2] !== SOL_UDP || controls[control + 3] !== UDP_GRO) return length;
    const size = controls[control + 4]!;
    return size > 0 && size <= MAX_DATAGRAM ? size : INVALID;
  }

  /** The sender, as six words at `base`. */
  source(message: number, address: Int32Array, base: number): void {
    readSockaddr(this.#names.words, message * SOCKADDR_WORDS, this.#family, address, base);
  }

  /** recvmmsg overwrites the lengths of name and control with what it wrote; only used headers need them again. */
  #reset(): void {
    const words = this.#headers.words;
    const used = this.#used;
    for (let i = 0, header = 0; i < used; i++, header += MESSAGE_WORDS) {
      words[header + HEADER_NAME_LENGTH] = this.#nameLength;
      if (this.#gro) words[header + HEADER_CONTROL_LENGTH] = CONTROL_BYTES;
    }
    this.#used = 0;
  }
}

export const INVALID = -1;

const GRO_SLOTS = 32;
const GRO_ROOM = 65535;
const GRO_STRIDE = 65536 + 4352;
const PLAIN_SLOTS = 64;
/** Over 1500, so that a datagram that is too long shows as such or as cut off. */
const PLAIN_STRIDE = 2048;
const CONTROL_BYTES = 64;
