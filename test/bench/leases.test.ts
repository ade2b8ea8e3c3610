import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';

import { badLeases, peerLeases } from '../../bench/datapath/leases.ts';
import { sessionIdOf } from '../../bench/datapath/sessions.ts';
import { generateKey } from '../../local/master/keys.ts';
import { preAuthenticationEncoding } from '../../local/master/paseto.ts';
import {
  LEASE_PRESENT_TOKEN_LENGTH,
  LEASE_PRESENT_TOKEN_OFFSET,
  LEASE_PRESENT_WORDS,
  LeasePresentProblem,
  parseLeasePresent,
} from '../../relay/protocol/lease-present.ts';
import { HEADER_BYTES, HeaderProblem, headerProblem } from '../../relay/protocol/header.ts';

const KEY = generateKey();
const NOW = 1_800_000_000_000_000_000n;

test('session ids differ and are never nil', () => {
  const ids = Array.from({ length: 2000 }, (_, index) => Buffer.from(sessionIdOf(index)).toString('hex'));
  assert.equal(new Set(ids).size, 2000);
  assert.ok(!ids.includes('0'.repeat(32)));
});

test('each session gets a lease for both peers, signed by the key and for its own id', () => {
  const records = split(peerLeases(3, 'relay-1', KEY, NOW));
  assert.deepEqual(
    records.map(({ kind, session }) => [session, kind]),
    [0, 1, 2].flatMap((session) => [
      [session, 0],
      [session, 1],
    ]),
  );
  for (const { session, datagram } of records) {
    assert.equal(headerProblem(datagram, 0, datagram.length), HeaderProblem.None);
    assert.deepEqual(datagram.subarray(4, 20), Buffer.from(sessionIdOf(session)));
    assert.ok(signedBy(KEY, tokenOf(datagram)));
  }
});

test('bad leases look like genuine ones to everything but the signature check', () => {
  const genuine = split(peerLeases(4, 'relay-1', KEY, NOW))[0]!.datagram.length;
  const records = split(badLeases(64, 4, 'relay-1', NOW));
  assert.equal(records.length, 64);
  assert.deepEqual(new Set(records.map(({ kind }) => kind)), new Set([2, 3]));
  for (const { datagram } of records) {
    assert.equal(headerProblem(datagram, 0, datagram.length), HeaderProblem.None);
    assert.ok(Math.abs(datagram.length - genuine) < 40, `${datagram.length} against ${genuine} bytes`);
    assert.ok(!signedBy(KEY, tokenOf(datagram)));
  }
});

interface LeaseRecord {
  readonly kind: number;
  readonly session: number;
  readonly datagram: Buffer;
}

/** What bench/c/leases.h reads. */
function split(file: Buffer): LeaseRecord[] {
  const records: LeaseRecord[] = [];
  let at = 0;
  while (at < file.length) {
    const length = file.readUInt16BE(at + 5);
    const datagram = file.subarray(at + 7, at + 7 + length);
    records.push({ kind: file.readUInt8(at), session: file.readUInt32BE(at + 1), datagram });
    at += 7 + length;
  }
  assert.equal(at, file.length);
  return records;
}

function tokenOf(datagram: Buffer): string {
  const out = new Int32Array(LEASE_PRESENT_WORDS);
  const problem = parseLeasePresent(datagram, HEADER_BYTES, datagram.length - HEADER_BYTES, out);
  assert.equal(problem, LeasePresentProblem.None);
  const start = out[LEASE_PRESENT_TOKEN_OFFSET]!;
  return datagram.toString('latin1', start, start + out[LEASE_PRESENT_TOKEN_LENGTH]!);
}

function signedBy(key: typeof KEY, token: string): boolean {
  const header = 'v4.public.';
  assert.ok(token.startsWith(header));
  const body = Buffer.from(token.slice(header.length), 'base64url');
  const message = preAuthenticationEncoding([
    Buffer.from(header),
    body.subarray(0, -64),
    Buffer.alloc(0),
    Buffer.alloc(0),
  ]);
  return verify(null, message, createPublicKey(key.privateKey), body.subarray(-64));
}
