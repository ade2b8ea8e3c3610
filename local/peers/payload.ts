import { MAX_DATAGRAM, TRANSPORT_OVERHEAD } from './wire.ts';

/**
 * Bytes that follow from (flow, sequence, length) alone, so that a receiver can check every byte of every packet: a
 * packet cut short, mixed up with another session or direction, or with one bit changed, differs.
 *
 * A datagram buffer made by `newDatagram` has its body word-aligned.
 */
export function newDatagram(size: number): Buffer {
  const offset = (4 - (TRANSPORT_OVERHEAD % 4)) % 4;
  return Buffer.from(new ArrayBuffer(offset + size + 4), offset, size);
}

/** Fills a datagram of `newDatagram` from byte 38 on. `seed` stands for session and direction. */
export function fillBody(datagram: Buffer, seed: number, sequence: number): void {
  const length = datagram.length - TRANSPORT_OVERHEAD;
  const words = new Int32Array(
    datagram.buffer as ArrayBuffer,
    datagram.byteOffset + TRANSPORT_OVERHEAD,
    (length + 3) >>> 2,
  );
  writeWords(words, seed, sequence, length);
}

/** Whether a received datagram's body is the one of (seed, sequence, its length). */
export function bodyIsRight(datagram: Buffer, seed: number, sequence: number): boolean {
  const length = datagram.length - TRANSPORT_OVERHEAD;
  writeWords(EXPECTED_WORDS.subarray(0, (length + 3) >>> 2), seed, sequence, length);
  return datagram.compare(EXPECTED, 0, length, TRANSPORT_OVERHEAD) === 0;
}

/** A number that stands for a session and one of its directions. */
export function flowSeed(sessionId: Uint8Array, roleByte: number): number {
  let seed = roleByte + 1;
  for (const byte of sessionId) seed = mix(seed ^ byte);
  return seed;
}

const EXPECTED_WORDS = new Int32Array(MAX_DATAGRAM / 4);
const EXPECTED = Buffer.from(EXPECTED_WORDS.buffer);

function writeWords(words: Int32Array, seed: number, sequence: number, length: number): void {
  let value = mix(seed ^ mix(sequence ^ mix(Math.floor(sequence / 0x1_0000_0000) ^ (length << 16))));
  for (let i = 0; i < words.length; i++) {
    value = (Math.imul(value, 1_664_525) + 1_013_904_223) | 0;
    words[i] = value ^ (value >>> 15);
  }
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) | 0;
}
