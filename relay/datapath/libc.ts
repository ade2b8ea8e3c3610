import koffi from 'koffi';

/**
 * The system calls of the packet path (Linux). Pointers are numbers: koffi passes an `intptr_t` in 46 ns, and an address
 * of user space fits a double. Whoever passes one keeps the ArrayBuffer behind it alive.
 */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  getsockname(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  shutdown(fd: number, how: number): number;
  close(fd: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  sendto(
    fd: number,
    bytes: number,
    length: number,
    flags: number,
    address: number,
    addressLength: number,
  ): number;
  memcpy(to: number, from: number, length: number): number;
  /** Of the last call of this thread that failed. */
  errno(): number;
}

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM_CLOEXEC: number = 2 | 0o2000000;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_RCVTIMEO = 20;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
export const SO_MEMINFO = 55;
export const IPPROTO_IP = 0;
export const IP_MTU_DISCOVER = 10;
export const IPPROTO_IPV6 = 41;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_V6ONLY = 26;
/** IP_PMTUDISC_DONT and IPV6_PMTUDISC_DONT. */
export const PMTUDISC_DONT = 0;
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITFORONE = 0x10000;
export const SHUT_RD = 0;

export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const EACCES = 13;
export const EINVAL = 22;
export const EMSGSIZE = 90;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;

let loaded: Libc | undefined;

/** Throws where koffi has no binary or the C library lacks one of the calls. */
export function loadLibc(): Libc {
  if (loaded) return loaded;
  const library = koffi.load(null);
  const declare = (name: string, parameters: string[]): ((...values: number[]) => number) =>
    library.func(name, 'int', parameters);
  const pointer = 'intptr_t';
  loaded = {
    socket: declare('socket', ['int', 'int', 'int']),
    bind: declare('bind', ['int', pointer, 'uint']),
    getsockname: declare('getsockname', ['int', pointer, pointer]),
    setsockopt: declare('setsockopt', ['int', 'int', 'int', pointer, 'uint']),
    getsockopt: declare('getsockopt', ['int', 'int', 'int', pointer, pointer]),
    shutdown: declare('shutdown', ['int', 'int']),
    close: declare('close', ['int']),
    recvmmsg: declare('recvmmsg', ['int', pointer, 'uint', 'int', pointer]),
    sendmmsg: declare('sendmmsg', ['int', pointer, 'uint', 'int']),
    sendto: library.func('sendto', pointer, ['int', pointer, pointer, 'int', pointer, 'uint']),
    memcpy: library.func('memcpy', pointer, [pointer, pointer, pointer]),
    errno: () => koffi.errno(),
  };
  return loaded;
}

/** Where an ArrayBuffer (shared or not) lies in memory. */
export function addressOf(buffer: ArrayBufferLike): number {
  return Number(koffi.address(buffer));
}
