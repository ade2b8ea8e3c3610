import { ADDRESS_PORT, ADDRESS_WORDS, parseIp } from '../protocol/address.ts';
import { monotonicMs } from './clock.ts';
import { EAGAIN, EINTR, MSG_WAITFORONE, type Libc } from './libc.ts';
import { INVALID, ReceiveBatch } from './receive.ts';
import { SocketOptions } from './socket-options.ts';
import { openSockets } from './sockets.ts';
import { Trains } from './trains.ts';

export interface Probed {
  /** UDP_GRO: coalesced buffers come in. */
  readonly coalescing: boolean;
  /** UDP_SEGMENT: trains may go out. */
  readonly segmenting: boolean;
}

/**
 * Tries the calls of the packet path over the loopback interface: what a kernel accepts as an option it may not do (an old
 * one ignores the control message and sends a train as one datagram). Throws where recvmmsg or sendmmsg don't work.
 */
export function probe(libc: Libc): Probed {
  const loopback = { host: '127.0.0.1', port: 0, family: 4 } as const;
  const receiver = openSockets(libc, loopback, 1);
  const sender = openSockets(libc, loopback, 1);
  try {
    const to = new Int32Array(ADDRESS_WORDS);
    parseIp('127.0.0.1', to, 0);
    to[ADDRESS_PORT] = receiver.address.port;
    const coalescing = new SocketOptions(libc).coalesce(receiver.fds[0]!);
    const batch = new ReceiveBatch(libc, receiver.fds[0]!, 4, coalescing);
    if (!pairArrives(libc, batch, sender.fds[0]!, to, PLAIN_BYTES, false)) {
      throw new Error('two datagrams sent with sendmmsg did not come in with recvmmsg');
    }
    return { coalescing, segmenting: pairArrives(libc, batch, sender.fds[0]!, to, TRAIN_BYTES, true) };
  } finally {
    libc.close(receiver.fds[0]!);
    libc.close(sender.fds[0]!);
  }
}

/** Not the same, so that what comes late can't be taken for the other. */
const PLAIN_BYTES = 100;
const TRAIN_BYTES = 120;
/** Where another core takes in what the loopback carries, packets come later than the call that sent them returns. */
const ARRIVE_WITHIN_MS = 1000;

/** Sends two packets of one flow and says whether they arrived as two. */
function pairArrives(
  libc: Libc,
  batch: ReceiveBatch,
  fd: number,
  to: Int32Array,
  bytes: number,
  segmenting: boolean,
): boolean {
  const trains = new Trains(libc, fd, 4, 1, segmenting, { forwarded: () => {}, sendFailed: () => {} });
  const { block } = batch;
  for (let i = 0; i < 2; i++) trains.add(0, (block.low + i * bytes) | 0, block.high, bytes, to, 0, 0);
  trains.flush(0);
  // A train that was refused has been sent packet by packet: it arrives, but not as a train.
  if (segmenting && trains.refused > 0) return false;
  const sizes = receiveSizes(libc, batch, 2 * bytes);
  return sizes.length === 2 && sizes.every((size) => size === bytes);
}

/** Of what comes in until it is `wanted` bytes, for as long as one may still hope. */
function receiveSizes(libc: Libc, batch: ReceiveBatch, wanted: number): number[] {
  const sizes: number[] = [];
  const giveUpMs = monotonicMs() + ARRIVE_WITHIN_MS;
  for (let got = 0; got < wanted && monotonicMs() < giveUpMs;) {
    const count = batch.receive(MSG_WAITFORONE);
    if (count < 0 && libc.errno() !== EAGAIN && libc.errno() !== EINTR) break;
    for (let i = 0; i < count; i++) {
      const size = batch.segmentSize(i);
      got += batch.length(i);
      for (let left = batch.length(i); left > 0 && size !== INVALID; left -= size) {
        sizes.push(Math.min(size, left));
      }
    }
  }
  return sizes;
}
