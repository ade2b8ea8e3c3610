/** A session as the state file keeps it (design-relay 6, "State directory"). All zeros is a free place, not a record. */
export const RECORD_BYTES = 256;
export const RECORD_SESSION_ID_OFFSET = 8;

/** `free`: all zeros. `corrupt`: wrong magic, format version or checksum. Says nothing about whether it has expired. */
export type RecordState = 'sound' | 'free' | 'corrupt' | 'other-relay';

export function checkRecord(bytes: Uint8Array, offset: number, relayId: string): RecordState {
  throw new Error(`not built yet ${bytes.length + offset} ${relayId}`);
}
