import type { Socket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';

import type { Role } from '../master/lease.ts';
import type { Endpoint } from './addresses.ts';
import type { Flow } from './flow.ts';
import { bodyIsRight, fillBody, newDatagram } from './payload.ts';
import type { Tally } from './tally.ts';
import type { Received } from './wire.ts';
import {
  ROLE_BYTE,
  TYPE,
  emptyReceived,
  leasePresent,
  leaseRenew,
  readDatagram,
  writeHeader,
  writeTransportHeader,
} from './wire.ts';

export interface PeerEvents {
  readonly onAck: (peer: Peer) => void;
  readonly onReject: (peer: Peer, reason: number) => void;
  readonly onHandshake: (peer: Peer) => void;
}

/** A connected UDP socket towards a relay. Rejects with a hint when the process may not open as many. */
export async function openSocket(relay: Endpoint, from: string | undefined): Promise<Socket> {
  // Larger than the kernel may give: it takes what it has.
  const socket = createSocket({ type: relay.family === 6 ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  try {
    socket.bind({ port: 0, ...(from !== undefined && { address: from }) });
    await once(socket, 'listening');
    socket.connect(relay.port, relay.address);
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    socket.close();
    throw explained(error as NodeJS.ErrnoException, from);
  }
}

/** One end of a session: its socket, what it sends and what it makes of what it gets. */
export class Peer {
  readonly role: Role;
  readonly outgoing: Flow;
  readonly incoming: Flow;
  acked = false;
  /** Reason of the last LEASE_REJECT, 0 without one. */
  rejected = 0;
  readonly #sessionId: Uint8Array;
  readonly #relay: Endpoint;
  readonly #from: string | undefined;
  readonly #tally: Tally;
  readonly #events: PeerEvents;
  #socket!: Socket;
  #waitsSinceRebindMs = 0;
  #closed = false;

  constructor(
    role: Role,
    sessionId: Uint8Array,
    relay: Endpoint,
    from: string | undefined,
    outgoing: Flow,
    incoming: Flow,
    tally: Tally,
    events: PeerEvents,
  ) {
    this.role = role;
    this.#sessionId = sessionId;
    this.#relay = relay;
    this.#from = from;
    this.outgoing = outgoing;
    this.incoming = incoming;
    this.#tally = tally;
    this.#events = events;
  }

  async open(): Promise<void> {
    this.#use(await openSocket(this.#relay, this.#from));
  }

  /** Goes on from a new port, as when a NAT has forgotten the old one: what is sent there is lost. */
  async rebind(): Promise<void> {
    const old = this.#socket;
    const fresh = await openSocket(this.#relay, this.#from);
    if (this.#closed) {
      fresh.close();
      return;
    }
    old.removeAllListeners('message').close();
    this.#tally.rebinds++;
    this.#waitsSinceRebindMs = performance.now();
    this.#use(fresh);
  }

  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  present(token: Uint8Array): void {
    this.#tally.presents++;
    this.#send(leasePresent(this.#sessionId, ROLE_BYTE[this.role], token));
  }

  renew(): void {
    this.#tally.renews++;
    this.#send(leaseRenew(this.#sessionId));
  }

  sendHandshake(): void {
    this.#tally.handshakes++;
    this.#send(this.outgoing.handshake);
  }

  /** Sends the next packet of the flow. `datagram` is scratch space of `newDatagram`; what to use next time comes back. */
  sendNext(datagram: Buffer): Buffer {
    this.#fill(datagram, this.outgoing.nextSequence());
    this.#tally.sent++;
    this.#tally.sentBytes += datagram.length;
    return this.#sendScratch(datagram);
  }

  /** Sends a packet again that was sent before. */
  sendAgain(datagram: Buffer, sequence: number): Buffer {
    this.#fill(datagram, sequence);
    this.#tally.replayed++;
    return this.#sendScratch(datagram);
  }

  #use(socket: Socket): void {
    this.#socket = socket;
    socket.on('message', (datagram) => this.#onDatagram(datagram));
    socket.on('error', () => this.#tally.socketErrors++);
  }

  #fill(datagram: Buffer, sequence: number): void {
    writeHeader(datagram, TYPE.forward, this.#sessionId);
    writeTransportHeader(datagram, this.outgoing.alias, sequence);
    fillBody(datagram, this.outgoing.seed, sequence);
  }

  #sendScratch(datagram: Buffer): Buffer {
    this.#send(datagram);
    // Nearly always the kernel has copied the bytes by now. Where it was busy they are still to be read.
    return this.#socket.getSendQueueCount() === 0 ? datagram : newDatagram(datagram.length);
  }

  #send(datagram: Buffer): void {
    this.#socket.send(datagram, this.#onSent);
  }

  readonly #onSent = (error: Error | null): void => {
    if (error) this.#tally.socketErrors++;
  };

  #onDatagram(datagram: Buffer): void {
    if (this.#waitsSinceRebindMs > 0) this.#recovered();
    readDatagram(datagram, this.#sessionId, RECEIVED);
    switch (RECEIVED.kind) {
      case 'transport':
        this.#onPacket(datagram, RECEIVED.sequence, RECEIVED.alias);
        break;
      case 'handshake':
        if (this.incoming.handshake.equals(datagram)) this.#events.onHandshake(this);
        else this.#tally.corrupted++;
        break;
      case 'ack':
        this.#tally.acks++;
        this.acked = true;
        this.#events.onAck(this);
        break;
      case 'reject':
        this.#tally.countReject(RECEIVED.reason);
        this.rejected = RECEIVED.reason;
        this.#events.onReject(this, RECEIVED.reason);
        break;
      default:
        this.#tally.corrupted++;
    }
  }

  #onPacket(datagram: Buffer, sequence: number, alias: number): void {
    const { incoming } = this;
    const tally = this.#tally;
    // A packet id that was never sent is as wrong as a wrong byte.
    if (
      alias !== incoming.alias ||
      sequence > incoming.sent ||
      !bodyIsRight(datagram, incoming.seed, sequence)
    ) {
      tally.corrupted++;
      return;
    }
    const arrival = incoming.arrivals.accept(sequence);
    if (arrival === 'duplicate') {
      tally.duplicated++;
      return;
    }
    tally.received++;
    tally.receivedBytes += datagram.length;
    if (arrival === 'reordered') tally.reordered++;
    else if (arrival === 'too late') tally.tooLate++;
    const age = incoming.ageMs(sequence);
    if (age >= 0) tally.latency.recordMs(age);
  }

  #recovered(): void {
    const tally = this.#tally;
    tally.rebindsRecovered++;
    tally.slowestRebindMs = Math.max(tally.slowestRebindMs, performance.now() - this.#waitsSinceRebindMs);
    this.#waitsSinceRebindMs = 0;
  }
}

/** One at a time is read, so that a packet costs no object. */
const RECEIVED: Received = emptyReceived();

function explained(error: NodeJS.ErrnoException, from: string | undefined): Error {
  if (error.code === 'EMFILE' || error.code === 'ENFILE') {
    return new Error('too many sockets for this process: raise the limit (ulimit -n) or use fewer sessions');
  }
  if (error.code === 'EADDRNOTAVAIL' && from !== undefined) {
    return new Error(`${from} is not an address of this machine: use --bind with one of its own`);
  }
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'EADDRINUSE') {
    return new Error('no free port left: spread the peers over addresses with --bind 127.10.0.0/16');
  }
  return error;
}
