import { readI32, writeU32 } from '../protocol/big-endian.ts';
import type { SocketAddress } from '../config/config.ts';
import { ADDRESS_PORT, ADDRESS_WORDS, isUnspecified, parseIp } from '../protocol/address.ts';
import { MSG_DONTWAIT, type Libc } from './libc.ts';
import { NativeBlock } from './native-block.ts';
import { sockaddrLength, SOCKADDR_STRIDE, writeSockaddr } from './sockaddr.ts';

/**
 * Datagrams of 36 bytes to the relay's own port that wake a worker out of recvmmsg: bytes 16 to 19 hold the worker's
 * number, so that the socket program steers it there, the last 16 a cookie that only this process knows. They are not
 * traffic and not counted. (A message or an Atomics.notify wakes nobody who sits in a system call.)
 */

export const NUDGE_BYTES = 36;
export const COOKIE_WORDS = 4;

const STEERING = 16;
const COOKIE = 20;

export class Nudge {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #cookie: Int32Array;
  readonly #datagram = new NativeBlock(NUDGE_BYTES);
  readonly #address = new NativeBlock(SOCKADDR_STRIDE);
  readonly #addressLength: number;

  /** `cookie`: COOKIE_WORDS random words, the same for all workers. `bound`: the address of the relay's socket. */
  constructor(libc: Libc, fd: number, bound: SocketAddress, cookie: Int32Array) {
    this.#libc = libc;
    this.#fd = fd;
    this.#cookie = cookie;
    for (let i = 0; i < COOKIE_WORDS; i++) writeU32(this.#datagram.bytes, COOKIE + 4 * i, cookie[i]!);
    writeSockaddr(this.#address.words, 0, bound.family, ownAddress(bound), 0);
    this.#addressLength = sockaddrLength(bound.family);
  }

  /** A lost one costs its worker up to 100 ms, the time after which it looks by itself. */
  send(worker: number): void {
    writeU32(this.#datagram.bytes, STEERING, worker);
    this.#libc.sendto(
      this.#fd,
      this.#datagram.address,
      NUDGE_BYTES,
      MSG_DONTWAIT,
      this.#address.address,
      this.#addressLength,
    );
  }

  /** Whether a datagram of NUDGE_BYTES is one of this process. In constant time. */
  isNudge(bytes: Uint8Array, offset: number): boolean {
    let difference = 0;
    for (let i = 0; i < COOKIE_WORDS; i++) {
      difference |= readI32(bytes, offset + COOKIE + 4 * i) ^ this.#cookie[i]!;
    }
    return difference === 0;
  }
}

/** The bound address, or the loopback address of a wildcard (IPv4's on `[::]` too: a host may lack ::1). */
function ownAddress(bound: SocketAddress): Int32Array {
  const address = new Int32Array(ADDRESS_WORDS);
  if (!parseIp(bound.host, address, 0) || isUnspecified(address, 0)) parseIp('127.0.0.1', address, 0);
  address[ADDRESS_PORT] = bound.port;
  return address;
}
