import { RejectReason } from '../protocol/lease-reject.ts';

/** What can be wrong with a lease by itself, in the order in which it is asked (wire reference 2, "Checks in this order"). */
export const LeaseProblem = {
  EmptyToken: 'empty-token',
  NotV4Public: 'not-v4-public',
  NoKey: 'no-key',
  BadSignature: 'bad-signature',
  MalformedClaims: 'malformed-claims',
  OtherSession: 'other-session',
  RoleMismatch: 'role-mismatch',
  WrongRelay: 'wrong-relay',
  KeyIdMismatch: 'key-id-mismatch',
  Expired: 'expired',
  HorizonTooFar: 'horizon-too-far',
  NotYetValid: 'not-yet-valid',
} as const;
export type LeaseProblem = (typeof LeaseProblem)[keyof typeof LeaseProblem];

export interface LeaseRefusal {
  /** Undefined: no answer at all. */
  readonly reply: RejectReason | undefined;
  /** Counters to raise beside dropped_packets; the first is the primary reason, which keeps the books balanced. */
  readonly counters: readonly LeaseRefusalCounter[];
}

export type LeaseRefusalCounter =
  | 'invalid_packets'
  | 'auth_reject_packets'
  | 'expired_lease_rejects'
  | 'wrong_relay_rejects';

const AUTH: LeaseRefusal = { reply: RejectReason.InvalidSignature, counters: ['auth_reject_packets'] };
const INVALID: LeaseRefusal = { reply: undefined, counters: ['invalid_packets'] };

/** The rows of "What a bad lease gets" (wire reference 2) that are the lease's own fault. */
export const LEASE_REFUSALS: Readonly<Record<LeaseProblem, LeaseRefusal>> = {
  [LeaseProblem.EmptyToken]: AUTH,
  [LeaseProblem.NotV4Public]: AUTH,
  [LeaseProblem.NoKey]: AUTH,
  [LeaseProblem.BadSignature]: AUTH,
  [LeaseProblem.MalformedClaims]: INVALID,
  [LeaseProblem.OtherSession]: INVALID,
  [LeaseProblem.RoleMismatch]: AUTH,
  [LeaseProblem.WrongRelay]: { reply: RejectReason.WrongRelay, counters: ['wrong_relay_rejects'] },
  [LeaseProblem.KeyIdMismatch]: AUTH,
  [LeaseProblem.Expired]: {
    reply: RejectReason.Expired,
    counters: ['auth_reject_packets', 'expired_lease_rejects'],
  },
  [LeaseProblem.HorizonTooFar]: INVALID,
  [LeaseProblem.NotYetValid]: INVALID,
};
