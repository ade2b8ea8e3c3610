import type { Lease } from '../lease/verify-lease.ts';
import type { Role } from '../protocol/role.ts';
import { HEARD, peerFloatsAt, pendingBit, STATE, wordsAt } from './layout.ts';
import type { SessionTable } from './table.ts';

/** For so long the stored address must have been silent before a token that is not newer moves a peer. */
export const MOVE_SILENCE_MS = 2000;

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
      const heardMs = this.#table.floats[peerFloatsAt(present.slot, present.role) + HEARD]!;
      if (nowMs - heardMs >= MOVE_SILENCE_MS) {
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
