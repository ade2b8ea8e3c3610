import { roleClaim } from '../protocol/role.ts';
import type { Role } from '../protocol/role.ts';
import { isNilSessionId, parseSessionId, sameSessionId } from '../protocol/session-id.ts';
import { LeaseProblem } from './lease-problem.ts';
import { parseRfc3339 } from './rfc3339.ts';

/** What a lease is held against; times are Unix milliseconds by the wall clock. */
export interface ClaimsContext {
  /** The header's session id, 16 bytes. */
  readonly sessionId: Uint8Array;
  readonly role: Role;
  readonly relayId: string;
  /** Master's id for the key that signed, where it is known (undefined in insecure mode, too). */
  readonly keyId: string | undefined;
  readonly nowMs: number;
}

/** What a good lease grants. */
export interface LeaseGrant {
  /** The `sub` claim, as it stands. */
  readonly subject: string;
  /** `exp_rfc3339`, Unix milliseconds; never the registered `exp`, which Master always sets an hour ahead. */
  readonly expiresMs: number;
  /** The earlier of `exp_rfc3339` and the registered `exp`, Unix milliseconds: expired from 30 s after it. */
  readonly validUntilMs: number;
  /** `iat_rfc3339`, Unix milliseconds with a fraction; tells a newer lease from an older one. */
  readonly issuedAtMs: number | undefined;
  readonly softKbps: number;
  readonly hardKbps: number;
}

export type ClaimsVerdict = { readonly grant: LeaseGrant } | { readonly problem: LeaseProblem };

export const CLOCK_TOLERANCE_MS = 30_000;
const MAX_HORIZON_MS = 3_600_000;
const MIN_SOFT_KBPS = 1000;
export const DEFAULT_SOFT_KBPS = 50_000;
export const DEFAULT_HARD_KBPS = 100_000;

const U32_MAX = 0xffff_ffff;
const MALFORMED = { problem: LeaseProblem.MalformedClaims } as const;

/**
 * Judges a lease's claims in the order of wire reference 2, where the first failure decides: sid, sub, role, rid, kid, exp,
 * horizon, nbf, iat; then the limits, which the reference doesn't place.
 *
 * A claim of the wrong type is malformed at its own place in that order. `null` is an absent claim, as it is to Master and
 * today's relay (serde's Option). The registered `exp`, `nbf` and `iat` are judged beside their namesakes, with the same
 * tolerance; PASETO defines them as RFC 3339 strings and Master issues them so, so a number there is malformed.
 * The horizon is asked of `exp_rfc3339` alone, as is that `iat_rfc3339` lies before it.
 */
export function judgeClaims(claims: ReadonlyMap<string, unknown>, context: ClaimsContext): ClaimsVerdict {
  const subject = claims.get('sub');
  const problem =
    judgeSession(claims.get('sid'), context.sessionId) ??
    judgeSubject(subject) ??
    judgeRole(claims.get('role'), context.role) ??
    judgeRelay(claims.get('rid') ?? undefined, context.relayId) ??
    judgeKeyId(claims.get('kid') ?? undefined, context.keyId);
  if (problem) return { problem };

  const expiresMs = timeOf(claims, 'exp_rfc3339');
  const registeredExpiresMs = timeOf(claims, 'exp');
  if (expiresMs === undefined || Number.isNaN(expiresMs) || Number.isNaN(registeredExpiresMs))
    return MALFORMED;
  const validUntilMs = Math.min(expiresMs, registeredExpiresMs ?? Infinity);
  if (validUntilMs <= context.nowMs - CLOCK_TOLERANCE_MS) return { problem: LeaseProblem.Expired };
  if (expiresMs > context.nowMs + MAX_HORIZON_MS) return { problem: LeaseProblem.HorizonTooFar };

  const notBefore = [timeOf(claims, 'nbf_rfc3339'), timeOf(claims, 'nbf')];
  const issuedAtMs = timeOf(claims, 'iat_rfc3339');
  const starts =
    judgeStarts(notBefore, context.nowMs) ?? judgeStarts([issuedAtMs, timeOf(claims, 'iat')], context.nowMs);
  if (starts) return { problem: starts };
  if (issuedAtMs !== undefined && issuedAtMs >= expiresMs) return MALFORMED;

  const soft = limitOf(claims, 'slimit');
  const hard = limitOf(claims, 'hlimit');
  if (Number.isNaN(soft) || Number.isNaN(hard)) return MALFORMED;
  const softKbps = Math.max(soft ?? DEFAULT_SOFT_KBPS, MIN_SOFT_KBPS);
  const hardKbps = Math.max(hard ?? DEFAULT_HARD_KBPS, softKbps);
  return { grant: { subject: subject as string, expiresMs, validUntilMs, issuedAtMs, softKbps, hardKbps } };
}

function judgeSession(sid: unknown, expected: Uint8Array): LeaseProblem | undefined {
  const id = typeof sid === 'string' ? parseSessionId(sid) : undefined;
  if (!id || isNilSessionId(id, 0)) return LeaseProblem.MalformedClaims;
  return sameSessionId(id, 0, expected, 0) ? undefined : LeaseProblem.OtherSession;
}

/** A lone surrogate (`"\ud800"`) has no UTF-8, so two such subjects would hash to one identity. */
function judgeSubject(sub: unknown): LeaseProblem | undefined {
  const sound = typeof sub === 'string' && sub.trim() !== '' && sub.isWellFormed();
  return sound ? undefined : LeaseProblem.MalformedClaims;
}

function judgeRole(role: unknown, expected: Role): LeaseProblem | undefined {
  if (typeof role !== 'string') return LeaseProblem.MalformedClaims;
  return role === roleClaim(expected) ? undefined : LeaseProblem.RoleMismatch;
}

function judgeRelay(rid: unknown, expected: string): LeaseProblem | undefined {
  if (rid !== undefined && typeof rid !== 'string') return LeaseProblem.MalformedClaims;
  return rid === expected ? undefined : LeaseProblem.WrongRelay;
}

function judgeKeyId(kid: unknown, expected: string | undefined): LeaseProblem | undefined {
  if (kid !== undefined && typeof kid !== 'string') return LeaseProblem.MalformedClaims;
  return expected === undefined || kid === expected ? undefined : LeaseProblem.KeyIdMismatch;
}

function judgeStarts(times: readonly (number | undefined)[], nowMs: number): LeaseProblem | undefined {
  if (times.some((time) => Number.isNaN(time))) return LeaseProblem.MalformedClaims;
  const latest = nowMs + CLOCK_TOLERANCE_MS;
  return times.some((time) => time !== undefined && time > latest) ? LeaseProblem.NotYetValid : undefined;
}

/** Unix milliseconds; undefined when the claim is absent, NaN when it is no RFC 3339 string. */
function timeOf(claims: ReadonlyMap<string, unknown>, name: string): number | undefined {
  const value = claims.get(name) ?? undefined;
  if (value === undefined) return undefined;
  return typeof value === 'string' ? (parseRfc3339(value) ?? Number.NaN) : Number.NaN;
}

/** kbps; undefined when the claim is absent, NaN when it is no u32. */
function limitOf(claims: ReadonlyMap<string, unknown>, name: string): number | undefined {
  const value = claims.get(name) ?? undefined;
  if (value === undefined) return undefined;
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= U32_MAX
    ? value
    : Number.NaN;
}
