import { ADDRESS_PORT, sameIp } from '../protocol/address.ts';
import { sequenceAbove } from '../protocol/replay-window.ts';
import { FORWARD_ALIAS, FORWARD_HIGH, FORWARD_KIND, FORWARD_LOW, ForwardKind } from '../protocol/rift.ts';
import {
  addressAt,
  ALIAS,
  ALIAS_KNOWN,
  HEARD,
  leaseFloatsAt,
  peerFloatsAt,
  peerWordsAt,
  REBOUND,
  REPLAY,
} from './layout.ts';

/** For so long nothing may have come from the stored address. */
export const REBIND_SILENCE_MS = 2000;
const REBIND_PAUSE_MS = 5000;
const REBIND_AHEAD = 4096;

/**
 * Which peer of an active session a FORWARD from an unknown address belongs to, because a NAT changed the peer's port
 * (design-relay 3, "Rebinding on FORWARD"), or -1. `sequence` is what rift.ts found in the payload, CRC checked.
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
  if (sequence[FORWARD_KIND] !== ForwardKind.RiftTransport || source[sourceBase + ADDRESS_PORT] === 0)
    return -1;
  const client = couldBe(words, slot, 0, source, sourceBase, sequence);
  // Two that fit are two too many, even if only one of them is silent: the packet may be the other's.
  if (client === couldBe(words, slot, 1, source, sourceBase, sequence)) return -1;
  const role = client ? 0 : 1;
  const silent = nowMs - floats[peerFloatsAt(slot, role) + HEARD]! >= REBIND_SILENCE_MS;
  const rested = nowMs - floats[leaseFloatsAt(slot, role) + REBOUND]! >= REBIND_PAUSE_MS;
  return silent && rested ? role : -1;
}

/** The other port needs no question: a packet from the very address is its peer's. */
function couldBe(
  words: Int32Array,
  slot: number,
  role: number,
  source: Int32Array,
  sourceBase: number,
  sequence: Uint32Array,
): boolean {
  const peer = peerWordsAt(slot, role);
  if (!sameIp(words, addressAt(slot, role), source, sourceBase)) return false;
  if (words[peer + ALIAS_KNOWN] !== 1 || words[peer + ALIAS] !== (sequence[FORWARD_ALIAS]! | 0)) return false;
  const above = sequenceAbove(words, peer + REPLAY, sequence[FORWARD_HIGH]!, sequence[FORWARD_LOW]!);
  return above >= 1 && above <= REBIND_AHEAD;
}
