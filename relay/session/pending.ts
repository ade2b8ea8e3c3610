import type { Lease } from '../lease/verify-lease.ts';
import type { Role } from '../protocol/role.ts';
import { GLIMPSED, HEARD, leaseFloatsAt, peerFloatsAt, pendingBit, STATE, wordsAt } from './layout.ts';
import type { SessionTable } from './table.ts';

/** For so long there must have been no sign of the peer before a token that is not newer moves it. */
const MOVE_SILENCE_MS = 2000;

/**
 * Whether a token that is not newer may move the peer: for 2 s nothing came from its stored address, and nothing that shows
 * it to be behind another port of it (rebind.ts). Else a copied token would win the race whenever a NAT changes a port.
 */
export function mayMove(floats: Float64Array, slot: number, role: number, nowMs: number): boolean {
  return (
    nowMs - floats[peerFloatsAt(slot, role) + HEARD]! >= MOVE_SILENCE_MS &&
    nowMs - floats[leaseFloatsAt(slot, role) + GLIMPSED]! >= MOVE_SILENCE_MS
  );
}

/** A good lease presented from another address while the peer's stored one was still heard. */
export interface PendingPresent {
  readonly slot: number;
  readonly role: Role;
  readonly address: Int32Array;
  readonly lease: Lease;
  /** SHA-256 of the token. */
  readonly tokenDigest: Uint8Array;
  /** When the token was judged, Unix milliseconds. */
  readonly judgedWallMs: number;
}

/**
 * Addresses that wait until a peer's stored address has been silent for 2 s (design-relay 3): at most one a peer, the latest.
 *
 * A Map, because there is next to never one: it takes a genuine token and an address other than the peer's. The packet path
 * only looks at a bit of the session's state.
 */
export class PendingPresents {
  readonly #table: SessionTable;
  readonly #byPeer: Map<number, PendingPresent> = new Map();

  constructor(table: SessionTable) {
    this.#table = table;
  }

  get size(): number {
    return this.#byPeer.size;
  }

  put(present: PendingPresent): void {
    this.#byPeer.set(keyOf(present.slot, present.role), present);
    const at = wordsAt(present.slot) + STATE;
    this.#table.words[at] = this.#table.words[at]! | pendingBit(present.role);
  }

  forget(slot: number, role: number): void {
    this.#byPeer.delete(keyOf(slot, role));
    const at = wordsAt(slot) + STATE;
    this.#table.words[at] = this.#table.words[at]! & ~pendingBit(role);
  }

  /** Takes out one whose peer's stored address has been silent for long enough. */
  takeDue(nowMs: number): PendingPresent | undefined {
    for (const present of this.#byPeer.values()) {
      if (mayMove(this.#table.floats, present.slot, present.role, nowMs)) {
        this.forget(present.slot, present.role);
        return present;
      }
    }
    return undefined;
  }
}

function keyOf(slot: number, role: number): number {
  return slot * 2 + role;
}
