import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

/**
 * Hands every connection accepted at one place on to another: a TCP port of the machine to a unix socket, and that
 * unix socket to a TCP port inside the cluster's network namespace. (A unix socket is found by its path, whatever the
 * network namespace.)
 */
export class ByteRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: NetConnectOpts) {
    this.#server = createServer({ allowHalfOpen: true }, (from) => {
      const to = connect({ ...target, allowHalfOpen: true } as NetConnectOpts);
      this.#join(from, to);
      this.#join(to, from);
    });
  }

  async listen(where: { path: string } | { host: string; port: number }): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(where, resolve);
    });
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true);
    from.pipe(to);
    from.once('error', () => to.destroy());
    from.once('close', () => {
      this.#sockets.delete(from);
      if (!from.readableEnded) to.destroy();
    });
  }
}
