/** Reflected polynomial of CRC-16/KERMIT: initial value 0, no final XOR, check value 0x2189 for "123456789". */
const POLYNOMIAL = 0x8408;

/**
 * Slicing by 4: table k says what a byte does to the CRC when k more bytes follow it. RIFT's two headers are 16 and
 * 28 bytes before their CRC, both multiples of four.
 */
const TABLE_0: Uint16Array = firstTable();
const TABLE_1: Uint16Array = nextTable(TABLE_0);
const TABLE_2: Uint16Array = nextTable(TABLE_1);
const TABLE_3: Uint16Array = nextTable(TABLE_2);

/** CRC-16/KERMIT of `bytes[start..end)`, 0 to 65535. */
export function crc16Kermit(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const mixed = crc ^ bytes[at]! ^ (bytes[at + 1]! << 8);
    crc =
      TABLE_3[mixed & 0xff]! ^ TABLE_2[mixed >>> 8]! ^ TABLE_1[bytes[at + 2]!]! ^ TABLE_0[bytes[at + 3]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ TABLE_0[(crc ^ bytes[at]!) & 0xff]!;
  return crc;
}

function firstTable(): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    return crc;
  });
}

function nextTable(previous: Uint16Array): Uint16Array {
  return previous.map((crc) => (crc >>> 8) ^ TABLE_0[crc & 0xff]!);
}
