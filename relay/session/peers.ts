import { ADDRESS_WORDS, sameAddress } from '../protocol/address.ts';
import { Role } from '../protocol/role.ts';
import {
  ADDRESS,
  HAS_CLIENT,
  HAS_SERVER,
  IDENTITY,
  IDENTITY_WORDS,
  leaseWordsAt,
  STATE,
  wordsAt,
} from './layout.ts';

/** The role of the peer whose address this is (an absent peer has none), or -1. */
export function peerFrom(words: Int32Array, slot: number, source: Int32Array, sourceBase: number): number {
  const base = wordsAt(slot);
  const state = words[base + STATE]!;
  if ((state & HAS_CLIENT) !== 0 && sameAddress(words, base + ADDRESS, source, sourceBase)) {
    return Role.Client;
  }
  if ((state & HAS_SERVER) !== 0 && sameAddress(words, base + ADDRESS + ADDRESS_WORDS, source, sourceBase)) {
    return Role.Server;
  }
  return -1;
}

/** `identityHash` is 32 bytes. Identities are no secrets: Master tells each peer the other's. */
export function sameIdentity(
  words: Int32Array,
  slot: number,
  role: number,
  identityHash: Uint8Array,
): boolean {
  return sameDigest(words, leaseWordsAt(slot, role) + IDENTITY, identityHash);
}

export function storeIdentity(words: Int32Array, slot: number, role: number, identityHash: Uint8Array): void {
  storeDigest(words, leaseWordsAt(slot, role) + IDENTITY, identityHash);
}

/** Whether the 32 bytes of a SHA-256 are those stored at `base`. */
export function sameDigest(words: Int32Array, base: number, digest: Uint8Array): boolean {
  for (let i = 0; i < IDENTITY_WORDS; i++) if (words[base + i] !== digestWord(digest, i)) return false;
  return true;
}

export function storeDigest(words: Int32Array, base: number, digest: Uint8Array): void {
  for (let i = 0; i < IDENTITY_WORDS; i++) words[base + i] = digestWord(digest, i);
}

function digestWord(digest: Uint8Array, i: number): number {
  return (digest[4 * i]! << 24) | (digest[4 * i + 1]! << 16) | (digest[4 * i + 2]! << 8) | digest[4 * i + 3]!;
}
