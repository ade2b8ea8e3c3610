import { copyAddress } from '../protocol/address.ts';
import { replayReset } from '../protocol/replay-window.ts';
import {
  addressAt,
  ALIAS_KNOWN,
  EXPIRES,
  floatsAt,
  GLIMPSED,
  HAS_BOTH,
  hasPeer,
  HEARD,
  ISSUED_WALL,
  JOURNALED_EXPIRES,
  leaseFloatsAt,
  pendingBit,
  peerFloatsAt,
  peerWordsAt,
  REBOUND,
  FORWARDED,
  REPLAY,
  STATE,
  UNANSWERED,
  wordsAt,
} from '../session/layout.ts';
import { PendingPresents } from '../session/pending.ts';
import { SessionTable } from '../session/table.ts';
import type { Admission } from './admission.ts';

/** Told in the middle of a call into the pipeline: note the slot, act later. */
export interface SessionJournal {
  /** The record of the session in this slot changed, or it is new; see Pipeline.writeRecord. */
  dirty(slot: number): void;
  /** The session in this slot is gone; the slot may hold another one soon. */
  removed(slot: number): void;
}

/** What happens to sessions as a whole and to their peers, with the counts and the journal kept right. */
export class SessionPool {
  readonly table: SessionTable;
  readonly pending: PendingPresents;
  /** Sessions with both peers, expired ones that wait for clean-up included. */
  activeSessions = 0;

  readonly #admission: Admission;
  readonly #journal: SessionJournal | undefined;

  constructor(
    capacity: number,
    seed: Uint32Array,
    admission: Admission,
    journal: SessionJournal | undefined,
  ) {
    this.table = new SessionTable(capacity, seed);
    this.pending = new PendingPresents(this.table);
    this.#admission = admission;
    this.#journal = journal;
  }

  /** No slot is left, whatever admission says. */
  get isFull(): boolean {
    return this.table.size === this.table.capacity;
  }

  isLive(slot: number, nowMs: number): boolean {
    return nowMs < this.table.floats[floatsAt(slot) + EXPIRES]!;
  }

  isActive(slot: number): boolean {
    return (this.table.words[wordsAt(slot) + STATE]! & HAS_BOTH) === HAS_BOTH;
  }

  has(slot: number, role: number): boolean {
    return (this.table.words[wordsAt(slot) + STATE]! & hasPeer(role)) !== 0;
  }

  /** A datagram for this session came from the peer's stored address: whoever else wanted the peer's place is forgotten. */
  hear(slot: number, role: number, nowMs: number): void {
    this.table.floats[peerFloatsAt(slot, role) + HEARD] = nowMs;
    if ((this.table.words[wordsAt(slot) + STATE]! & pendingBit(role)) !== 0) {
      this.pending.forget(slot, role);
    }
  }

  /** A slot for a session that admission granted a place; not while {@link isFull}. It has to get a peer and a life at once. */
  open(id: Uint8Array, idOffset: number): number {
    const slot = this.table.insert(id, idOffset);
    this.table.floats[floatsAt(slot) + EXPIRES] = -Infinity;
    return slot;
  }

  close(slot: number): void {
    for (let role = 0; role < 2; role++) {
      if ((this.table.words[wordsAt(slot) + STATE]! & pendingBit(role)) !== 0) {
        this.pending.forget(slot, role);
      }
    }
    if (this.isActive(slot)) this.activeSessions--;
    this.table.remove(slot);
    this.#admission.release();
    this.#journal?.removed(slot);
  }

  /** A peer takes a role that nobody has. */
  join(slot: number, role: number, source: Int32Array, sourceBase: number, nowMs: number): void {
    const { words, floats } = this.table;
    const at = wordsAt(slot) + STATE;
    words[at] = words[at]! | hasPeer(role);
    if (this.isActive(slot)) this.activeSessions++;
    copyAddress(source, sourceBase, words, addressAt(slot, role));
    floats[peerFloatsAt(slot, role) + HEARD] = nowMs;
    floats[peerFloatsAt(slot, role) + FORWARDED] = -Infinity;
    floats[leaseFloatsAt(slot, role) + REBOUND] = -Infinity;
    floats[leaseFloatsAt(slot, role) + GLIMPSED] = -Infinity;
    floats[leaseFloatsAt(slot, role) + ISSUED_WALL] = Number.NaN;
  }

  /** The peer is at another address from now on. Budgets of the silent are not touched: see {@link answered}. */
  move(slot: number, role: number, source: Int32Array, sourceBase: number, nowMs: number): void {
    copyAddress(source, sourceBase, this.table.words, addressAt(slot, role));
    this.table.floats[leaseFloatsAt(slot, role) + GLIMPSED] = -Infinity;
    this.hear(slot, role, nowMs);
  }

  /** An accepted datagram came from the peer's address: it is nobody at whom a forged present aimed a stream. */
  answered(slot: number, role: number): void {
    this.table.floats[peerFloatsAt(slot, role) + UNANSWERED] = 0;
  }

  /** The next sequence of the peer opens a new window, and the next accepted packet says its alias. */
  restartWindow(slot: number, role: number): void {
    const peer = peerWordsAt(slot, role);
    replayReset(this.table.words, peer + REPLAY);
    this.table.words[peer + ALIAS_KNOWN] = 0;
  }

  /** What the record says has changed. */
  journal(slot: number): void {
    const floats = this.table.floats;
    floats[floatsAt(slot) + JOURNALED_EXPIRES] = floats[floatsAt(slot) + EXPIRES]!;
    this.#journal?.dirty(slot);
  }
}
