import { Point } from '@noble/ed25519';

import type { MasterKey } from './verification-key.ts';

export type MasterKeyResult = { readonly key: MasterKey } | { readonly problem: string };

const HEX_KEY = /^[0-9a-f]{64}$/i;
/** Master takes any id that is not blank (its WAVRY_MASTER_KEY_ID); control characters and line ends are in nobody's. */
export const KEY_ID_PATTERN: string = String.raw`^(?!\s*$)[^\p{Cc}\p{Zl}\p{Zp}]{1,128}$`;
const KEY_ID = new RegExp(KEY_ID_PATTERN, 'u');
const KEY_ID_FORM = '1 to 128 characters, not all blank and none of them a control character';

/**
 * Reads a key as flags and key files have it: `hex` or `kid=hex`, blanks around it ignored. There may be `=` in the kid, too: the
 * digits have none. The problem is a sentence for an operator.
 */
export function parseMasterKey(text: string): MasterKeyResult {
  const trimmed = text.trim();
  const equals = trimmed.lastIndexOf('=');
  const kid = equals < 0 ? undefined : trimmed.slice(0, equals);
  const hex = trimmed.slice(equals + 1);
  if (kid !== undefined && !KEY_ID.test(kid)) {
    return {
      problem: `the Master key ${nameOf(hex, undefined)} has an unusable key id before its '=': write kid=hex, with a kid of ${KEY_ID_FORM}, or the 64 digits alone`,
    };
  }
  if (!HEX_KEY.test(hex)) {
    return {
      problem: `the Master key ${nameOf(hex, kid)} is not 64 hexadecimal digits (${describe(hex)}): give public_key as Master shows it at /.well-known/wavry-id, as hex or kid=hex`,
    };
  }
  return soundKey(hex.toLowerCase(), kid);
}

/** The key of a registration answer: 32 bytes and Master's id for it. */
export function masterKeyFromBytes(bytes: Uint8Array, kid: string | undefined): MasterKeyResult {
  const hex = Buffer.from(bytes).toString('hex');
  if (kid !== undefined && !KEY_ID.test(kid)) {
    return {
      problem: `Master's answer names its key ${nameOf(hex, undefined)} by an unusable master_key_id: it has to be ${KEY_ID_FORM}`,
    };
  }
  if (bytes.length !== 32) {
    return { problem: `the Master key ${nameOf(hex, kid)} has ${bytes.length} bytes instead of 32` };
  }
  return soundKey(hex, kid);
}

/**
 * node:crypto takes any 32 bytes for a key and then refuses every signature, so that a mistyped key would look like leases gone
 * bad; and a verifier that does accept keys of small order accepts anybody's signature for them. A key that somebody generated
 * is canonical (RFC 8032 section 5.1.3), on the curve and in the prime-order subgroup.
 */
function soundKey(hex: string, kid: string | undefined): MasterKeyResult {
  const problem = (what: string): MasterKeyResult => ({
    problem: `the Master key ${nameOf(hex, kid)} is no usable Ed25519 public key (${what}): compare it with public_key at Master's /.well-known/wavry-id`,
  });
  let point: Point;
  try {
    point = Point.fromHex(hex, false);
  } catch {
    return problem('no point of the curve, canonically written');
  }
  if (point.isSmallOrder()) return problem('a point of small order');
  if (!point.isTorsionFree()) return problem('not in the prime-order subgroup');
  return { key: { hex, kid } };
}

/** Enough to tell keys apart, too little to be of use when somebody has pasted the secret half. */
function nameOf(hex: string, kid: string | undefined): string {
  const start = /^[0-9a-f]{0,8}/i.exec(hex)![0];
  const key = start === '' ? 'given' : `${start.toLowerCase()}…`;
  return kid === undefined ? key : `'${kid}' (${key})`;
}

function describe(hex: string): string {
  if (hex === '') return 'it is empty';
  return hex.length === 64 ? 'it has other characters in it' : `it has ${hex.length} characters`;
}
