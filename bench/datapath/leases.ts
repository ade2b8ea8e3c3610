import { randomBytes } from 'node:crypto';

import type { MasterKey } from '../../local/master/keys.ts';
import { generateKey } from '../../local/master/keys.ts';
import { issueLease } from '../../local/master/lease.ts';
import { leasePresentDatagram } from '../../relay/protocol/lease-present.ts';
import { Role, roleClaim } from '../../relay/protocol/role.ts';
import { formatSessionId } from '../../relay/protocol/session-id.ts';
import { sessionIdOf } from './sessions.ts';

/** Of the leases, so of the relay's hard limit for each session; bench/c/forwarding.h has the same: never reached. */
const LIMIT_KBPS = 4_000_000;
/** The longest that the wire reference allows, less what starting takes. */
const LEASE_SECONDS = 3500;

/** What bench/c/leases.h calls LEASE_BAD and LEASE_BAD_INVENTED. */
const KIND_BAD = 2;
const KIND_BAD_INVENTED = 3;

/** Genuine leases of both peers of `sessions` sessions, in the format of bench/c/leases.h. `unixNs`: time of issue. */
export function peerLeases(sessions: number, relayId: string, key: MasterKey, unixNs: bigint): Buffer {
  const records: Uint8Array[] = [];
  for (let index = 0; index < sessions; index++) {
    for (const role of [Role.Client, Role.Server]) {
      const datagram = lease(index, role, relayId, key, unixNs);
      records.push(recordHead(role, index, datagram.length), datagram);
    }
  }
  return Buffer.concat(records);
}

/**
 * Leases that no relay may accept: half of them signed by somebody else, half of them random characters, each of the
 * size of a genuine one; half of them name a session that exists, the others get an invented id whenever they are sent.
 */
export function badLeases(count: number, sessions: number, relayId: string, unixNs: bigint): Buffer {
  const forger = generateKey();
  const records: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const session = Math.floor(i / 4) % sessions;
    const role = i % 8 < 4 ? Role.Client : Role.Server;
    let datagram = lease(session, role, relayId, forger, unixNs);
    if (i % 2 === 1) datagram = garbage(session, role, datagram.length);
    const kind = i % 4 < 2 ? KIND_BAD : KIND_BAD_INVENTED;
    records.push(recordHead(kind, session, datagram.length), datagram);
  }
  return Buffer.concat(records);
}

function lease(index: number, role: Role, relayId: string, key: MasterKey, unixNs: bigint): Uint8Array {
  const id = sessionIdOf(index);
  const token = issueLease(
    {
      identity: `bench-${roleClaim(role)}-${index}`,
      sessionId: formatSessionId(id, 0),
      role: roleClaim(role),
      relayId,
      leaseSeconds: LEASE_SECONDS,
      softKbps: LIMIT_KBPS,
      hardKbps: LIMIT_KBPS,
    },
    key,
    unixNs,
  );
  return leasePresentDatagram(id, role, token);
}

function garbage(index: number, role: Role, length: number): Uint8Array {
  const token = 'v4.public.' + randomBytes(length).toString('base64url');
  return leasePresentDatagram(sessionIdOf(index), role, token.slice(0, length - 20 - 3));
}

/** kind u8 · session index u32 · length u16. */
function recordHead(kind: number, session: number, length: number): Uint8Array {
  const head = Buffer.alloc(7);
  head.writeUInt8(kind, 0);
  head.writeUInt32BE(session, 1);
  head.writeUInt16BE(length, 5);
  return head;
}
