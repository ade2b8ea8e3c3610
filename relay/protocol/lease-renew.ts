import { HEADER_BYTES, MessageType, writeHeader } from './header.ts';

/**
 * A whole LEASE_RENEW datagram, as a peer sends it.
 *
 * LEASE_RENEW has no payload: session id and source address alone say which peer renews (wire reference 1).
 * Bytes behind the header are ignored, as they are behind a LEASE_PRESENT's token.
 */
export function leaseRenewDatagram(sessionId: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(HEADER_BYTES);
  writeHeader(datagram, 0, MessageType.LeaseRenew, sessionId, 0);
  return datagram;
}
