import { HEADER_BYTES, MessageType, writeHeader } from '../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../relay/protocol/lease-present.ts';
import { leaseRenewDatagram } from '../../relay/protocol/lease-renew.ts';
import { writeRiftHandshake, writeRiftTransport } from '../../relay/protocol/rift.ts';
import { addressAttribute, attribute, stunMessage } from '../relay/protocol/stun-messages.ts';
import { anyLength, joined, mutated } from './mutation.ts';
import type { Random } from './random.ts';

/** What somebody who knows the protocol can put together. */
export interface Material {
  readonly sessions: readonly Uint8Array[];
  readonly tokens: readonly Uint8Array[];
  /** Transaction id and mapped addresses for answers that look like STUN's. */
  readonly stunId: Uint8Array;
  readonly addresses: readonly Int32Array[];
}

/** One datagram of 0 to 65,507 bytes: noise, a well-formed packet of any kind, or a well-formed one that was tampered with. */
export function hostileDatagram(random: Random, material: Material): Uint8Array {
  const kind = random.below(16);
  if (kind === 0) return random.noise(anyLength(random));
  if (kind === 1) return behindHeader(random, material, random.noise(anyLength(random)));
  const datagram = wellFormed(random, material);
  return random.oneIn(3) ? mutated(random, datagram) : datagram;
}

export function wellFormed(random: Random, material: Material): Uint8Array {
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      return present(random, material);
    case 3:
      return leaseRenewDatagram(random.pick(material.sessions));
    case 4:
    case 5:
      return transport(random, material);
    case 6:
      return handshake(random, material);
    case 7:
      return behindHeader(random, material, random.noise(random.between(8, 1480)));
    case 8:
      return stunAnswer(random, material);
    default:
      return random.oneIn(2)
        ? behindHeader(random, material, new Uint8Array(16), MessageType.LeaseAck)
        : behindHeader(random, material, new Uint8Array(2), MessageType.LeaseReject);
  }
}

function present(random: Random, { sessions, tokens }: Material): Uint8Array {
  const token = Buffer.from(random.pick(tokens)).toString('latin1');
  const datagram = leasePresentDatagram(random.pick(sessions), random.below(2) as 0 | 1, token);
  return random.oneIn(4) ? joined(datagram, random.noise(random.below(40))) : datagram;
}

function transport(random: Random, material: Material): Uint8Array {
  const payload = random.noise(random.pick([18, 19, 30, 64, 200, 1200, 1480])).slice();
  const [high, low] = sequence(random);
  writeRiftTransport(payload, 0, random.oneIn(4) ? random.u32() : random.below(4), high, low);
  return behindHeader(random, material, payload, MessageType.Forward);
}

function handshake(random: Random, material: Material): Uint8Array {
  const payload = random.noise(random.pick([30, 31, 64, 1200])).slice();
  const [high, low] = random.oneIn(2) ? [0, 0] : sequence(random);
  writeRiftHandshake(payload, 0, [random.u32(), random.u32(), random.u32()], high, low);
  return behindHeader(random, material, payload, MessageType.Forward);
}

/** Small ones, as honest peers have them, and both ends of u64. */
function sequence(random: Random): [number, number] {
  switch (random.below(4)) {
    case 0:
      return [0xffff_ffff, random.between(0xffff_ff00, 0xffff_ffff)];
    case 1:
      return [random.u32(), random.u32()];
    default:
      return [0, random.below(600)];
  }
}

function stunAnswer(random: Random, { stunId, addresses }: Material): Uint8Array {
  const address = random.pick(addresses);
  const attributes = [
    random.oneIn(2) ? addressAttribute(address, stunId) : addressAttribute(address, undefined),
    ...(random.oneIn(3) ? [attribute(random.below(0x9000), random.noise(random.below(40)))] : []),
  ];
  return stunMessage(random.oneIn(6) ? random.below(0x200) : 0x0101, stunId, attributes);
}

function behindHeader(
  random: Random,
  { sessions }: Material,
  payload: Uint8Array,
  type: number = random.pick([1, 2, 3, 4, 0x10, 0x10, 0x10, random.below(256)]),
): Uint8Array {
  const datagram = new Uint8Array(Math.min(HEADER_BYTES + payload.length, 65_507));
  datagram.set(payload.subarray(0, datagram.length - HEADER_BYTES), HEADER_BYTES);
  writeHeader(datagram, 0, type as MessageType, random.pick(sessions), 0);
  datagram[3] = random.oneIn(8) ? random.below(256) : 0;
  return datagram;
}
