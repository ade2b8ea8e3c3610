import { ADDRESS_PORT, sameIp } from '../protocol/address.ts';
import { sequenceAbove } from '../protocol/replay-window.ts';
import { FORWARD_ALIAS, FORWARD_HIGH, FORWARD_KIND, FORWARD_LOW, ForwardKind } from '../protocol/rift.ts';
import {
  addressAt,
  ALIAS,
  ALIAS_KNOWN,
  GLIMPSED,
  GLIMPSED_HIGH,
  GLIMPSED_LOW,
  GLIMPSED_PORT,
  HEARD,
  leaseFloatsAt,
  leaseWordsAt,
  peerFloatsAt,
  peerWordsAt,
  REBOUND,
  REPLAY,
} from './layout.ts';

/**
 * Rebinding on FORWARD: a NAT changed a peer's port (design-relay 3).
 *
 * A packet that fits all conditions but time is a *glimpse* of the peer. The peer moves at the first one after its stored
 * address has been silent for 2 s; until then glimpses
 * - carry the packet id on, from the same port: a stream of 20 Mbps is more than 4096 packets further after 2 s;
 * - are not counted against the source limit, which a stream would use up in half a second;
 * - keep a copied token from moving the peer meanwhile (pending.ts).
 * Anything from the stored address makes the glimpse before it void.
 */

/** For so long nothing may have come from the stored address. */
const REBIND_SILENCE_MS = 2000;
const REBIND_PAUSE_MS = 5000;
const REBIND_AHEAD = 4096;
const GLIMPSE_LASTS_MS = 2000;

/** Whether a peer of the session was glimpsed at this address just now. */
export function isGlimpsed(
  words: Int32Array,
  floats: Float64Array,
  slot: number,
  source: Int32Array,
  sourceBase: number,
  nowMs: number,
): boolean {
  return (
    isGlimpsedAs(words, floats, slot, 0, source, sourceBase, nowMs) ||
    isGlimpsedAs(words, floats, slot, 1, source, sourceBase, nowMs)
  );
}

/**
 * Which peer of an active session a FORWARD from an unknown address belongs to and is to be moved there, or -1. `sequence` is
 * what rift.ts found in the payload, CRC checked.
 *
 * A stranger behind the same NAT would have to know the alias and the packet id, and wait for the peer to fall silent. A
 * window that has seen nothing (after a restore) has no highest id to compare with: nothing matches until the peer's stored
 * address has opened it, since the alternative is to believe the first who sends.
 */
export function rebindingPeer(
  words: Int32Array,
  floats: Float64Array,
  slot: number,
  source: Int32Array,
  sourceBase: number,
  sequence: Uint32Array,
  nowMs: number,
): number {
  if (sequence[FORWARD_KIND] !== ForwardKind.RiftTransport) return -1;
  const client = couldBe(words, floats, slot, 0, source, sourceBase, sequence, nowMs);
  // Two that fit are two too many, even if only one of them is silent: the packet may be the other's.
  if (client === couldBe(words, floats, slot, 1, source, sourceBase, sequence, nowMs)) return -1;
  const role = client ? 0 : 1;
  const silent = nowMs - floats[peerFloatsAt(slot, role) + HEARD]! >= REBIND_SILENCE_MS;
  const rested = nowMs - floats[leaseFloatsAt(slot, role) + REBOUND]! >= REBIND_PAUSE_MS;
  if (silent && rested) return role;
  glimpse(words, floats, slot, role, source[sourceBase + ADDRESS_PORT]!, sequence, nowMs);
  return -1;
}

/** The other port needs no question: a packet from the very address is its peer's. */
function couldBe(
  words: Int32Array,
  floats: Float64Array,
  slot: number,
  role: number,
  source: Int32Array,
  sourceBase: number,
  sequence: Uint32Array,
  nowMs: number,
): boolean {
  const peer = peerWordsAt(slot, role);
  if (!sameIp(words, addressAt(slot, role), source, sourceBase)) return false;
  if (words[peer + ALIAS_KNOWN] !== 1 || words[peer + ALIAS] !== (sequence[FORWARD_ALIAS]! | 0)) return false;
  const above = sequenceAbove(words, peer + REPLAY, sequence[FORWARD_HIGH]!, sequence[FORWARD_LOW]!);
  if (above >= 1 && above <= REBIND_AHEAD) return true;
  if (!isGlimpsedAs(words, floats, slot, role, source, sourceBase, nowMs)) return false;
  const further = aboveGlimpse(words, slot, role, sequence);
  return further >= 1 && further <= REBIND_AHEAD;
}

function isGlimpsedAs(
  words: Int32Array,
  floats: Float64Array,
  slot: number,
  role: number,
  source: Int32Array,
  sourceBase: number,
  nowMs: number,
): boolean {
  const glimpsedMs = floats[leaseFloatsAt(slot, role) + GLIMPSED]!;
  return (
    nowMs - glimpsedMs < GLIMPSE_LASTS_MS &&
    glimpsedMs > floats[peerFloatsAt(slot, role) + HEARD]! &&
    words[leaseWordsAt(slot, role) + GLIMPSED_PORT] === source[sourceBase + ADDRESS_PORT] &&
    sameIp(words, addressAt(slot, role), source, sourceBase)
  );
}

/** The first port at which a peer is glimpsed keeps the peer's ids for as long as the glimpse lasts. */
function glimpse(
  words: Int32Array,
  floats: Float64Array,
  slot: number,
  role: number,
  port: number,
  sequence: Uint32Array,
  nowMs: number,
): void {
  const at = leaseWordsAt(slot, role);
  const glimpsedMs = floats[leaseFloatsAt(slot, role) + GLIMPSED]!;
  const heardMs = floats[peerFloatsAt(slot, role) + HEARD]!;
  const lasts = nowMs - glimpsedMs < GLIMPSE_LASTS_MS && glimpsedMs > heardMs;
  if (lasts && words[at + GLIMPSED_PORT] !== port) return;
  if (!lasts || aboveGlimpse(words, slot, role, sequence) > 0) {
    words[at + GLIMPSED_HIGH] = sequence[FORWARD_HIGH]!;
    words[at + GLIMPSED_LOW] = sequence[FORWARD_LOW]!;
  }
  words[at + GLIMPSED_PORT] = port;
  floats[leaseFloatsAt(slot, role) + GLIMPSED] = nowMs;
}

function aboveGlimpse(words: Int32Array, slot: number, role: number, sequence: Uint32Array): number {
  const at = leaseWordsAt(slot, role);
  const high = sequence[FORWARD_HIGH]! - (words[at + GLIMPSED_HIGH]! >>> 0);
  return high * 2 ** 32 + (sequence[FORWARD_LOW]! - (words[at + GLIMPSED_LOW]! >>> 0));
}
