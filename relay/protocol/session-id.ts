import { SESSION_ID_BYTES } from './header.ts';

/** 8-4-4-4-12 hexadecimal digits, either case; no braces, no `urn:uuid:`, nothing around it. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const HYPHENS_BEFORE_BYTE = new Set([4, 6, 8, 10]);

/** The 16 bytes (network order) of a session id written as a UUID, or undefined when `text` is none. Nil is a UUID too. */
export function parseSessionId(text: string): Uint8Array | undefined {
  if (!UUID.test(text)) return undefined;
  const digits = text.replaceAll('-', '');
  const id = new Uint8Array(SESSION_ID_BYTES);
  for (let i = 0; i < SESSION_ID_BYTES; i++) id[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return id;
}

/** The lower-case UUID text of the 16 bytes at `offset`. */
export function formatSessionId(bytes: Uint8Array, offset: number): string {
  let text = '';
  for (let i = 0; i < SESSION_ID_BYTES; i++) {
    if (HYPHENS_BEFORE_BYTE.has(i)) text += '-';
    text += bytes[offset + i]!.toString(16).padStart(2, '0');
  }
  return text;
}

/** All zeros: never a session (wire reference 1). */
export function isNilSessionId(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < SESSION_ID_BYTES; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}

export function sameSessionId(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  for (let i = 0; i < SESSION_ID_BYTES; i++) if (a[aOffset + i] !== b[bOffset + i]) return false;
  return true;
}
