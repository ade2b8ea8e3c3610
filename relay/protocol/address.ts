/**
 * A socket address as the packet path carries it: six int32 words of a caller's Int32Array.
 *   0..3  the 16 address bytes as big-endian words; IPv4 as ::ffff:a.b.c.d, so a v4-mapped peer is the same peer
 *   4     port, host order
 *   5     scope id, only for fe80::/10, else 0
 */

export const ADDRESS_WORDS = 6;
export const ADDRESS_PORT = 4;
export const ADDRESS_SCOPE = 5;

const V4_PREFIX = 0xffff;
const DECIMAL_OCTET = /^(?:0|[1-9]\d{0,2})$/;
const HEX_GROUP = /^[0-9a-f]{1,4}$/i;
const PORT = /^\d{1,5}$/;
const SCOPE = /^\d{1,9}$/;

/** Reads `ip:port` or `[ipv6%scope]:port` (scope as a number), or undefined. Names are never looked up. */
export function parseAddress(text: string): Int32Array | undefined {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return undefined;
  const host = text.slice(0, colon);
  const port = text.slice(colon + 1);
  const bracketed = host.startsWith('[') && host.endsWith(']');
  if (!PORT.test(port) || Number(port) > 0xffff || bracketed !== host.includes(':')) return undefined;
  const words = new Int32Array(ADDRESS_WORDS);
  if (!parseIp(bracketed ? host.slice(1, -1) : host, words, 0)) return undefined;
  words[ADDRESS_PORT] = Number(port);
  return words;
}

/**
 * Writes the address words and the scope (not the port) of a bare IPv4 or IPv6 address; false, with nothing written,
 * when `text` is none. A scope of anything but a link-local address means nothing and becomes 0.
 */
export function parseIp(text: string, words: Int32Array, base: number): boolean {
  const percent = text.indexOf('%');
  const ip = percent < 0 ? text : text.slice(0, percent);
  const scope = percent < 0 ? '0' : text.slice(percent + 1);
  if (!SCOPE.test(scope)) return false;
  const groups = ip.includes(':') ? ipv6Groups(ip) : percent < 0 ? mappedGroups(ip) : undefined;
  if (!groups) return false;
  for (let i = 0; i < 4; i++) words[base + i] = (groups[2 * i]! << 16) | groups[2 * i + 1]!;
  words[base + ADDRESS_SCOPE] = isLinkLocal(words, base) ? Number(scope) : 0;
  return true;
}

/** `1.2.3.4:5` for IPv4 and v4-mapped addresses, else `[2001:db8::1]:5` as RFC 5952 writes it. */
export function formatAddress(words: Int32Array, base: number): string {
  const ip = formatIp(words, base);
  return isIpv4(words, base)
    ? `${ip}:${words[base + ADDRESS_PORT]}`
    : `[${ip}]:${words[base + ADDRESS_PORT]}`;
}

/** The address without port or brackets; a link-local one with `%scope` when it has a scope. */
export function formatIp(words: Int32Array, base: number): string {
  if (isIpv4(words, base)) {
    const address = words[base + 3]!;
    return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) =>
    i % 2 === 0 ? words[base + (i >> 1)]! >>> 16 : words[base + (i >> 1)]! & 0xffff,
  );
  const scope = words[base + ADDRESS_SCOPE]! >>> 0;
  return compress(groups) + (scope === 0 ? '' : `%${scope}`);
}

/** Same address, port and scope. */
export function sameAddress(a: Int32Array, aBase: number, b: Int32Array, bBase: number): boolean {
  return (
    a[aBase + ADDRESS_PORT] === b[bBase + ADDRESS_PORT] &&
    a[aBase + 3] === b[bBase + 3] &&
    a[aBase + 2] === b[bBase + 2] &&
    a[aBase + 1] === b[bBase + 1] &&
    a[aBase] === b[bBase] &&
    a[aBase + ADDRESS_SCOPE] === b[bBase + ADDRESS_SCOPE]
  );
}

/** Same host: address and scope, whatever the port. */
export function sameIp(a: Int32Array, aBase: number, b: Int32Array, bBase: number): boolean {
  return (
    a[aBase + 3] === b[bBase + 3] &&
    a[aBase + 2] === b[bBase + 2] &&
    a[aBase + 1] === b[bBase + 1] &&
    a[aBase] === b[bBase] &&
    a[aBase + ADDRESS_SCOPE] === b[bBase + ADDRESS_SCOPE]
  );
}

export function copyAddress(from: Int32Array, fromBase: number, to: Int32Array, toBase: number): void {
  for (let i = 0; i < ADDRESS_WORDS; i++) to[toBase + i] = from[fromBase + i]!;
}

export function isIpv4(words: Int32Array, base: number): boolean {
  return words[base] === 0 && words[base + 1] === 0 && words[base + 2] === V4_PREFIX;
}

/** 0.0.0.0 or `::`. */
export function isUnspecified(words: Int32Array, base: number): boolean {
  return (
    words[base] === 0 &&
    words[base + 1] === 0 &&
    (words[base + 2] === 0 || words[base + 2] === V4_PREFIX) &&
    words[base + 3] === 0
  );
}

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(words: Int32Array, base: number): boolean {
  return isIpv4(words, base) ? words[base + 3]! >>> 28 === 0xe : words[base]! >>> 24 === 0xff;
}

/** 255.255.255.255; a subnet's own broadcast address can't be told without its mask. */
export function isBroadcast(words: Int32Array, base: number): boolean {
  return isIpv4(words, base) && words[base + 3] === -1;
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(words: Int32Array, base: number): boolean {
  if (isIpv4(words, base)) return words[base + 3]! >>> 24 === 127;
  return words[base] === 0 && words[base + 1] === 0 && words[base + 2] === 0 && words[base + 3] === 1;
}

/** fe80::/10. */
export function isLinkLocal(words: Int32Array, base: number): boolean {
  return words[base]! >>> 22 === 0x3fa;
}

function ipv4Octets(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => DECIMAL_OCTET.test(part) && Number(part) <= 255)) {
    return undefined;
  }
  return parts.map(Number);
}

function mappedGroups(text: string): number[] | undefined {
  const octets = ipv4Octets(text);
  if (!octets) return undefined;
  return [0, 0, 0, 0, 0, 0xffff, (octets[0]! << 8) | octets[1]!, (octets[2]! << 8) | octets[3]!];
}

/** RFC 4291 section 2.2: eight groups, `::` once for one or more of zeros, the last two perhaps as dotted decimal. */
function ipv6Groups(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => groupsOf(half, i === halves.length - 1));
  if (!head) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  if (!tail || head.length + tail.length > 7) return undefined;
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const octets = last && i === parts.length - 1 ? ipv4Octets(part) : undefined;
      if (!octets) return undefined;
      groups.push((octets[0]! << 8) | octets[1]!, (octets[2]! << 8) | octets[3]!);
    }
  }
  return groups;
}

/** RFC 5952 section 4: lower case, no leading zeros, `::` for the longest run (the first of equals) of two or more zeros. */
function compress(groups: readonly number[]): string {
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) [start, length] = [i, run];
  }
  const hex = groups.map((group) => group.toString(16));
  if (start < 0) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}
