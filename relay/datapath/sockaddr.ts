import { ADDRESS_PORT, ADDRESS_SCOPE, isIpv4 } from '../protocol/address.ts';
import { AF_INET, AF_INET6 } from './libc.ts';

/**
 * `struct sockaddr_in` (16 bytes) and `sockaddr_in6` (28) as int32 words of a little-endian machine, to and from the six
 * words of protocol/address.ts. Node runs on Linux only little-endian where koffi does (x64, arm64).
 *   in   family u16, port u16 be | address be
 *   in6  family u16, port u16 be | flow info | address be, four words | scope id
 */

/** Room for either, in bytes and words: names of messages lie this far apart. */
export const SOCKADDR_STRIDE = 32;
export const SOCKADDR_WORDS = 8;

const V4_PREFIX = 0xffff;

export function sockaddrLength(family: 4 | 6): number {
  return family === 4 ? 16 : 28;
}

/**
 * Writes the socket address for a socket of `family`; on an IPv6 socket an IPv4 address stays v4-mapped. For an IPv6 address on
 * an IPv4 socket (a session restored after the listen address changed) it is one that the kernel refuses: EAFNOSUPPORT.
 */
export function writeSockaddr(
  native: Int32Array,
  at: number,
  family: 4 | 6,
  address: Int32Array,
  base: number,
): void {
  const port = address[base + ADDRESS_PORT]!;
  const bigEndianPort = ((port & 0xff) << 24) | ((port & 0xff00) << 8);
  if (family === 4) {
    native[at] = (isIpv4(address, base) ? AF_INET : AF_INET6) | bigEndianPort;
    native[at + 1] = swap(address[base + 3]!);
    return;
  }
  native[at] = AF_INET6 | bigEndianPort;
  native[at + 1] = 0;
  native[at + 2] = swap(address[base]!);
  native[at + 3] = swap(address[base + 1]!);
  native[at + 4] = swap(address[base + 2]!);
  native[at + 5] = swap(address[base + 3]!);
  native[at + 6] = address[base + ADDRESS_SCOPE]!;
}

/** Reads what the kernel wrote as the source of a message of a socket of `family`. */
export function readSockaddr(
  native: Int32Array,
  at: number,
  family: 4 | 6,
  address: Int32Array,
  base: number,
): void {
  const first = native[at]!;
  address[base + ADDRESS_PORT] = ((first >>> 8) & 0xff00) | (first >>> 24);
  if (family === 4) {
    address[base] = 0;
    address[base + 1] = 0;
    address[base + 2] = V4_PREFIX;
    address[base + 3] = swap(native[at + 1]!);
    address[base + ADDRESS_SCOPE] = 0;
    return;
  }
  address[base] = swap(native[at + 2]!);
  address[base + 1] = swap(native[at + 3]!);
  address[base + 2] = swap(native[at + 4]!);
  address[base + 3] = swap(native[at + 5]!);
  address[base + ADDRESS_SCOPE] = native[at + 6]!;
}

function swap(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
