import type { SocketAddress } from '../config/config.ts';
import { DatapathError } from './datapath-error.ts';
import { formatListen } from './listen-address.ts';

/** What the operator reads when a socket can't be had: `code` is the error's name. */
export function bindFailure(listen: SocketAddress, code: string): DatapathError {
  const where = formatListen(listen);
  switch (code) {
    case 'EADDRINUSE':
      return new DatapathError(
        `can't listen on ${where}: another process holds this UDP port (EADDRINUSE); stop it (ss -lunp shows it) or choose another port with --listen`,
      );
    case 'EADDRNOTAVAIL':
      return new DatapathError(
        `can't listen on ${where}: no interface of this host has that address (EADDRNOTAVAIL); use one that "ip address" shows, or 0.0.0.0`,
      );
    case 'EACCES':
      return new DatapathError(
        `can't listen on ${where}: not permitted (EACCES); ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE`,
      );
    case 'EAFNOSUPPORT':
      return new DatapathError(
        `can't listen on ${where}: this kernel has no IPv${listen.family} (EAFNOSUPPORT)`,
      );
    default:
      return new DatapathError(`can't listen on ${where}: ${code}`);
  }
}
