import type { Socket } from 'node:dgram';
import { randomBytes, randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';

import type { Endpoint } from './addresses.ts';
import { openSocket } from './peer.ts';
import { Schedule } from './schedule.ts';
import {
  MAX_DATAGRAM,
  TRANSPORT_OVERHEAD,
  TYPE,
  leasePresent,
  writeHeader,
  writeTransportHeader,
} from './wire.ts';

export type FloodKind = (typeof FLOOD_KINDS)[number];
export const FLOOD_KINDS = ['leases', 'forward', 'garbage'] as const;

export interface FloodOptions {
  readonly kind: FloodKind;
  readonly relay: Endpoint;
  /** Packets a second, all addresses together. */
  readonly rate: number;
  /** The address of each socket to send from; undefined leaves it to the system. */
  readonly from: readonly (string | undefined)[];
}

export interface FloodCount {
  readonly sent: number;
  readonly sentBytes: number;
  /** What came back, that the relay should have kept small. */
  readonly answers: number;
  readonly answerBytes: number;
  readonly skipped: number;
}

/** Packets from strangers, as fast as asked for. Meant for a thread of its own: see flood-thread.ts. */
export class Flood {
  readonly #sockets: readonly Socket[];
  readonly #schedule: Schedule;
  readonly #packets: readonly Buffer[];
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  #sentBytes = 0;
  #answers = 0;
  #answerBytes = 0;

  private constructor(options: FloodOptions, sockets: readonly Socket[]) {
    this.#sockets = sockets;
    this.#schedule = new Schedule(sockets.length, options.rate / sockets.length, 1, performance.now());
    this.#packets = Array.from({ length: PACKETS }, () => makeFloodPacket(options.kind));
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.on('message', (answer) => {
        this.#answers++;
        this.#answerBytes += answer.length;
      });
    }
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  static async start(options: FloodOptions): Promise<Flood> {
    const sockets: Socket[] = [];
    try {
      for (const from of options.from) sockets.push(await openSocket(options.relay, from));
    } catch (error) {
      for (const socket of sockets) socket.close();
      throw error;
    }
    return new Flood(options, sockets);
  }

  count(): FloodCount {
    return {
      sent: this.#sent,
      sentBytes: this.#sentBytes,
      answers: this.#answers,
      answerBytes: this.#answerBytes,
      skipped: this.#schedule.skipped,
    };
  }

  stop(): FloodCount {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.close();
    return this.count();
  }

  #tick(): void {
    const now = performance.now();
    for (let at = this.#schedule.due(now); at >= 0; at = this.#schedule.due(now)) {
      const packet = this.#packets[this.#sent % PACKETS]!;
      this.#sockets[at]!.send(packet);
      this.#sent++;
      this.#sentBytes += packet.length;
    }
  }
}

/** One packet of a flood, of random content. */
export function makeFloodPacket(kind: FloodKind): Buffer {
  switch (kind) {
    case 'leases':
      // As long as a real lease, and refused by nothing but its signature.
      return leasePresent(
        randomBytes(16),
        randomInt(2),
        Buffer.from(`v4.public.${randomBytes(560).toString('base64url')}`),
      );
    case 'forward': {
      const packet = randomBytes(randomInt(TRANSPORT_OVERHEAD, MAX_DATAGRAM + 1));
      writeHeader(packet, TYPE.forward, randomBytes(16));
      writeTransportHeader(packet, randomInt(1, 2 ** 32), randomInt(2 ** 47));
      return packet;
    }
    default:
      return randomBytes(randomInt(1, MAX_DATAGRAM + 1));
  }
}

/** Different packets, made beforehand and sent in turn. */
const PACKETS = 4096;
