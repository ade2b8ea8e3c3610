import { readFileSync } from 'node:fs';
import type { SocketAddress } from '../config/config.ts';
import type { SocketSource } from './socket-source.ts';
import type { DgramSocket } from './worker-setup.ts';

/** The one socket of node:dgram, which its worker binds. */
export class DgramSockets implements SocketSource {
  readonly kind = 'dgram';
  readonly workers = 1;
  readonly description = 'node:dgram, one call and one event for each packet';
  readonly #listen: SocketAddress;
  #bound: SocketAddress;
  #bufferBytes = 0;

  constructor(listen: SocketAddress) {
    this.#listen = listen;
    this.#bound = listen;
  }

  get address(): SocketAddress {
    return this.#bound;
  }
  get bufferBytes(): number {
    return this.#bufferBytes;
  }

  open(): void {}

  bound(address: SocketAddress | undefined, bufferBytes: number | undefined): void {
    this.#bound = address ?? this.#listen;
    this.#bufferBytes = bufferBytes ?? 0;
  }

  socket(): DgramSocket {
    return { kind: 'dgram', listen: this.#listen };
  }

  /** Node keeps the descriptor to itself, but Linux lists all sockets; 0 elsewhere. The relay is the port's only holder. */
  drops(): number {
    const file = this.#listen.family === 4 ? '/proc/net/udp' : '/proc/net/udp6';
    let table;
    try {
      table = readFileSync(file, 'latin1');
    } catch {
      return 0;
    }
    const port = `:${this.#bound.port.toString(16).toUpperCase().padStart(4, '0')}`;
    let drops = 0;
    for (const line of table.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(port)) drops += Number(fields.at(-1));
    }
    return drops;
  }

  wake(): void {}

  close(): void {}
}
