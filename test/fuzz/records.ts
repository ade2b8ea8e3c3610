import { crc32 } from 'node:zlib';

import { RECORD_BYTES, relayKey, writeRecord } from '../../relay/session/record.ts';
import { RELAY_ID } from './cast.ts';
import type { Random } from './random.ts';

/** A record that is whole, if perhaps not of a session that any relay would keep. */
export function anyRecord(random: Random, wallMs: number): Uint8Array {
  const peer = (): { identityHash: Uint8Array; address: Int32Array; issuedAtMs: number | undefined } => ({
    identityHash: random.noise(32),
    address: random.oneIn(4)
      ? Int32Array.from({ length: 6 }, () => random.u32())
      : Int32Array.of(0, 0, 0xffff, 0xc000_0200 | random.below(256), random.below(65_536), 0),
    issuedAtMs: random.oneIn(3) ? undefined : wallMs - random.below(1e6),
  });
  const bytes = new Uint8Array(RECORD_BYTES);
  const kind = random.below(4);
  writeRecord(
    {
      sessionId: random.oneIn(20) ? new Uint8Array(16) : random.noise(16),
      expiresWallMs: random.oneIn(8)
        ? random.pick([Number.NaN, Infinity, -Infinity, 0, 1e300])
        : wallMs + random.between(-10_000, 3_700_000),
      softKbps: random.oneIn(8) ? random.u32() : 1000,
      hardKbps: random.oneIn(8) ? random.u32() : 50_000,
      peers: [kind === 1 ? undefined : peer(), kind === 2 ? undefined : peer()],
    },
    relayKey(random.oneIn(10) ? 'another relay' : RELAY_ID),
    bytes,
    0,
  );
  return bytes;
}

/** Anybody who may write the file can write a checksum, too. */
export function withChecksum(record: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  bytes.set(record.subarray(0, RECORD_BYTES));
  new DataView(bytes.buffer).setUint32(RECORD_BYTES - 4, crc32(bytes.subarray(0, RECORD_BYTES - 4)));
  return bytes;
}
