import type { Socket } from 'node:dgram';

import type { PeerLease } from '../master/lease.ts';
import { parseEndpoint } from './addresses.ts';
import { openSocket } from './peer.ts';
import { ROLE_BYTE, emptyReceived, leasePresent, readDatagram, sessionIdBytes } from './wire.ts';

export interface Loot {
  presents: number;
  acks: number;
  rejects: number;
  /** Packets of the session that reached the thief. */
  stolenPackets: number;
}

/** Somebody who has copied a peer's token off the wire and presents it from an address of their own, again and again. */
export class Thief {
  readonly loot: Loot = { presents: 0, acks: 0, rejects: 0, stolenPackets: 0 };
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;

  private constructor(socket: Socket, lease: PeerLease) {
    const id = sessionIdBytes(lease.session_id);
    const present = leasePresent(id, ROLE_BYTE.client, Buffer.from(lease.token));
    const received = emptyReceived();
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('message', (message) => {
      readDatagram(message, id, received);
      if (received.kind === 'ack') this.loot.acks++;
      else if (received.kind === 'reject') this.loot.rejects++;
      else this.loot.stolenPackets++;
    });
    this.#timer = setInterval(() => {
      this.loot.presents++;
      socket.send(present);
    }, PRESENT_EVERY_MS);
  }

  /** Starts presenting a copy of a client's lease. `from` should differ from the client's address. */
  static async start(lease: PeerLease, from: string | undefined): Promise<Thief> {
    return new Thief(await openSocket(parseEndpoint(lease.addr), from), lease);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

const PRESENT_EVERY_MS = 200;
