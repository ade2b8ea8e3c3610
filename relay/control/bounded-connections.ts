import type { RequestListener, Server } from 'node:http';
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ConnectionLimits {
  readonly connections: number;
  /** Requests of one connection that wait for their answers: whoever asks on without reading is cut off. */
  readonly unanswered: number;
  /** How long a connection may do nothing while it has something to do. */
  readonly stuckMs: number;
}

const CLOSE_WITHIN_MS = 2000;

/**
 * The connections of a server that strangers may reach. Beyond the bound the one that has waited longest for its client
 * gives way to the newcomer, and where all have answers under way the one whose last request is oldest: neither hoarded
 * connections nor answers that nobody reads keep a probe out.
 */
export class BoundedConnections {
  readonly #server: Server;
  /** The one whose last request is oldest first. */
  readonly #open = new Set<Socket>();
  /** Those with answers under way, and how many. */
  readonly #busy = new Map<Socket, number>();

  constructor(server: Server, app: RequestListener, limits: ConnectionLimits) {
    this.#server = server;
    server.timeout = limits.stuckMs;
    server.on('connection', (socket: Socket) => {
      if (this.#open.size >= limits.connections) this.#makeRoom();
      this.#open.add(socket);
      socket.once('close', () => {
        this.#open.delete(socket);
        this.#busy.delete(socket);
      });
    });
    server.on('request', (request, response) => {
      const { socket } = request;
      const unanswered = (this.#busy.get(socket) ?? 0) + 1;
      if (unanswered > limits.unanswered) {
        socket.destroy();
        return;
      }
      this.#open.delete(socket);
      this.#open.add(socket);
      this.#busy.set(socket, unanswered);
      response.once('close', () => this.#answered(socket));
      app(request, response);
    });
  }

  /** Takes no more connections and waits for the answers under way, 2 s at most. */
  async close(): Promise<void> {
    const deadline = performance.now() + CLOSE_WITHIN_MS;
    this.#server.close();
    while (this.#open.size > 0 && performance.now() < deadline) {
      for (const socket of this.#open) if (!this.#busy.has(socket)) socket.destroy();
      await sleep(10);
    }
    this.#server.closeAllConnections();
  }

  #makeRoom(): void {
    const [oldest] = this.#open;
    ([...this.#open].find((socket) => !this.#busy.has(socket)) ?? oldest)?.destroy();
  }

  #answered(socket: Socket): void {
    const left = (this.#busy.get(socket) ?? 1) - 1;
    if (left > 0) this.#busy.set(socket, left);
    else this.#busy.delete(socket);
  }
}
