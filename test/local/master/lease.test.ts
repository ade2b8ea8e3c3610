import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyAsync } from '@noble/ed25519';
import * as fc from 'fast-check';

import { generateKey, loadOrCreateKey, publicKeyHex, readKeyFile } from '../../../local/master/keys.ts';
import type { LeaseTerms } from '../../../local/master/lease.ts';
import { issueLease, leaseClaims, rfc3339 } from '../../../local/master/lease.ts';
import { preAuthenticationEncoding, signV4Public } from '../../../local/master/paseto.ts';

const TERMS: LeaseTerms = {
  identity: 'alice',
  sessionId: '550e8400-e29b-41d4-a716-446655440000',
  role: 'client',
  relayId: 'relay-1',
  leaseSeconds: 900,
  softKbps: 50_000,
  hardKbps: 100_000,
};
const NOW_NS = BigInt(Date.parse('2026-02-13T10:00:00Z')) * 1_000_000n + 123_456_789n;

test('the encoding that is signed is that of the PASETO specification', () => {
  const pae = (...pieces: string[]): string =>
    preAuthenticationEncoding(pieces.map((piece) => Buffer.from(piece))).toString('hex');
  assert.equal(pae(), '0000000000000000');
  assert.equal(pae(''), '01000000000000000000000000000000');
  assert.equal(pae('test'), '0100000000000000040000000000000074657374');
});

test('another implementation of Ed25519 accepts the tokens', async () => {
  const key = generateKey();
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string(), async (message, footer) => {
      const parts = signV4Public(message, key.privateKey, footer).split('.');
      assert.deepEqual(parts.slice(0, 2), ['v4', 'public']);
      assert.equal(parts[3] ?? '', Buffer.from(footer).toString('base64url'));
      const body = Buffer.from(parts[2]!, 'base64url');
      const signed = body.subarray(0, -64);
      assert.deepEqual(signed, Buffer.from(message));
      const pae = preAuthenticationEncoding([
        Buffer.from('v4.public.'),
        signed,
        Buffer.from(footer),
        Buffer.alloc(0),
      ]);
      assert.ok(await verifyAsync(body.subarray(-64), pae, key.publicKey, { zip215: false }));
    }),
    { numRuns: 20 },
  );
});

test('a lease has every claim that relays ask for', () => {
  assert.deepEqual(leaseClaims(TERMS, 'k0123456789abcdef', NOW_NS), {
    iat: '2026-02-13T10:00:00Z',
    nbf: '2026-02-13T10:00:00Z',
    exp: '2026-02-13T11:00:00Z',
    sub: 'alice',
    wavry_id: 'alice',
    sid: '550e8400-e29b-41d4-a716-446655440000',
    role: 'client',
    rid: 'relay-1',
    kid: 'k0123456789abcdef',
    iat_rfc3339: '2026-02-13T10:00:00.123456789+00:00',
    nbf_rfc3339: '2026-02-13T09:59:55.123456789+00:00',
    exp_rfc3339: '2026-02-13T10:15:00.123456789+00:00',
    slimit: 50_000,
    hlimit: 100_000,
  });
});

test('claims can be replaced or left out for tests of bad leases', () => {
  const token = issueLease(TERMS, generateKey(), NOW_NS, { rid: undefined, role: 'server' });
  const payload = Buffer.from(token.split('.')[2]!, 'base64url').subarray(0, -64);
  const claims = JSON.parse(payload.toString()) as Record<string, unknown>;
  assert.equal(claims['role'], 'server');
  assert.ok(!('rid' in claims));
});

test('times keep their nanoseconds', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }), (ns) => {
      const text = rfc3339(ns);
      assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/);
      assert.equal(BigInt(Date.parse(`${text.slice(0, 19)}Z`)) * 1_000_000n + BigInt(text.slice(20, 29)), ns);
    }),
  );
});

test('a key file is made once, private, and read again', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-master-key-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'master.pem');
  const made = loadOrCreateKey(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(publicKeyHex(loadOrCreateKey(path)), publicKeyHex(made));
  assert.equal(made.keyId, `k${publicKeyHex(made).slice(0, 16)}`);
  writeFileSync(path, 'nonsense');
  assert.throws(() => readKeyFile(path), new RegExp(`^Error: ${path}: not a readable PEM private key`));
});
