import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

import type { SocketAddress } from '../config/config.ts';

/** RFC 8489 section 8.1. */
const DEFAULT_PORT = 3478;
const LOOKUP_MS = 5000;

/**
 * The numeric `ip:port` of a STUN server that the data socket can reach: IPv4 first from a wildcard IPv6 socket, which
 * serves both. `server` is `host`, `host:port`, `[ip6]` or `[ip6]:port`. Rejects when the name has no such address.
 */
export async function resolveStunServer(server: string, bound: SocketAddress): Promise<string> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(server);
  if (!match) throw new Error(`${server} is not host:port`);
  const host = (match[1] ?? match[2])!;
  const port = match[3] ?? DEFAULT_PORT;
  const addresses = isIP(host) === 0 ? await lookUp(host) : [{ address: host, family: isIP(host) }];
  const dualStack = bound.family === 6 && /^[0:]+$/.test(bound.host);
  const families = dualStack ? [4, 6] : [bound.family];
  for (const family of families) {
    const found = addresses.find((address) => address.family === family);
    if (found) return family === 6 ? `[${found.address}]:${port}` : `${found.address}:${port}`;
  }
  throw new Error(`${host} has no IPv${bound.family} address`);
}

async function lookUp(host: string): Promise<{ address: string; family: number }[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${host} was not resolved within ${LOOKUP_MS / 1000} s`)),
      LOOKUP_MS,
    );
  });
  try {
    return await Promise.race([lookup(host, { all: true }), late]);
  } finally {
    clearTimeout(timer);
  }
}
