import { ADDRESS_PORT, ADDRESS_WORDS, parseIp } from '../../../relay/protocol/address.ts';
import { loadLibc, MSG_DONTWAIT, SOL_UDP, UDP_SEGMENT, type Libc } from '../../../relay/datapath/libc.ts';
import { NativeBlock } from '../../../relay/datapath/native-block.ts';
import { INVALID, ReceiveBatch } from '../../../relay/datapath/receive.ts';
import { sockaddrLength, SOCKADDR_STRIDE, writeSockaddr } from '../../../relay/datapath/sockaddr.ts';
import { SocketOptions } from '../../../relay/datapath/socket-options.ts';
import { openSockets } from '../../../relay/datapath/sockets.ts';
import { Trains } from '../../../relay/datapath/trains.ts';

export const libc: Libc = loadLibc();

/** What a receive call found in one slot: the datagrams in it, or INVALID. */
export interface Arrival {
  readonly datagrams: readonly Buffer[] | typeof INVALID;
  readonly source: Int32Array;
}

/** A socket of the packet path, with what tests need around it. `family` is the socket's, `host` one that it can bind. */
export class NativeSocket {
  readonly fd: number;
  readonly address: Int32Array;
  readonly family: 4 | 6;
  readonly #batch: ReceiveBatch;

  constructor(host: string, family: 4 | 6, coalescing: boolean) {
    const { fds, address } = openSockets(libc, { host, port: 0, family }, 1);
    this.fd = fds[0]!;
    this.family = family;
    if (coalescing) new SocketOptions(libc).coalesce(this.fd);
    this.address = new Int32Array(ADDRESS_WORDS);
    parseIp(host, this.address, 0);
    this.address[ADDRESS_PORT] = address.port;
    this.#batch = new ReceiveBatch(libc, this.fd, family, coalescing);
  }

  /** All that is there. Loopback delivers within the send call, so nothing is on its way. */
  receiveAll(): Arrival[] {
    const arrivals: Arrival[] = [];
    for (
      let count = this.#batch.receive(MSG_DONTWAIT);
      count > 0;
      count = this.#batch.receive(MSG_DONTWAIT)
    ) {
      for (let i = 0; i < count; i++) arrivals.push(this.#arrival(i));
    }
    return arrivals;
  }

  /** All datagrams that are there, in order; a buffer that is invalid is an error. */
  receiveDatagrams(): Buffer[] {
    return this.receiveAll().flatMap(({ datagrams }) => {
      if (datagrams === INVALID) throw new Error('an invalid buffer came in');
      return datagrams;
    });
  }

  close(): void {
    libc.close(this.fd);
  }

  #arrival(i: number): Arrival {
    const source = new Int32Array(ADDRESS_WORDS);
    this.#batch.source(i, source, 0);
    const size = this.#batch.segmentSize(i);
    if (size === INVALID) return { datagrams: INVALID, source };
    const start = this.#batch.offset(i);
    const all = Buffer.from(this.#batch.block.bytes.subarray(start, start + this.#batch.length(i)));
    const datagrams = all.length === 0 ? [all] : [];
    for (let at = 0; at < all.length; at += size) datagrams.push(all.subarray(at, at + size));
    return { datagrams, source };
  }
}

/** Counts what Trains reports. */
export class SendTally {
  readonly counts = { packets: 0, bytes: 0, failed: 0 };
  forwarded(packets: number, bytes: number): void {
    this.counts.packets += packets;
    this.counts.bytes += bytes;
  }
  sendFailed(packets: number): void {
    this.counts.failed += packets;
  }
}

export function newTrains(socket: NativeSocket, flows: number, tally: SendTally, segmenting = true): Trains {
  return new Trains(libc, socket.fd, socket.family, flows, segmenting, tally);
}

/** Puts datagrams behind one another, as in a coalesced buffer, and says where each begins. */
export class Arena {
  readonly block: NativeBlock;
  #used = 0;

  constructor(size: number) {
    this.block = new NativeBlock(size);
  }

  /** `gap`: bytes left free before it, so that it does not join the one before. */
  put(datagram: Uint8Array, gap = 0): { low: number; high: number; length: number } {
    const offset = this.#used + gap;
    this.block.bytes.set(datagram, offset);
    this.#used = offset + datagram.length;
    return { low: (this.block.low + offset) | 0, high: this.block.high, length: datagram.length };
  }
}

/** Sends the datagrams, all but the last of one size, as one train: the kernel gets a single message. */
export function sendTrain(from: NativeSocket, to: Int32Array, datagrams: readonly Uint8Array[]): void {
  const tally = new SendTally();
  const trains = newTrains(from, 1, tally);
  const arena = new Arena(65_536);
  for (const datagram of datagrams) {
    const { low, high, length } = arena.put(datagram);
    trains.add(0, low, high, length, to, 0, 0);
  }
  trains.flush(0);
  if (trains.refused > 0 || tally.counts.packets !== datagrams.length)
    throw new Error('the train was not sent as one');
}

/** Sends `bytes` zeros in segments of any size at all, by the socket's own UDP_SEGMENT option (the loopback MTU is 65,536). */
export function sendSegments(from: NativeSocket, to: Int32Array, bytes: number, segment: number): void {
  const options = new SocketOptions(libc);
  const block = new NativeBlock(65_536);
  const address = new NativeBlock(SOCKADDR_STRIDE);
  writeSockaddr(address.words, 0, from.family, to, 0);
  options.setInt(from.fd, SOL_UDP, UDP_SEGMENT, segment);
  const sent = libc.sendto(from.fd, block.address, bytes, 0, address.address, sockaddrLength(from.family));
  options.setInt(from.fd, SOL_UDP, UDP_SEGMENT, 0);
  if (sent !== bytes) throw new Error(`sendto: error ${libc.errno()}`);
}
