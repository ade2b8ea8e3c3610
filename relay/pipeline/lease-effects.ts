import type { Lease } from '../lease/verify-lease.ts';
import { ADDRESS_WORDS } from '../protocol/address.ts';
import type { Role } from '../protocol/role.ts';
import { extendLife } from '../session/life.ts';
import { changeLimits } from '../session/limits.ts';
import { storeIdentity } from '../session/peers.ts';
import { mayMove } from '../session/pending.ts';
import { isCurrentToken, isNewerToken, isOlderToken, storeToken } from '../session/tokens.ts';
import type { Books } from './books.ts';
import { Counter } from './counters.ts';
import type { SessionPool } from './session-pool.ts';

/** A good lease on its way into a session. */
export interface Presented {
  readonly role: Role;
  readonly lease: Lease;
  readonly tokenDigest: Uint8Array;
  readonly source: Int32Array;
  readonly sourceBase: number;
  readonly wallMs: number;
}

/** What a good lease does to a session and to the peer that presented it (design-relay 3). */
export class LeaseEffects {
  readonly #pool: SessionPool;
  readonly #books: Books;
  readonly #leaseDurationMs: number;

  constructor(pool: SessionPool, books: Books, leaseDurationMs: number) {
    this.#pool = pool;
    this.#books = books;
    this.#leaseDurationMs = leaseDurationMs;
  }

  /** Takes a role that nobody has in this session. */
  join(slot: number, presented: Presented, nowMs: number): void {
    const { role, lease, source, sourceBase } = presented;
    this.#pool.join(slot, role, source, sourceBase, nowMs);
    storeIdentity(this.#pool.table.words, slot, role, lease.identityHash);
    this.#grant(slot, presented, nowMs);
  }

  /** The peer presented from the address that it has. */
  presentAtHome(slot: number, presented: Presented, nowMs: number): void {
    const { role, lease, tokenDigest } = presented;
    const { table } = this.#pool;
    this.#pool.hear(slot, role, nowMs);
    this.#pool.answered(slot, role);
    // An older token proves its owner, but must not become the current one: the next newer one would then move the peer.
    if (isOlderToken(table, slot, role, lease)) return;
    if (!isCurrentToken(table, slot, role, tokenDigest)) this.#pool.restartWindow(slot, role);
    this.#grant(slot, presented, nowMs);
  }

  /** Whether the peer was moved to the address that its token was presented from; if not, the address may wait for that. */
  presentElsewhere(slot: number, presented: Presented, nowMs: number): boolean {
    const { role, lease, tokenDigest, source, sourceBase } = presented;
    const { table } = this.#pool;
    if (isOlderToken(table, slot, role, lease)) return false;
    if (isNewerToken(table, slot, role, lease) || mayMove(table.floats, slot, role, nowMs)) {
      this.take(slot, presented, nowMs);
      return true;
    }
    const address = source.slice(sourceBase, sourceBase + ADDRESS_WORDS);
    this.#pool.pending.put({ slot, role, address, lease, tokenDigest, judgedWallMs: presented.wallMs });
    return false;
  }

  /** Moves the peer to the address that its token was presented from. */
  take(slot: number, presented: Presented, nowMs: number): void {
    const { role, tokenDigest, source, sourceBase } = presented;
    const sameToken = isCurrentToken(this.#pool.table, slot, role, tokenDigest);
    this.#pool.move(slot, role, source, sourceBase, nowMs);
    this.#pool.restartWindow(slot, role);
    if (!sameToken) this.#pool.answered(slot, role);
    this.#books.count(Counter.nat_rebind_events);
    this.#grant(slot, presented, nowMs);
  }

  /** A present or renew was accepted; `tokenExpiresWallMs` is -Infinity for a renew. */
  extend(slot: number, tokenExpiresWallMs: number, nowMs: number, wallMs: number): void {
    const { floats } = this.#pool.table;
    extendLife(floats, slot, nowMs + this.#leaseDurationMs);
    extendLife(floats, slot, nowMs + (tokenExpiresWallMs - wallMs));
    this.#pool.journal(slot);
  }

  #grant(slot: number, presented: Presented, nowMs: number): void {
    const { role, lease, tokenDigest, wallMs } = presented;
    storeToken(this.#pool.table, slot, role, lease, tokenDigest, wallMs);
    changeLimits(this.#pool.table, slot, lease.softKbps, lease.hardKbps, nowMs);
  }
}
