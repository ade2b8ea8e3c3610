import { isIpv4 } from '../protocol/address.ts';
import {
  EAGAIN,
  EINTR,
  EINVAL,
  EIO,
  EMSGSIZE,
  MSG_DONTWAIT,
  SOL_UDP,
  UDP_SEGMENT,
  type Libc,
} from './libc.ts';
import {
  HEADER_CONTROL,
  HEADER_CONTROL_LENGTH,
  HEADER_IOV,
  HEADER_IOV_LENGTH,
  HEADER_NAME,
  HEADER_NAME_LENGTH,
  IOV_BYTES,
  IOV_WORDS,
  MESSAGE_BYTES,
  MESSAGE_WORDS,
} from './message-header.ts';
import { NativeBlock } from './native-block.ts';
import { sockaddrLength, SOCKADDR_STRIDE, SOCKADDR_WORDS, writeSockaddr } from './sockaddr.ts';

/** Told how the packets of a flush fared; packets that belong to no flow (replies) are not reported. */
export interface SendReport {
  forwarded(packets: number, bytes: number): void;
  sendFailed(packets: number): void;
}

/**
 * Collects what a batch has to send and sends it with one sendmmsg: each message is a *train*, the equal-sized packets of
 * one flow (session and direction; only the last may be shorter), which UDP_SEGMENT cuts up again (design-relay 2).
 *
 * Packets are not copied: until `flush` the memory given to `add` must stay as it is. Within a flow the order is kept.
 */
export class Trains {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #family: 4 | 6;
  readonly #report: SendReport;
  readonly #trains = new Int32Array(CAPACITY * TRAIN_WORDS);
  /** The train that a flow may be added to, if it still is that flow's. */
  readonly #latest: Int32Array;
  /** By flow: packets of this size and more were refused as a train (0: none), and until when that is believed. */
  readonly #refusedSize: Uint16Array;
  readonly #refusedUntilMs: Float64Array;
  readonly #headers = new NativeBlock(CAPACITY * MESSAGE_BYTES);
  readonly #names = new NativeBlock(CAPACITY * SOCKADDR_STRIDE);
  readonly #iovs = new NativeBlock(CAPACITY * IOV_STRIDE);
  readonly #controls = new NativeBlock(CAPACITY * CONTROL_STRIDE);
  readonly #replies = new NativeBlock(CAPACITY * REPLY_BYTES);
  readonly #singles = new NativeBlock(MAX_SEGMENTS * (MESSAGE_BYTES + IOV_BYTES));
  #segmenting: boolean;
  #refusals = 0;
  #count = 0;
  #packets = 0;
  #bytes = 0;

  /** `flows`: flow numbers are below it. `segmenting`: the kernel has UDP_SEGMENT. */
  constructor(libc: Libc, fd: number, family: 4 | 6, flows: number, segmenting: boolean, report: SendReport) {
    this.#libc = libc;
    this.#fd = fd;
    this.#family = family;
    this.#segmenting = segmenting;
    this.#report = report;
    this.#latest = new Int32Array(flows);
    this.#refusedSize = new Uint16Array(flows);
    this.#refusedUntilMs = new Float64Array(flows);
    this.#layOut();
  }

  /** False once the kernel has said that this socket can't segment (EIO: no checksum offload on its way out). */
  get segmenting(): boolean {
    return this.#segmenting;
  }

  /** How many trains were refused and sent packet by packet. */
  get refused(): number {
    return this.#refusals;
  }

  /** One packet of `flow`, at the native pointer (low, high), to the address at `base`. */
  add(
    flow: number,
    low: number,
    high: number,
    length: number,
    address: Int32Array,
    base: number,
    nowMs: number,
  ): void {
    const trains = this.#trains;
    const latest = this.#latest[flow]!;
    const train = latest * TRAIN_WORDS;
    if (
      latest < this.#count &&
      trains[train + FLOW] === flow &&
      length <= trains[train + ROOM]! &&
      (trains[train + PACKETS]! > 1 || this.#mayCouple(flow, trains[train + SEGMENT]!, nowMs))
    ) {
      this.#couple(latest, low, high, length);
      this.#packets++;
      this.#bytes += length;
      return;
    }
    if (this.#count === CAPACITY) this.flush(nowMs);
    this.#packets++;
    this.#bytes += length;
    const index = this.#start(flow, low, high, length, address, base);
    this.#latest[flow] = index;
    if (this.#segmenting && length <= this.#maxSegment(address, base)) {
      trains[index * TRAIN_WORDS + ROOM] = length;
    }
  }

  /** The relay's own packet of at most 64 bytes, which are copied; reported to nobody. */
  reply(bytes: Uint8Array, length: number, address: Int32Array, base: number, nowMs: number): void {
    if (this.#count === CAPACITY) this.flush(nowMs);
    const offset = this.#count * REPLY_BYTES;
    for (let i = 0; i < length; i++) this.#replies.bytes[offset + i] = bytes[i]!;
    this.#start(NO_FLOW, (this.#replies.low + offset) | 0, this.#replies.high, length, address, base);
  }

  /** Sends all there is. A message that the kernel refuses is counted and skipped; when it has no room, the rest is. */
  flush(nowMs: number): void {
    const count = this.#count;
    if (count === 0) return;
    let at = 0;
    while (at < count) {
      const sent = this.#libc.sendmmsg(
        this.#fd,
        this.#headers.address + at * MESSAGE_BYTES,
        count - at,
        MSG_DONTWAIT,
      );
      if (sent > 0) at += sent;
      else at = this.#skip(at, this.#libc.errno(), nowMs);
    }
    if (this.#packets > 0) this.#report.forwarded(this.#packets, this.#bytes);
    this.#count = 0;
    this.#packets = 0;
    this.#bytes = 0;
  }

  #start(flow: number, low: number, high: number, length: number, address: Int32Array, base: number): number {
    const index = this.#count++;
    const train = index * TRAIN_WORDS;
    const trains = this.#trains;
    trains[train + FLOW] = flow;
    trains[train + SEGMENT] = length;
    trains[train + ROOM] = CLOSED;
    trains[train + BYTES] = length;
    trains[train + PACKETS] = 1;
    trains[train + END] = (low + length) | 0;
    const iov = index * IOV_STRIDE_WORDS;
    const iovs = this.#iovs.words;
    iovs[iov] = low;
    iovs[iov + 1] = high;
    iovs[iov + 2] = length;
    const header = index * MESSAGE_WORDS;
    const headers = this.#headers.words;
    headers[header + HEADER_IOV_LENGTH] = 1;
    headers[header + HEADER_CONTROL_LENGTH] = 0;
    writeSockaddr(this.#names.words, index * SOCKADDR_WORDS, this.#family, address, base);
    return index;
  }

  #couple(index: number, low: number, high: number, length: number): void {
    const train = index * TRAIN_WORDS;
    const header = index * MESSAGE_WORDS;
    const trains = this.#trains;
    const headers = this.#headers.words;
    const iovs = this.#iovs.words;
    const segment = trains[train + SEGMENT]!;
    if (trains[train + PACKETS] === 1) {
      headers[header + HEADER_CONTROL_LENGTH] = CONTROL_LENGTH;
      this.#controls.words[((index * CONTROL_STRIDE) >> 2) + 4] = segment;
    }
    const used = headers[header + HEADER_IOV_LENGTH]!;
    const last = index * IOV_STRIDE_WORDS + (used - 1) * IOV_WORDS;
    if (trains[train + END] === low && iovs[last + 1] === high) {
      iovs[last + 2]! += length;
    } else {
      iovs[last + IOV_WORDS] = low;
      iovs[last + IOV_WORDS + 1] = high;
      iovs[last + IOV_WORDS + 2] = length;
      headers[header + HEADER_IOV_LENGTH] = used + 1;
    }
    trains[train + END] = (low + length) | 0;
    const packets = ++trains[train + PACKETS]!;
    const bytes = (trains[train + BYTES]! += length);
    if (length < segment || packets === MAX_SEGMENTS || bytes + segment > MAX_TRAIN_BYTES) {
      trains[train + ROOM] = CLOSED;
    }
  }

  #mayCouple(flow: number, segment: number, nowMs: number): boolean {
    const refused = this.#refusedSize[flow]!;
    if (refused === 0 || segment < refused) return true;
    if (nowMs < this.#refusedUntilMs[flow]!) return false;
    this.#refusedSize[flow] = 0;
    return true;
  }

  #maxSegment(address: Int32Array, base: number): number {
    return this.#family === 4 || isIpv4(address, base) ? MAX_SEGMENT_V4 : MAX_SEGMENT_V6;
  }

  /** The message at `at` was not sent. Returns where to go on. */
  #skip(at: number, errno: number, nowMs: number): number {
    if (errno === EINTR) return at;
    if (errno === EAGAIN) {
      for (let i = at; i < this.#count; i++) this.#fail(i, 0, 0);
      return this.#count;
    }
    const train = at * TRAIN_WORDS;
    const refusal = errno === EIO || errno === EINVAL || errno === EMSGSIZE;
    if (!refusal || this.#trains[train + PACKETS] === 1) {
      this.#fail(at, 0, 0);
      return at + 1;
    }
    this.#refusals++;
    if (errno === EIO) this.#segmenting = false;
    const flow = this.#trains[train + FLOW]!;
    this.#refusedSize[flow] = this.#trains[train + SEGMENT]!;
    this.#refusedUntilMs[flow] = nowMs + REFUSAL_MS;
    this.#sendSingly(at);
    return at + 1;
  }

  /** What of a train was not sent, when `packets` and `bytes` of it were. */
  #fail(index: number, packets: number, bytes: number): void {
    const train = index * TRAIN_WORDS;
    if (this.#trains[train + FLOW] === NO_FLOW) return;
    const lost = this.#trains[train + PACKETS]! - packets;
    this.#packets -= lost;
    this.#bytes -= this.#trains[train + BYTES]! - bytes;
    if (lost > 0) this.#report.sendFailed(lost);
  }

  #sendSingly(index: number): void {
    const count = this.#unpack(index);
    const words = this.#singles.words;
    let packets = 0;
    let bytes = 0;
    let at = 0;
    while (at < count) {
      const sent = this.#libc.sendmmsg(
        this.#fd,
        this.#singles.address + at * MESSAGE_BYTES,
        count - at,
        MSG_DONTWAIT,
      );
      if (sent > 0) {
        for (let i = at; i < at + sent; i++) bytes += words[SINGLE_IOVS + i * IOV_WORDS + 2]!;
        packets += sent;
        at += sent;
      } else {
        const errno = this.#libc.errno();
        if (errno === EAGAIN) break;
        if (errno !== EINTR) at++;
      }
    }
    this.#fail(index, packets, bytes);
  }

  /** Lays out a train's packets as messages of their own. */
  #unpack(index: number): number {
    const segment = this.#trains[index * TRAIN_WORDS + SEGMENT]!;
    const used = this.#headers.words[index * MESSAGE_WORDS + HEADER_IOV_LENGTH]!;
    const iovs = this.#iovs.words;
    const words = this.#singles.words;
    let count = 0;
    for (let i = 0; i < used; i++) {
      const iov = index * IOV_STRIDE_WORDS + i * IOV_WORDS;
      const length = iovs[iov + 2]!;
      for (let offset = 0; offset < length; offset += segment) {
        const single = SINGLE_IOVS + count * IOV_WORDS;
        words[single] = (iovs[iov]! + offset) | 0;
        words[single + 1] = iovs[iov + 1]!;
        words[single + 2] = Math.min(segment, length - offset);
        this.#names.pointTo(index * SOCKADDR_STRIDE, words, count * MESSAGE_WORDS + HEADER_NAME);
        count++;
      }
    }
    return count;
  }

  /** All that never changes: where names, vectors and control messages lie. */
  #layOut(): void {
    const nameLength = sockaddrLength(this.#family);
    const headers = this.#headers.words;
    for (let i = 0; i < CAPACITY; i++) {
      const header = i * MESSAGE_WORDS;
      this.#names.pointTo(i * SOCKADDR_STRIDE, headers, header + HEADER_NAME);
      headers[header + HEADER_NAME_LENGTH] = nameLength;
      this.#iovs.pointTo(i * IOV_STRIDE, headers, header + HEADER_IOV);
      this.#controls.pointTo(i * CONTROL_STRIDE, headers, header + HEADER_CONTROL);
      const control = (i * CONTROL_STRIDE) >> 2;
      this.#controls.words[control] = CMSG_LENGTH;
      this.#controls.words[control + 2] = SOL_UDP;
      this.#controls.words[control + 3] = UDP_SEGMENT;
    }
    const singles = this.#singles.words;
    for (let i = 0; i < MAX_SEGMENTS; i++) {
      const header = i * MESSAGE_WORDS;
      singles[header + HEADER_NAME_LENGTH] = nameLength;
      this.#singles.pointTo(SINGLE_IOVS * 4 + i * IOV_BYTES, singles, header + HEADER_IOV);
      singles[header + HEADER_IOV_LENGTH] = 1;
    }
  }
}

const CAPACITY = 256;
/** Above these an Ethernet frame can't take a segment, and the kernel doesn't fragment segments (EMSGSIZE). */
const MAX_SEGMENT_V4 = 1472;
const MAX_SEGMENT_V6 = 1452;
const MAX_SEGMENTS = 64;
const MAX_TRAIN_BYTES = 65_000;
const REFUSAL_MS = 60_000;
const NO_FLOW = -1;
/** LEASE_ACK has 36 bytes, LEASE_REJECT 22, a STUN request 20. */
const REPLY_BYTES = 64;

/** A train's own words: half a cache line each. ROOM is the largest packet that may still be coupled, or CLOSED. */
const TRAIN_WORDS = 8;
const FLOW = 0;
const SEGMENT = 1;
const ROOM = 2;
const BYTES = 3;
const PACKETS = 4;
const END = 5;
const CLOSED = -1;

/** 64 vectors for a train, and a line more so that the first ones of all trains don't share cache sets. */
const IOV_STRIDE: number = MAX_SEGMENTS * IOV_BYTES + 64;
const IOV_STRIDE_WORDS: number = IOV_STRIDE / 4;
const SINGLE_IOVS: number = MAX_SEGMENTS * MESSAGE_WORDS;

/** A control message of one u16: cmsg_len 18, space 24 (datapath-notes). */
const CMSG_LENGTH = 18;
const CONTROL_LENGTH = 24;
const CONTROL_STRIDE = 32;
