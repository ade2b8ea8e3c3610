import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import {
  checkRecord,
  readRecord,
  RECORD_BYTES,
  RECORD_SESSION_ID_OFFSET,
  relayKey,
  writeRecord,
} from '../../../relay/session/record.ts';
import type { SessionRecord } from '../../../relay/session/record.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

const peer = (last: number): fc.Arbitrary<SessionRecord['peers'][0]> =>
  fc
    .record({
      identityHash: bytes(32),
      address: fc
        .tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer({ min: 1, max: 65_535 }), fc.integer())
        .map(([a, b, c, port, scope]) => Int32Array.of(0x2000_0000 | (a >>> 4), b, c, last, port, scope)),
      issuedAtMs: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }), { nil: undefined }),
    })
    .map((fields) => ({ ...fields }));

const record: fc.Arbitrary<SessionRecord> = fc
  .record({
    sessionId: bytes(16).filter((id) => id.some((byte) => byte !== 0)),
    expiresWallMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
    softKbps: fc.integer({ min: 1, max: 1_000_000 }),
    hardKbps: fc.integer({ min: 1_000_000, max: 0xffff_ffff }),
    client: fc.option(peer(1), { nil: undefined }),
    server: fc.option(peer(2), { nil: undefined }),
  })
  .filter(({ client, server }) => client !== undefined || server !== undefined)
  .map(({ client, server, ...rest }) => ({ ...rest, peers: [client, server] as const }));

test('a record says what was written', () => {
  fc.assert(
    fc.property(record, fc.nat(50), (written, offset) => {
      const file = new Uint8Array(RECORD_BYTES + 60).fill(0xee);
      writeRecord(written, relayKey('relay'), file, offset);
      assert.equal(checkRecord(file, offset, 'relay'), 'sound');
      assert.deepEqual(readRecord(file, offset, 'relay'), written);
      assert.deepEqual(
        file.slice(offset + RECORD_SESSION_ID_OFFSET, offset + RECORD_SESSION_ID_OFFSET + 16),
        written.sessionId,
      );
      assert.ok(file.subarray(0, offset).every((byte) => byte === 0xee));
      assert.ok(file.subarray(offset + RECORD_BYTES).every((byte) => byte === 0xee));
    }),
  );
});

test('any bytes, even with the right magic and checksum, are a possible session or none', () => {
  fc.assert(
    fc.property(bytes(RECORD_BYTES), fc.nat(4), (file, peers) => {
      file.set([0x57, 0x53, 0x45, 0x53, 0, 1, peers, 0]);
      file.set(relayKey('relay'), 24);
      new DataView(file.buffer).setUint32(252, crc32(file.subarray(0, 252)));
      assert.equal(checkRecord(file, 0, 'relay'), 'sound');
      const read = readRecord(file, 0, 'relay');
      if (!read) return;
      assert.ok(Number.isFinite(read.expiresWallMs));
      assert.ok(read.softKbps > 0 && read.hardKbps >= read.softKbps);
      const there = read.peers.filter((one) => one !== undefined);
      assert.ok(there.length > 0);
      for (const one of there) assert.ok(one.address[4]! > 0);
    }),
  );
});
