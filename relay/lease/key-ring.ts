import type { KeyObject } from 'node:crypto';
import { masterKeyId, masterKeyObject } from './verification-key.ts';
import type { MasterKey } from './verification-key.ts';

/**
 * Which of Master's keys a lease may be signed with (design-relay 5, "Keys").
 *
 * The state is plain data: the main thread makes a new one when keys are pinned or Master answers a registration, and posts
 * it to the workers, which build a {@link KeyRing} from it. Times are Unix milliseconds.
 */
export interface KeyRingState {
  /** From flags or the keys file. When there are any, no other key is ever trusted. */
  readonly pinned: readonly MasterKey[];
  /** Keys of registration answers, the newest first, each (key, kid) once. */
  readonly answers: readonly MasterAnswer[];
}

interface MasterAnswer {
  readonly key: MasterKey;
  /** When a later answer took this one's place; undefined for the newest. */
  readonly replacedAtMs: number | undefined;
}

/** Master names a key that is not pinned: leases that it signs from now on will be refused. For /ready and the log. */
export interface KeyMismatch {
  readonly masterKeyId: string;
  readonly pinnedKeyIds: readonly string[];
}

export interface VerifyKey {
  /** Master's id for the key where it is known, else the derived one. */
  readonly id: string;
  /** What the lease's `kid` claim has to be; undefined: Master's id for this key is not known, and any claim or none will do. */
  readonly kid: string | undefined;
  readonly publicKey: KeyObject;
}

/** For as long as this the key before Master's newest goes on verifying (leases live an hour at most). */
export const PREVIOUS_KEY_MS = 3_600_000;
/** At most so many keys are tried for one lease: each try costs about 105 µs. */
export const MAX_KEYS_PER_LEASE = 4;
/** A Master that answers with ever new keys makes nothing grow. */
const MAX_ANSWERS = 8;

export function newKeyRing(pinned: readonly MasterKey[]): KeyRingState {
  return { pinned, answers: [] };
}

/** The keys file was read again. */
export function withPinnedKeys(state: KeyRingState, pinned: readonly MasterKey[]): KeyRingState {
  return { pinned, answers: state.answers };
}

/** Master answered a registration with `key`. The same state comes back when that says nothing new. */
export function withAnswer(state: KeyRingState, key: MasterKey, nowMs: number): KeyRingState {
  const newest = state.answers[0];
  if (newest && sameKey(newest.key, key)) return state;
  const before = state.answers
    .filter((answer) => !sameKey(answer.key, key))
    .map((answer) => ({ key: answer.key, replacedAtMs: answer.replacedAtMs ?? nowMs }));
  return {
    pinned: state.pinned,
    answers: [{ key, replacedAtMs: undefined }, ...before].slice(0, MAX_ANSWERS),
  };
}

/** Undefined while all is well: nothing pinned, no answer yet, or the newest answer's key is pinned (under whatever id). */
export function keyMismatch(state: KeyRingState): KeyMismatch | undefined {
  const newest = state.answers[0];
  if (!newest || state.pinned.length === 0) return undefined;
  if (state.pinned.some((key) => key.hex === newest.key.hex)) return undefined;
  return { masterKeyId: masterKeyId(newest.key), pinnedKeyIds: state.pinned.map(masterKeyId) };
}

interface Entry extends VerifyKey {
  readonly untilMs: number;
}

/** A {@link KeyRingState} ready to verify with. */
export class KeyRing {
  readonly #entries: readonly Entry[];

  constructor(state: KeyRingState) {
    const objects = new Map<string, KeyObject>();
    const keys = state.pinned.length > 0 ? pinnedEntries(state) : answeredEntries(state);
    this.#entries = keys.map(({ key, untilMs }) => {
      const publicKey = objects.get(key.hex) ?? masterKeyObject(key);
      objects.set(key.hex, publicKey);
      return { id: masterKeyId(key), kid: key.kid, publicKey, untilMs };
    });
  }

  /**
   * The keys to try for a lease with this `kid` claim (undefined: it has none), in that order: those that Master knows by that
   * id; else the one without a known id whose derived id it is; else all without a known id, then the others, which can only
   * lead to "key id mismatch" (claims.ts), at most {@link MAX_KEYS_PER_LEASE} in all. Empty when no key is known at all.
   */
  keysFor(kid: string | undefined, nowMs: number): readonly VerifyKey[] {
    const live = this.#entries.filter((entry) => nowMs < entry.untilMs);
    const named = live.filter((entry) => kid !== undefined && entry.kid === kid);
    if (named.length > 0) return named.slice(0, MAX_KEYS_PER_LEASE);
    const unnamed = live.filter((entry) => entry.kid === undefined);
    const derived = unnamed.filter((entry) => entry.id === kid);
    if (derived.length > 0) return derived.slice(0, MAX_KEYS_PER_LEASE);
    return [...unnamed, ...live.filter((entry) => entry.kid !== undefined)].slice(0, MAX_KEYS_PER_LEASE);
  }
}

type TimedKey = { readonly key: MasterKey; readonly untilMs: number };

/**
 * Each pinned key under its own id and under those that Master gave for the same key: the newest without end, earlier ones for
 * an hour, unless that would leave the key without any. Only a key for which there is no id at all stays without.
 */
function pinnedEntries(state: KeyRingState): TimedKey[] {
  const entries = state.pinned.flatMap((pinned): TimedKey[] => {
    const learned = state.answers.filter(({ key }) => key.hex === pinned.hex && key.kid !== undefined);
    const own = pinned.kid !== undefined || learned.length === 0 ? [{ key: pinned, untilMs: Infinity }] : [];
    const given = learned.map(({ key, replacedAtMs }, index) => ({
      key,
      untilMs: index === 0 ? Infinity : expiryOf(replacedAtMs),
    }));
    return [...own, ...given];
  });
  return entries.filter(({ key }, index) => entries.findIndex((entry) => sameKey(entry.key, key)) === index);
}

/** Nothing pinned: Master's newest key, and the one before it for an hour. */
function answeredEntries(state: KeyRingState): TimedKey[] {
  return state.answers.slice(0, 2).map(({ key, replacedAtMs }) => ({ key, untilMs: expiryOf(replacedAtMs) }));
}

function expiryOf(replacedAtMs: number | undefined): number {
  return replacedAtMs === undefined ? Infinity : replacedAtMs + PREVIOUS_KEY_MS;
}

function sameKey(a: MasterKey, b: MasterKey): boolean {
  return a.hex === b.hex && a.kid === b.kid;
}
