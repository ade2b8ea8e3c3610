import { ADDRESS_PORT, formatIp, isMulticast, isUnspecified, parseAddress } from '../protocol/address.ts';
import type { SocketAddress } from './config.ts';
import { logFilterLevel } from './log-filter.ts';
import type { TextFormat } from './options.ts';

interface Format {
  readonly accepts: (text: string) => boolean;
  /** Completes "write …". */
  readonly wanted: string;
}

/** What each kind of text must look like; ajv's custom formats and the second half of our messages. */
export const TEXT_FORMATS: Readonly<Record<TextFormat, Format>> = {
  'socket-address': {
    accepts: (text) => parseSocketAddress(text) !== undefined,
    wanted: 'an IP address and a port, such as 127.0.0.1:4000 or [::]:4000',
  },
  endpoint: {
    accepts: isEndpoint,
    wanted: 'the IP address and port that peers reach, such as 203.0.113.7:4000',
  },
  'host-port': {
    accepts: isHostPort,
    wanted: 'a host and a port, such as stun.example.com:3478 (which is the default port)',
  },
  'master-url': {
    accepts: isMasterUrl,
    wanted:
      'an http:// or https:// URL without user, password, query and fragment, such as https://master.example.com',
  },
  'master-key': {
    accepts: (text) => /^(?:[^=\s,]{1,128}=)?[0-9a-f]{64}$/i.test(text),
    wanted: '64 hex digits, with the key id and = before them if you know it',
  },
  'bearer-token': {
    accepts: (text) => /^[\x21-\x7e]{1,4096}$/.test(text),
    wanted: 'printable ASCII without spaces, at most 4096 characters',
  },
  'relay-id': {
    accepts: (text) => /^[\x21-\x7e]{1,128}$/.test(text),
    wanted: '1 to 128 printable ASCII characters without spaces, such as a UUID',
  },
  label: {
    accepts: (text) => /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u.test(text),
    wanted: '1 to 128 printable characters, such as us-east-1',
  },
  path: {
    accepts: (text) => text.length <= 4096 && !text.includes('\0'),
    wanted: 'a path of at most 4096 characters',
  },
  'log-filter': {
    accepts: (text) => text.length <= 4096 && logFilterLevel(text) !== undefined,
    wanted: 'error, warn, info, debug or off',
  },
};

/**
 * As parseAddress, and with brackets around an IPv4 address too, as Go's net.SplitHostPort takes them: who writes
 * `[$(POD_IP)]:4000` needn't know the family.
 */
export function parseSocketAddress(text: string): Int32Array | undefined {
  return parseAddress(text.replace(/^\[([\d.]+)\]/, '$1'));
}

/** `ip:port` as the sockets want it. Only for what the `socket-address` format accepted. */
export function toSocketAddress(text: string): SocketAddress {
  const words = parseSocketAddress(text)!;
  const host = /^\[(.*:.*)\]/.exec(text)?.[1];
  const family = host === undefined ? 4 : 6;
  return {
    host: host ?? formatIp(words, 0),
    port: words[ADDRESS_PORT]!,
    family,
  };
}

/** `127.0.0.1:4000`, `[::1]:4000`. */
export function formatSocketAddress({ host, port, family }: SocketAddress): string {
  return `${family === 6 ? `[${host}]` : host}:${port}`;
}

function isHostPort(text: string): boolean {
  const match = HOST_PORT.exec(text);
  return match !== null && Number(match[1] ?? 0) <= 0xffff;
}

const HOST_PORT = /^(?:[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9.])?|\[[0-9a-f:.]{2,45}\])(?::([1-9]\d{0,4}))?$/i;

function isEndpoint(text: string): boolean {
  const words = parseAddress(text);
  return (
    words !== undefined && words[ADDRESS_PORT] !== 0 && !isUnspecified(words, 0) && !isMulticast(words, 0)
  );
}

function isMasterUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === ''
  );
}
