import { networkInterfaces } from 'node:os';
import type { SocketAddress } from '../config/config.ts';
import { ADDRESS_PORT, ADDRESS_WORDS, isUnspecified, parseIp } from '../protocol/address.ts';
import { DatapathError } from './datapath-error.ts';
import { InterfaceScopes } from './interface-scopes.ts';

/** The six words (protocol/address.ts) of a listen address; a scope may be an interface's name. Throws DatapathError. */
export function listenWords(listen: SocketAddress): Int32Array {
  const words = new Int32Array(ADDRESS_WORDS);
  if (!parseIp(new InterfaceScopes().numbered(listen.host), words, 0)) {
    throw new DatapathError(
      `can't listen on ${formatListen(listen)}: that is not an IP address of this host; give --listen as 0.0.0.0:4000, [::]:4000 or ip:port`,
    );
  }
  words[ADDRESS_PORT] = listen.port;
  return words;
}

export function formatListen(listen: SocketAddress): string {
  return listen.family === 6 ? `[${listen.host}]:${listen.port}` : `${listen.host}:${listen.port}`;
}

/** Why a wildcard may answer from another address than the one it was spoken to, or undefined when it can't. */
export function wildcardWarning(listen: SocketAddress): string | undefined {
  if (!isUnspecified(listenWords(listen), 0)) return undefined;
  const addresses = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => !entry.internal && !entry.address.startsWith('fe80:'))
    .filter((entry) => listen.family === 6 || entry.family === 'IPv4')
    .map((entry) => entry.address);
  const families = new Set(addresses.map((address) => address.includes(':')));
  if (addresses.length <= families.size) return undefined;
  return `listening on ${formatListen(listen)}, and this host has several addresses (${addresses.join(', ')}): answers leave from the preferred one, so advertise that one or listen on a specific address`;
}

/** Every address of the relay itself: the one it is bound to, or all of this host's for a wildcard. Six words each. */
export function ownAddresses(bound: SocketAddress): Int32Array[] {
  const words = listenWords(bound);
  if (!isUnspecified(words, 0)) return [words];
  const scopes = new InterfaceScopes();
  return Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).flatMap(({ address }) => {
      const own = new Int32Array(ADDRESS_WORDS);
      const ip = address.startsWith('fe80:') ? scopes.numbered(`${address}%${name}`) : address;
      if (!parseIp(ip, own, 0)) return [];
      own[ADDRESS_PORT] = bound.port;
      return [own];
    }),
  );
}
