import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DevMaster } from '../../../local/master/dev-master.ts';
import { generateKey, publicKeyHex } from '../../../local/master/keys.ts';
import { BAD_LEASES } from '../../../local/peers/bad-leases.ts';
import { FLOOD_KINDS, makeFloodPacket } from '../../../local/peers/flood.ts';
import { leasePresent, sessionIdBytes } from '../../../local/peers/wire.ts';
import { KeyRing, newKeyRing } from '../../../relay/lease/key-ring.ts';
import { LEASE_REFUSALS } from '../../../relay/lease/lease-problem.ts';
import { verifyLease } from '../../../relay/lease/verify-lease.ts';
import { HEADER_BYTES } from '../../../relay/protocol/header.ts';
import {
  LEASE_PRESENT_ROLE,
  LEASE_PRESENT_TOKEN_LENGTH,
  LEASE_PRESENT_TOKEN_OFFSET,
  LEASE_PRESENT_WORDS,
  LeasePresentProblem,
  parseLeasePresent,
} from '../../../relay/protocol/lease-present.ts';

const NOW_MS = Date.parse('2026-02-13T10:00:00Z');
const key = generateKey();
const keyRing = new KeyRing(newKeyRing([{ hex: publicKeyHex(key), kid: key.keyId }]));

function makeMaster(): DevMaster {
  const master = new DevMaster(key, 900, {
    monotonicMs: () => 0,
    unixNs: () => BigInt(NOW_MS) * 1_000_000n + 123_456_789n,
  });
  master.register({ relay_id: 'relay-1', endpoints: ['192.0.2.1:4000'] }, 20_000);
  return master;
}

/** What relay/lease says of a LEASE_PRESENT: a reject's reason, silence, or that it takes it. */
function verdict(datagram: Buffer): number | 'silence' | 'accepted' {
  const words = new Int32Array(LEASE_PRESENT_WORDS);
  const problem = parseLeasePresent(datagram, HEADER_BYTES, datagram.length - HEADER_BYTES, words);
  if (problem === LeasePresentProblem.EmptyToken) return LEASE_REFUSALS['empty-token'].reply!;
  if (problem !== LeasePresentProblem.None) return 'silence';
  const start = words[LEASE_PRESENT_TOKEN_OFFSET]!;
  const token = datagram.subarray(start, start + words[LEASE_PRESENT_TOKEN_LENGTH]!);
  const role = words[LEASE_PRESENT_ROLE] as 0 | 1;
  const result = verifyLease(token, datagram.subarray(4, 20), role, {
    relayId: 'relay-1',
    keyRing,
    nowMs: NOW_MS,
  });
  return 'lease' in result ? 'accepted' : (LEASE_REFUSALS[result.problem].reply ?? 'silence');
}

test("the relay takes Master's leases", () => {
  const session = makeMaster().session();
  assert.ok('client' in session);
  const id = sessionIdBytes(session.client.session_id);
  assert.equal(verdict(leasePresent(id, 0, Buffer.from(session.client.token))), 'accepted');
  assert.equal(verdict(leasePresent(id, 1, Buffer.from(session.server.token))), 'accepted');
});

for (const bad of BAD_LEASES) {
  test(`a bad lease (${bad.kind}: ${bad.what}) gets what the wire reference says`, () => {
    const session = makeMaster().session({ ...(bad.claims && { claims: { ...bad.claims(NOW_MS) } }) });
    assert.ok('client' in session);
    const id = sessionIdBytes(session.client.session_id);
    for (const [role, { token }] of [session.client, session.server].entries()) {
      const datagram = bad.datagram?.(id, role, token) ?? leasePresent(id, role, Buffer.from(token));
      assert.equal(verdict(datagram), bad.expected);
    }
  });
}

test('flood packets are what they claim to be', () => {
  for (const kind of FLOOD_KINDS) {
    for (let i = 0; i < 200; i++) {
      const packet = makeFloodPacket(kind);
      assert.ok(packet.length > 0 && packet.length <= 1500);
      if (kind === 'leases') assert.equal(verdict(packet), 2);
    }
  }
});
