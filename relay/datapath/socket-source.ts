import type { SocketAddress } from '../config/config.ts';
import type { DgramSocket, MmsgSocket } from './worker-setup.ts';

/** The main thread's part in the sockets of one kind of datapath. */
export interface SocketSource {
  readonly kind: 'mmsg' | 'dgram';
  /** How many workers it can feed; known after `open`. */
  readonly workers: number;
  /** Binds, in order, before any worker starts. A kind whose workers bind for themselves does nothing. Throws DatapathError. */
  open(listen: SocketAddress, workers: number, allOfThem: boolean): void;
  /** What worker `index` needs to know. */
  socket(index: number): MmsgSocket | DgramSocket;
  /** What worker 0 said when it was ready; undefined when the main thread bound. */
  bound(address: SocketAddress | undefined, bufferBytes: number | undefined): void;
  readonly address: SocketAddress;
  /** Of one receive buffer, as net.core.rmem_max counts. */
  readonly bufferBytes: number;
  /** A few words on how packets come and go. */
  readonly description: string;
  /** Datagrams dropped for want of room since the start. Reads the kernel's numbers. */
  drops(): number;
  /** Wakes workers out of their system calls. Only after the stop flag is set: their sockets are of no use afterwards. */
  wake(): void;
  /** After the workers are gone. */
  close(): void;
}
