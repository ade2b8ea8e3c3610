import { randomFillSync } from 'node:crypto';
import type { SocketAddress } from '../config/config.ts';
import { HandOver } from './hand-over.ts';
import { loadLibc, SHUT_RD, type Libc } from './libc.ts';
import { COOKIE_WORDS } from './nudge.ts';
import { probe, type Probed } from './probe.ts';
import { SocketOptions } from './socket-options.ts';
import type { SocketSource } from './socket-source.ts';
import { openSockets, type OpenSockets } from './sockets.ts';
import type { MmsgSocket } from './worker-setup.ts';

/** Sockets for recvmmsg and sendmmsg, one for each worker. */
export class MmsgSockets implements SocketSource {
  readonly kind = 'mmsg';
  readonly #libc: Libc;
  readonly #probed: Probed;
  readonly #options: SocketOptions;
  readonly #drops: number[] = [];
  #open: OpenSockets = { fds: [], address: { host: '', port: 0, family: 4 }, bufferBytes: 0 };
  #coalescing = false;
  #others: MmsgSocket['others'];

  /** Throws where these calls don't work. */
  static probe(): MmsgSockets {
    const libc = loadLibc();
    return new MmsgSockets(libc, probe(libc));
  }

  private constructor(libc: Libc, probed: Probed) {
    this.#libc = libc;
    this.#probed = probed;
    this.#options = new SocketOptions(libc);
  }

  get workers(): number {
    return this.#open.fds.length;
  }
  get address(): SocketAddress {
    return this.#open.address;
  }
  get bufferBytes(): number {
    return this.#open.bufferBytes;
  }

  get description(): string {
    return `recvmmsg and sendmmsg (UDP_GRO ${yesNo(this.#coalescing)}, UDP_SEGMENT ${yesNo(this.#probed.segmenting)})`;
  }

  open(listen: SocketAddress, workers: number, allOfThem: boolean): void {
    this.#open = openSockets(this.#libc, listen, workers, allOfThem);
    this.#coalescing = this.#probed.coalescing && this.#open.fds.every((fd) => this.#options.coalesce(fd));
    if (this.workers > 1) {
      this.#others = {
        rings: HandOver.allocate(this.workers),
        cookie: randomFillSync(new Int32Array(COOKIE_WORDS)),
      };
    }
  }

  bound(): void {}

  socket(index: number): MmsgSocket {
    return {
      kind: 'mmsg',
      fd: this.#open.fds[index]!,
      bound: this.#open.address,
      coalescing: this.#coalescing,
      segmenting: this.#probed.segmenting,
      others: this.#others,
    };
  }

  /** The kernel's counters have 32 bits; what they grew by is added up. */
  drops(): number {
    let total = 0;
    for (const [i, fd] of this.#open.fds.entries()) {
      const before = this.#drops[i] ?? 0;
      this.#drops[i] = before + ((this.#options.drops(fd) - before) >>> 0);
      total += this.#drops[i];
    }
    return total;
  }

  wake(): void {
    for (const fd of this.#open.fds) this.#libc.shutdown(fd, SHUT_RD);
  }

  close(): void {
    for (const fd of this.#open.fds) this.#libc.close(fd);
    this.#open = { ...this.#open, fds: [] };
  }
}

function yesNo(is: boolean): string {
  return is ? 'yes' : 'no';
}
