import { writeRecord, readRecord, relayKey, RECORD_BYTES } from '../../../relay/session/record.ts';

export const RELAY_ID = 'relay-of-the-state-tests';

/**
 * A record of session `session` (1, 2, …) whose every part tells `version`, so that a mix of two writes would show.
 */
export function recordOf(session: number, version: number, relayId: string = RELAY_ID): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const sessionId = new Uint8Array(16);
  new DataView(sessionId.buffer).setUint32(12, session);
  const peer = (port: number): { identityHash: Uint8Array; address: Int32Array; issuedAtMs: number } => ({
    identityHash: new Uint8Array(32).fill(version & 0xff),
    address: Int32Array.of(0, 0, 0xffff, 0x0a00_0001 + (version & 0xffff), port, 0),
    issuedAtMs: version,
  });
  const peers = [peer(4000), peer(4001)] as const;
  writeRecord(
    { sessionId, expiresWallMs: 1e12 + version, softKbps: 1000 + version, hardKbps: 1000 + version, peers },
    relayKey(relayId),
    bytes,
    0,
  );
  return bytes;
}

/** Session and version of a record; throws when its parts don't agree. */
export function partsOf(
  record: Uint8Array,
  relayId: string = RELAY_ID,
): { session: number; version: number } {
  const found = readRecord(record, 0, relayId);
  if (!found) throw new Error('the record is not sound');
  const version = found.softKbps - 1000;
  const session = new DataView(found.sessionId.buffer, found.sessionId.byteOffset).getUint32(12);
  const expected = recordOf(session, version, relayId);
  if (Buffer.compare(expected, record) !== 0)
    throw new Error(`session ${session}: two versions in one record`);
  return { session, version };
}
