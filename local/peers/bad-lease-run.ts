import { setTimeout as sleep } from 'node:timers/promises';

import type { Role } from '../master/lease.ts';
import { parseEndpoint } from './addresses.ts';
import type { BadLease } from './bad-leases.ts';
import type { LeaseSource } from './lease-source.ts';
import { openSocket } from './peer.ts';
import {
  REJECT_REASONS,
  ROLE_BYTE,
  emptyReceived,
  leasePresent,
  readDatagram,
  sessionIdBytes,
} from './wire.ts';

export interface BadLeaseReport {
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly kind: string;
  readonly expected: string;
  readonly presented: number;
  readonly accepted: number;
  readonly silent: number;
  /** By the name of the reason. */
  readonly rejected: Readonly<Record<string, number>>;
}

/** Presents bad leases for both roles of `sessions` sessions, and says whether the relay did with them what it has to. */
export async function presentBadLeases(
  bad: BadLease,
  sessions: number,
  leases: LeaseSource,
  from: string | undefined,
): Promise<BadLeaseReport> {
  const answers: number[] = [];
  for (let i = 0; i < sessions; i++) {
    const pair = await leases({ ...(bad.claims && { claims: bad.claims(Date.now()) }) });
    answers.push(
      ...(await Promise.all(
        (['client', 'server'] as const).map((role) => presentOne(bad, pair[role], role, from)),
      )),
    );
  }
  const count = (answer: number): number => answers.filter((one) => one === answer).length;
  const right = bad.expected === 'silence' ? SILENCE : bad.expected;
  const wrong = answers.length - count(right);
  const expected = bad.expected === 'silence' ? 'no answer' : `reject: ${REJECT_REASONS[bad.expected]}`;
  const problems =
    wrong > 0 ? [`${wrong} of ${answers.length} bad leases got something else than "${expected}"`] : [];
  return {
    ok: problems.length === 0,
    problems,
    kind: bad.kind,
    expected,
    presented: answers.length,
    accepted: count(ACCEPTED),
    silent: count(SILENCE),
    rejected: Object.fromEntries(
      REJECT_REASONS.map((name, reason) => [name, count(reason)] as const).filter(([, n]) => n > 0),
    ),
  };
}

const ACCEPTED = -1;
const SILENCE = -2;
/** Long enough for a relay on the same machine or continent. */
const SILENT_MS = 500;
/** An answer that is due may come from a busy machine. */
const ANSWER_MS = 5000;

/** A reject's reason, ACCEPTED or SILENCE. */
async function presentOne(
  bad: BadLease,
  lease: { readonly token: string; readonly addr: string; readonly session_id: string },
  role: Role,
  from: string | undefined,
): Promise<number> {
  const id = sessionIdBytes(lease.session_id);
  const datagram =
    bad.datagram?.(id, ROLE_BYTE[role], lease.token) ??
    leasePresent(id, ROLE_BYTE[role], Buffer.from(lease.token));
  const socket = await openSocket(parseEndpoint(lease.addr), from);
  try {
    const patience = new AbortController();
    let answer = SILENCE;
    socket.on('error', () => {});
    socket.on('message', (message) => {
      const received = emptyReceived();
      readDatagram(message, id, received);
      answer = received.kind === 'ack' ? ACCEPTED : received.reason;
      patience.abort();
    });
    socket.send(datagram);
    await sleep(bad.expected === 'silence' ? SILENT_MS : ANSWER_MS, undefined, {
      signal: patience.signal,
    }).catch(() => {});
    return answer;
  } finally {
    socket.close();
  }
}
