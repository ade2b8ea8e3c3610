import { HEADER_BYTES, MessageType, SESSION_ID_OFFSET, writeHeader } from '../protocol/header.ts';
import { LEASE_ACK_BYTES, writeLeaseAck } from '../protocol/lease-ack.ts';
import { LEASE_REJECT_BYTES, writeLeaseReject } from '../protocol/lease-reject.ts';
import type { RejectReason } from '../protocol/lease-reject.ts';

/** The one datagram that the relay may answer with; overwritten by the next. */
export class Answer {
  readonly bytes: Uint8Array = new Uint8Array(LEASE_ACK_BYTES);
  length = 0;

  /** The session id is that of the datagram at `offset`. */
  reject(datagram: Uint8Array, offset: number, reason: RejectReason): void {
    writeHeader(this.bytes, 0, MessageType.LeaseReject, datagram, offset + SESSION_ID_OFFSET);
    writeLeaseReject(this.bytes, HEADER_BYTES, reason);
    this.length = LEASE_REJECT_BYTES;
  }

  /** The session id is the 16 bytes of `id` at `idOffset`; `expiresWallMs` Unix milliseconds. */
  ack(id: Uint8Array, idOffset: number, expiresWallMs: number, softKbps: number, hardKbps: number): void {
    writeHeader(this.bytes, 0, MessageType.LeaseAck, id, idOffset);
    writeLeaseAck(this.bytes, HEADER_BYTES, expiresWallMs, softKbps, hardKbps);
    this.length = LEASE_ACK_BYTES;
  }
}
