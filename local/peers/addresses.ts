import { isIPv4 } from 'node:net';

/** The relay's address as Master gives it. */
export interface Endpoint {
  readonly family: 4 | 6;
  readonly address: string;
  readonly port: number;
}

/** `ip:port` or `[ip]:port`. Throws on anything else. */
export function parseEndpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || !(port >= 1 && port <= 65_535) || (match[2] !== undefined && !isIPv4(match[2]))) {
    throw new Error(`${text} is not an ip:port`);
  }
  return match[1] !== undefined
    ? { family: 6, address: match[1], port }
    : { family: 4, address: match[2]!, port };
}

/** A range of IPv4 addresses to send from. */
export interface AddressRange {
  readonly first: number;
  readonly count: number;
}

/** `127.10.0.0/16`, or one address. Throws on anything else. */
export function parseRange(text: string): AddressRange {
  const [address, bits = '32', ...rest] = text.split('/');
  const length = /^\d{1,2}$/.test(bits) ? Number(bits) : 33;
  if (!isIPv4(address!) || length > 32 || rest.length > 0) {
    throw new Error(`${text} is not an IPv4 address or range, such as 127.10.0.0/16`);
  }
  const value = address!.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - length);
  const first = Math.floor(value / size) * size;
  // The first and the last of a range stand for the network and for everybody in it.
  return size > 2 ? { first: first + 1, count: size - 2 } : { first, count: size };
}

/** The nth address of the range, from the beginning again after its end. */
export function nthAddress(range: AddressRange, n: number): string {
  const value = range.first + (n % range.count);
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** An address that is no peer's: from the upper half of the range that the peers have the lower half of. */
export function strangerAddress(
  relay: Endpoint,
  bind: AddressRange | undefined,
  n: number,
): string | undefined {
  if (!bind)
    return relay.family === 4 && relay.address.startsWith('127.') ? nthAddress(STRANGERS, n) : undefined;
  const half = Math.floor(bind.count / 2);
  return nthAddress({ first: bind.first + half, count: bind.count - half }, n);
}

/** Where strangers come from that talk to a relay on this machine. */
const STRANGERS = parseRange('127.66.0.0/16');
