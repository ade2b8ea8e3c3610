import { ADDRESS_PORT, ADDRESS_WORDS, parseIp } from '../protocol/address.ts';
import { MSG_DONTWAIT, type Libc } from './libc.ts';
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
    if (sizesOf(libc, batch, sender.fds[0]!, to, false) !== `${PROBE_BYTES},${PROBE_BYTES}`) {
      throw new Error('two datagrams sent with sendmmsg did not come in with recvmmsg');
    }
    const segmented = sizesOf(libc, batch, sender.fds[0]!, to, true);
    return { coalescing, segmenting: segmented === `${PROBE_BYTES},${PROBE_BYTES}` };
  } finally {
    libc.close(receiver.fds[0]!);
    libc.close(sender.fds[0]!);
  }
}

const PROBE_BYTES = 100;

/** Sends two packets of one flow and says which sizes arrived. */
function sizesOf(libc: Libc, batch: ReceiveBatch, fd: number, to: Int32Array, segmenting: boolean): string {
  const trains = new Trains(libc, fd, 4, 1, segmenting, { forwarded: () => {}, sendFailed: () => {} });
  const { block } = batch;
  for (let i = 0; i < 2; i++) {
    trains.add(0, (block.low + i * PROBE_BYTES) | 0, block.high, PROBE_BYTES, to, 0, 0);
  }
  trains.flush(0);
  // A train that was refused has been sent packet by packet: it arrived, but not as a train.
  if (segmenting && trains.refused > 0) return 'refused';
  const sizes: number[] = [];
  for (let count = batch.receive(MSG_DONTWAIT); count > 0; count = batch.receive(MSG_DONTWAIT)) {
    for (let i = 0; i < count; i++) {
      const size = batch.segmentSize(i);
      for (let left = batch.length(i); left > 0 && size !== INVALID; left -= size) {
        sizes.push(Math.min(size, left));
      }
    }
  }
  return sizes.join(',');
}
