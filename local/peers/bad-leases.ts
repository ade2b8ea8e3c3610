import { leasePresent } from './wire.ts';

/** What the relay has to do with it (wire reference 2, "What a bad lease gets"): a LEASE_REJECT's reason, or silence. */
type Expected = number | 'silence';

export interface BadLease {
  readonly kind: string;
  readonly what: string;
  readonly expected: Expected;
  /** Claims to ask for, null leaves one out. `now` is Unix ms. */
  readonly claims?: (now: number) => Readonly<Record<string, unknown>>;
  /** Makes the datagram out of a lease; without it the lease is presented as it should be. */
  readonly datagram?: (sessionId: Uint8Array, roleByte: number, token: string) => Buffer;
}

export function findBadLease(kind: string): BadLease | undefined {
  return BAD_LEASES.find((bad) => bad.kind === kind);
}

const EXPIRED = 1;
const INVALID_SIGNATURE = 2;
const WRONG_RELAY = 3;

export const BAD_LEASES: readonly BadLease[] = [
  {
    kind: 'wrong-signature',
    what: 'one bit of the signature changed',
    expected: INVALID_SIGNATURE,
    datagram: bend((bytes) => (bytes[bytes.length - 1]! ^= 1)),
  },
  {
    kind: 'tampered',
    what: 'one bit of the claims changed',
    expected: INVALID_SIGNATURE,
    datagram: bend((bytes) => (bytes[10]! ^= 1)),
  },
  {
    kind: 'not-v4',
    what: 'a v3.public token',
    expected: INVALID_SIGNATURE,
    datagram: withToken((token) => token.replace('v4.', 'v3.')),
  },
  {
    kind: 'not-a-token',
    what: 'some words',
    expected: INVALID_SIGNATURE,
    datagram: withToken(() => 'let me in'),
  },
  { kind: 'empty', what: 'a token of no bytes', expected: INVALID_SIGNATURE, datagram: withToken(() => '') },
  {
    kind: 'role-mismatch',
    what: "the other role's byte before the token",
    expected: INVALID_SIGNATURE,
    datagram: (id, role, token) => leasePresent(id, 1 - role, Buffer.from(token)),
  },
  {
    kind: 'kid-mismatch',
    what: 'the id of a key that Master does not have',
    expected: INVALID_SIGNATURE,
    claims: () => ({ kid: 'kffffffffffffffff' }),
  },
  {
    kind: 'expired',
    what: 'expired two minutes ago',
    expected: EXPIRED,
    claims: (now) => ({
      iat_rfc3339: time(now - 900_000),
      nbf_rfc3339: time(now - 900_000),
      exp_rfc3339: time(now - 120_000),
    }),
  },
  {
    kind: 'wrong-relay',
    what: "another relay's lease",
    expected: WRONG_RELAY,
    claims: () => ({ rid: 'some-other-relay' }),
  },
  { kind: 'no-relay', what: 'no relay id', expected: WRONG_RELAY, claims: () => ({ rid: null }) },
  {
    kind: 'session-mismatch',
    what: "another session's lease",
    expected: 'silence',
    claims: () => ({ sid: '00000000-0000-4000-8000-000000000001' }),
  },
  {
    kind: 'nil-session',
    what: 'a lease for the nil session',
    expected: 'silence',
    claims: () => ({ sid: '00000000-0000-0000-0000-000000000000' }),
  },
  {
    kind: 'malformed',
    what: 'an expiry that is no time',
    expected: 'silence',
    claims: () => ({ exp_rfc3339: 'tomorrow' }),
  },
  { kind: 'no-expiry', what: 'no expiry', expected: 'silence', claims: () => ({ exp_rfc3339: null }) },
  { kind: 'blank-identity', what: 'a blank Wavry id', expected: 'silence', claims: () => ({ sub: ' ' }) },
  {
    kind: 'horizon',
    what: 'valid for a day',
    expected: 'silence',
    claims: (now) => ({ exp_rfc3339: time(now + 86_400_000) }),
  },
  {
    kind: 'not-yet-valid',
    what: 'valid in five minutes',
    expected: 'silence',
    claims: (now) => ({ nbf_rfc3339: time(now + 300_000) }),
  },
  {
    kind: 'from-the-future',
    what: 'issued in five minutes',
    expected: 'silence',
    claims: (now) => ({ iat_rfc3339: time(now + 300_000) }),
  },
  {
    kind: 'not-ascii',
    what: 'a token with bytes above 127',
    expected: 'silence',
    datagram: (id, role, token) =>
      leasePresent(id, role, Buffer.concat([Buffer.from(token), Buffer.from([0xe9])])),
  },
  {
    kind: 'too-long',
    what: 'a token length beyond the datagram',
    expected: 'silence',
    datagram: (id, role, token) => {
      const datagram = leasePresent(id, role, Buffer.from(token));
      datagram.writeUInt16BE(token.length + 1, 21);
      return datagram;
    },
  },
  {
    kind: 'unknown-role',
    what: 'role byte 2',
    expected: 'silence',
    datagram: (id, _role, token) => leasePresent(id, 2, Buffer.from(token)),
  },
  {
    kind: 'short',
    what: 'a payload of two bytes',
    expected: 'silence',
    datagram: (id, role, token) => leasePresent(id, role, Buffer.from(token)).subarray(0, 22),
  },
];

function withToken(change: (token: string) => string): NonNullable<BadLease['datagram']> {
  return (id, role, token) => leasePresent(id, role, Buffer.from(change(token)));
}

/** Changes the signed bytes or the signature, not their encoding. */
function bend(change: (bytes: Buffer) => void): NonNullable<BadLease['datagram']> {
  return withToken((token) => {
    const bytes = Buffer.from(token.slice('v4.public.'.length), 'base64url');
    change(bytes);
    return `v4.public.${bytes.toString('base64url')}`;
  });
}

function time(unixMs: number): string {
  return new Date(unixMs).toISOString().replace('Z', '+00:00');
}
