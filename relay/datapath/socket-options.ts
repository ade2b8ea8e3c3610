import {
  IP_MTU_DISCOVER,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MTU_DISCOVER,
  IPV6_V6ONLY,
  PMTUDISC_DONT,
  SO_MEMINFO,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
  type Libc,
} from './libc.ts';
import { NativeBlock } from './native-block.ts';

/** What a worker's recvmmsg waits at most, so that it looks at flags and beats its heart (design-relay 1). */
const RECEIVE_TIMEOUT_MS = 100;
/**
 * 20 ms of the 480,000 packets/s that a worker does at most: more would only delay what is dropped in the end. The kernel
 * reserves twice as much.
 */
const WANTED_BUFFER_BYTES = 8 * 1024 * 1024;
/** Word of SO_MEMINFO (linux/sock_diag.h, SK_MEMINFO_DROPS). */
const MEMINFO_DROPS = 8;
const MEMINFO_WORDS = 9;

/** The socket options of the packet path, over a few bytes of memory for their values. */
export class SocketOptions {
  readonly #libc: Libc;
  readonly #value = new NativeBlock(64);
  readonly #length = new NativeBlock(4);

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** 0, or the error number. */
  setInt(fd: number, level: number, name: number, value: number): number {
    this.#value.words[0] = value;
    return this.#set(fd, level, name, this.#value.address, 4);
  }

  /** 0, or the error number; `address` and `length` of the value's native memory. */
  setNative(fd: number, level: number, name: number, address: number, length: number): number {
    return this.#set(fd, level, name, address, length);
  }

  /** Undefined when the kernel doesn't know the option. */
  getInt(fd: number, level: number, name: number): number | undefined {
    return this.#get(fd, level, name, 4) ? this.#value.words[0]! : undefined;
  }

  /** Single datagrams up to 1500 bytes are fragmented rather than refused, on both families of a dual-stack socket. */
  allowFragments(fd: number, family: 4 | 6): void {
    this.setInt(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
    if (family === 6) this.setInt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
  }

  /** `[::]` takes IPv4 as well, whatever net.ipv6.bindv6only says. */
  dualStack(fd: number): void {
    this.setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }

  /** Whether the kernel coalesces what one sender sends. */
  coalesce(fd: number): boolean {
    return this.setInt(fd, SOL_UDP, UDP_GRO, 1) === 0;
  }

  limitReceiveWait(fd: number): void {
    const value = this.#value.words;
    value.fill(0, 0, 4);
    value[2] = RECEIVE_TIMEOUT_MS * 1000;
    this.#set(fd, SOL_SOCKET, SO_RCVTIMEO, this.#value.address, 16);
  }

  /** Buffers as large as the kernel gives; bytes got for receiving, as net.core.rmem_max counts (the kernel reserves twice that). */
  enlargeBuffers(fd: number): number {
    for (const [force, plain] of [
      [SO_RCVBUFFORCE, SO_RCVBUF],
      [SO_SNDBUFFORCE, SO_SNDBUF],
    ] as const) {
      if (this.setInt(fd, SOL_SOCKET, force, WANTED_BUFFER_BYTES) !== 0) {
        this.setInt(fd, SOL_SOCKET, plain, WANTED_BUFFER_BYTES);
      }
    }
    return (this.getInt(fd, SOL_SOCKET, SO_RCVBUF) ?? 0) / 2;
  }

  /** Datagrams that this socket dropped for want of room, modulo 2^32. */
  drops(fd: number): number {
    if (!this.#get(fd, SOL_SOCKET, SO_MEMINFO, MEMINFO_WORDS * 4)) return 0;
    return this.#value.words[MEMINFO_DROPS]! >>> 0;
  }

  #set(fd: number, level: number, name: number, address: number, length: number): number {
    return this.#libc.setsockopt(fd, level, name, address, length) === 0 ? 0 : this.#libc.errno();
  }

  #get(fd: number, level: number, name: number, length: number): boolean {
    this.#length.words[0] = length;
    return this.#libc.getsockopt(fd, level, name, this.#value.address, this.#length.address) === 0;
  }
}
