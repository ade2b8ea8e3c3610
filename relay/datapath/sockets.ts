import type { SocketAddress } from '../config/config.ts';
import { ADDRESS_PORT, formatIp } from '../protocol/address.ts';
import { bindFailure } from './bind-failure.ts';
import { DatapathError } from './datapath-error.ts';
import {
  AF_INET,
  AF_INET6,
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_REUSEPORT,
  SOCK_DGRAM_CLOEXEC,
  SOL_SOCKET,
  type Libc,
} from './libc.ts';
import { listenWords } from './listen-address.ts';
import { NativeBlock } from './native-block.ts';
import { readSockaddr, sockaddrLength, SOCKADDR_STRIDE, writeSockaddr } from './sockaddr.ts';
import { SocketOptions } from './socket-options.ts';
import { steeringProgram } from './steering-program.ts';

export interface OpenSockets {
  /** In the order of binding, which is the index that the steering program returns. */
  readonly fds: readonly number[];
  readonly address: SocketAddress;
  /** Of each receive buffer, as net.core.rmem_max counts. */
  readonly bufferBytes: number;
}

/**
 * One socket for each worker, on one port (design-relay 1). The first binds without SO_REUSEPORT, so that any other holder
 * of the port shows; only then may the others join it. Throws DatapathError; leaves nothing open then.
 *
 * Some kernels (gVisor, user-mode emulation) can't steer packets to several: unless `allOfThem` are wanted it is one then.
 */
export function openSockets(
  libc: Libc,
  listen: SocketAddress,
  workers: number,
  allOfThem: boolean = true,
): OpenSockets {
  const fds: number[] = [];
  try {
    return open(libc, listen, workers, fds);
  } catch (error) {
    for (const fd of fds) libc.close(fd);
    if (error instanceof SteeringRefused && !allOfThem) return openSockets(libc, listen, 1);
    throw error;
  }
}

class SteeringRefused extends DatapathError {}

function open(libc: Libc, listen: SocketAddress, workers: number, fds: number[]): OpenSockets {
  const options = new SocketOptions(libc);
  const wanted = listenWords(listen);
  let bufferBytes = Infinity;
  let address = listen;
  for (let i = 0; i < workers; i++) {
    const fd = libc.socket(listen.family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM_CLOEXEC, 0);
    if (fd < 0) throw failure(listen, 'socket', libc.errno());
    fds.push(fd);
    if (listen.family === 6) options.dualStack(fd);
    options.allowFragments(fd, listen.family);
    options.limitReceiveWait(fd);
    bufferBytes = Math.min(bufferBytes, options.enlargeBuffers(fd));
    if (i > 0) joinPort(options, listen, fd);
    bind(libc, fd, listen, wanted);
    if (i === 0) {
      address = boundAddress(libc, fd, listen);
      wanted[ADDRESS_PORT] = address.port;
      if (workers > 1) joinPort(options, listen, fd);
    }
  }
  if (workers > 1) {
    const { block, bytes } = steeringProgram(workers);
    const errno = options.setNative(fds[0]!, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, block.address, bytes);
    if (errno !== 0) {
      throw new SteeringRefused(
        `--workers ${workers}: this kernel refuses to steer packets to workers (SO_ATTACH_REUSEPORT_CBPF: error ${errno}), so one has to do: leave --workers out (in a fleet: spec.size Small, or nodes with another kernel)`,
      );
    }
  }
  return { fds, address, bufferBytes };
}

function joinPort(options: SocketOptions, listen: SocketAddress, fd: number): void {
  const errno = options.setInt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (errno !== 0) throw failure(listen, 'SO_REUSEPORT', errno);
}

function bind(libc: Libc, fd: number, listen: SocketAddress, words: Int32Array): void {
  const native = new NativeBlock(SOCKADDR_STRIDE);
  writeSockaddr(native.words, 0, listen.family, words, 0);
  if (libc.bind(fd, native.address, sockaddrLength(listen.family)) !== 0) {
    throw failure(listen, 'bind', libc.errno());
  }
}

function boundAddress(libc: Libc, fd: number, listen: SocketAddress): SocketAddress {
  const native = new NativeBlock(SOCKADDR_STRIDE);
  const length = new NativeBlock(4);
  length.words[0] = SOCKADDR_STRIDE;
  if (libc.getsockname(fd, native.address, length.address) !== 0) {
    throw failure(listen, 'getsockname', libc.errno());
  }
  const words = new Int32Array(6);
  readSockaddr(native.words, 0, listen.family, words, 0);
  return {
    host: listen.family === 4 ? formatIp(words, 0) : listen.host,
    port: words[ADDRESS_PORT]!,
    family: listen.family,
  };
}

function failure(listen: SocketAddress, call: string, errno: number): DatapathError {
  return bindFailure(listen, ERROR_NAMES.get(errno) ?? `${call} failed with error ${errno}`);
}

const ERROR_NAMES: ReadonlyMap<number, string> = new Map([
  [EADDRINUSE, 'EADDRINUSE'],
  [EADDRNOTAVAIL, 'EADDRNOTAVAIL'],
  [EACCES, 'EACCES'],
  [EAFNOSUPPORT, 'EAFNOSUPPORT'],
]);
