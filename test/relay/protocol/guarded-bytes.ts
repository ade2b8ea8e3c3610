/**
 * Bytes that may only be read from `offset` to `offset + length`: any other index throws. Parsers read datagrams in place from
 * big receive buffers, where one byte too far is another session's packet.
 */
export function guardedBytes(content: Uint8Array, offset: number, tail = 64): Uint8Array {
  const bytes = new Uint8Array(offset + content.length + tail).fill(0xa5);
  bytes.set(content, offset);
  return new Proxy(bytes, {
    get(target, key): unknown {
      const index = Number(key);
      if (Number.isInteger(index) && (index < offset || index >= offset + content.length)) {
        throw new Error(`read of index ${index}, outside ${offset}..${offset + content.length}`);
      }
      return Reflect.get(target, key, target);
    },
  });
}
