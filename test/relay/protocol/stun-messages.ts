import { ADDRESS_PORT, isIpv4 } from '../../../relay/protocol/address.ts';
import { STUN_MAGIC_COOKIE } from '../../../relay/protocol/stun.ts';

/** A STUN message of this type with these attributes (RFC 8489 section 5), as a server would send it. */
export function stunMessage(
  type: number,
  transactionId: Uint8Array,
  attributes: readonly Uint8Array[],
): Uint8Array {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length, 2);
  header.writeUInt32BE(STUN_MAGIC_COOKIE, 4);
  header.set(transactionId, 8);
  return new Uint8Array(Buffer.concat([header, body]));
}

/** Type, length, value and padding to a multiple of four (RFC 8489 section 14). */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(value.length, 2);
  bytes.set(value, 4);
  return bytes;
}

/** XOR-MAPPED-ADDRESS for the request with this transaction id, MAPPED-ADDRESS without one (RFC 8489 section 14.1 and 14.2). */
export function addressAttribute(address: Int32Array, transactionId: Uint8Array | undefined): Uint8Array {
  const v4 = isIpv4(address, 0);
  const value = Buffer.alloc(v4 ? 8 : 20);
  value[1] = v4 ? 1 : 2;
  value.writeUInt16BE(address[ADDRESS_PORT]!, 2);
  for (let i = v4 ? 3 : 0; i < 4; i++) value.writeInt32BE(address[i]!, v4 ? 4 : 4 + 4 * i);
  if (!transactionId) return attribute(0x0001, value);
  const mask = Buffer.alloc(16);
  mask.writeUInt32BE(STUN_MAGIC_COOKIE, 0);
  mask.set(transactionId, 4);
  value[2]! ^= mask[0]!;
  value[3]! ^= mask[1]!;
  for (let i = 4; i < value.length; i++) value[i]! ^= mask[i - 4]!;
  return attribute(0x0020, value);
}
