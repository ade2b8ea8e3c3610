import type { Pipeline } from '../../relay/pipeline/pipeline.ts';
import {
  ADDRESS_PORT,
  ADDRESS_WORDS,
  formatAddress,
  isBroadcast,
  isMulticast,
  isUnspecified,
  sameAddress,
} from '../../relay/protocol/address.ts';
import { HEADER_BYTES, MAX_DATAGRAM, MessageType } from '../../relay/protocol/header.ts';
import { LEASE_ACK_BYTES } from '../../relay/protocol/lease-ack.ts';
import { LEASE_REJECT_BYTES } from '../../relay/protocol/lease-reject.ts';
import type { SessionRecord } from '../../relay/session/record.ts';

/** To whom a pipeline may send what. Every method throws when it sends anything else. */
export class PipelineOracle {
  /** Folds every verdict and answer: equal traces are equal behaviour. */
  trace = 0;
  /** Session and address that the relay has reason to send to. */
  readonly #accepted = new Set<string>();
  /** Session and address that asked for that. */
  readonly #presented = new Set<string>();

  fold(value: number): void {
    this.trace = (Math.imul(this.trace, 31) + value) | 0;
  }

  /** A LEASE_PRESENT from `source` waits to be verified. */
  presented(datagram: Uint8Array, source: Int32Array): void {
    this.#presented.add(keyOf(datagram, source, 0));
  }

  /** A session was taken from its record. */
  restored({ sessionId, peers }: SessionRecord): void {
    const header = new Uint8Array(HEADER_BYTES);
    header.set(sessionId, 4);
    for (const peer of peers) if (peer) this.#accepted.add(keyOf(header, peer.address, 0));
  }

  /** Verdict Forward for a datagram that came from `source`. */
  judgeForward(pipeline: Pipeline, datagram: Uint8Array, source: Int32Array): void {
    const { destinations, destinationBase } = pipeline;
    const key = keyOf(datagram, destinations, destinationBase);
    this.fold(destinations[destinationBase + 3]!);
    this.fold(destinations[destinationBase + ADDRESS_PORT]!);
    if (datagram.length > MAX_DATAGRAM) throw new Error(`${datagram.length} bytes were forwarded`);
    if (!this.#accepted.has(key)) throw new Error(`forwarded to somebody who never came: ${key}`);
    if (sameAddress(destinations, destinationBase, source, 0)) {
      throw new Error(`sent back to where it came from: ${key}`);
    }
    judgeDestination(destinations, destinationBase);
    // It may have been moved here by this very packet.
    this.#accepted.add(keyOf(datagram, source, 0));
  }

  /** Verdict Reply for a datagram that came from `source`. */
  judgeReply({ reply, replyLength }: Pipeline, datagram: Uint8Array, source: Int32Array): void {
    const renew = datagram[2] === MessageType.LeaseRenew;
    this.fold(replyLength);
    for (let i = 0; i < replyLength; i++) this.fold(reply[i]!);
    judgeDestination(source, 0);
    if (replyLength > datagram.length && !renew) {
      throw new Error(`${datagram.length} bytes were answered with ${replyLength}`);
    }
    for (let i = 4; i < HEADER_BYTES; i++) {
      if (reply[i] !== datagram[i]) throw new Error('answered for another session');
    }
    if (reply[2] === MessageType.LeaseAck) {
      const key = keyOf(datagram, source, 0);
      if (replyLength !== LEASE_ACK_BYTES) throw new Error(`a LEASE_ACK of ${replyLength} bytes`);
      if (renew && !this.#accepted.has(key)) throw new Error(`a renewal was granted to a stranger: ${key}`);
      this.#accepted.add(key);
    } else if (reply[2] !== MessageType.LeaseReject || replyLength !== LEASE_REJECT_BYTES) {
      throw new Error(`an answer of type ${reply[2]} and ${replyLength} bytes`);
    }
  }

  /** An acknowledgement that had to wait. */
  judgeDue({ reply, destinations, destinationBase }: Pipeline): void {
    const key = keyOf(reply, destinations, destinationBase);
    if (reply[2] !== MessageType.LeaseAck) throw new Error(`takeDue gave type ${reply[2]}`);
    if (!this.#presented.has(key)) throw new Error(`acknowledged to somebody who never asked: ${key}`);
    this.#accepted.add(key);
  }
}

function judgeDestination(address: Int32Array, base: number): void {
  if (
    address[base + ADDRESS_PORT] === 0 ||
    isUnspecified(address, base) ||
    isMulticast(address, base) ||
    isBroadcast(address, base)
  ) {
    throw new Error(`sent to ${formatAddress(address, base)}, which can be nobody's address`);
  }
}

/** The session named in a header and an address. */
function keyOf(datagram: Uint8Array, address: Int32Array, base: number): string {
  let key = '';
  for (let i = 4; i < HEADER_BYTES; i++) key += datagram[i]!.toString(16).padStart(2, '0');
  for (let i = 0; i < ADDRESS_WORDS; i++) key += `,${address[base + i]!}`;
  return key;
}
