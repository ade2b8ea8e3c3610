/** One netlink message, without its header. */
export interface NetlinkMessage {
  type: number;
  payload: Buffer;
}

/** What netfilter messages have in common. Source: include/uapi/linux/netlink.h and netfilter/nfnetlink.h. */
export interface MessageHead {
  subsystem: number;
  message: number;
  flags: number;
  family?: number;
  resource?: number;
}

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;
export const AF_INET = 2;

/** A message of netfilter's: netlink header, netfilter header, attributes. */
export function message(head: MessageHead, ...attributes: Buffer[]): Buffer {
  const body = Buffer.concat(attributes);
  const result = Buffer.alloc(20 + body.length);
  result.writeUInt32LE(result.length, 0);
  result.writeUInt16LE((head.subsystem << 8) | head.message, 4);
  result.writeUInt16LE(head.flags | NLM_F_REQUEST, 6);
  result.writeUInt8(head.family ?? AF_INET, 16);
  result.writeUInt16BE(head.resource ?? 0, 18);
  body.copy(result, 20);
  return result;
}

/** An attribute; its length is its own, but the next one begins at a multiple of four. */
export function attribute(type: number, payload: Buffer): Buffer {
  const result = Buffer.alloc(4 + Math.ceil(payload.length / 4) * 4);
  result.writeUInt16LE(4 + payload.length, 0);
  result.writeUInt16LE(type, 2);
  payload.copy(result, 4);
  return result;
}

export function nested(type: number, ...attributes: Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

/** Numbers of netfilter's attributes are big-endian. */
export function number32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeInt32BE(value | 0);
  return attribute(type, payload);
}

export function parseMessages(data: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let offset = 0; offset + 16 <= data.length;) {
    const length = data.readUInt32LE(offset);
    if (length < 16) break;
    messages.push({
      type: data.readUInt16LE(offset + 4),
      payload: data.subarray(offset + 16, offset + length),
    });
    offset += Math.ceil(length / 4) * 4;
  }
  return messages;
}

/** Attributes by their type, without the flags in it. */
export function parseAttributes(data: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let offset = 0; offset + 4 <= data.length;) {
    const length = data.readUInt16LE(offset);
    if (length < 4) break;
    attributes.set(data.readUInt16LE(offset + 2) & NLA_TYPE_MASK, data.subarray(offset + 4, offset + length));
    offset += Math.ceil(length / 4) * 4;
  }
  return attributes;
}

const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
