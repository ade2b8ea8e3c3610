import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';

import { KubeConfig } from '@kubernetes/client-node';

/** What may happen to a request on its way. */
export type Fault =
  /** 429 with Retry-After: 1, as priority and fairness answers. */
  | 'overloaded'
  /** 409, as if somebody else had been faster. */
  | 'conflict'
  /** 410: the resourceVersion is too old. */
  | 'expired'
  /** 503 without any hint. */
  | 'unavailable'
  /** The connection breaks before the request is passed on. */
  | 'lost request'
  /** It is carried out, and the connection breaks before the answer. */
  | 'lost answer';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly atMs: number;
}

/**
 * Between one client and the API server, as administrator: counts what passes, and spoils what it is told to.
 * Speaks plain HTTP to its client.
 */
export class FaultProxy {
  readonly seen: SeenRequest[] = [];
  /** Asked for each request. */
  judge: (seen: SeenRequest & { readonly watch: boolean }) => Fault | undefined = () => undefined;
  readonly #upstream: string;
  readonly #agent: Agent;
  readonly #server: Server;
  readonly #watches = new Set<ServerResponse>();

  private constructor(kubeconfig: string) {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const cluster = config.getCurrentCluster()!;
    const user = config.getCurrentUser()!;
    const bytes = (data: string | undefined, file: string | undefined): Buffer =>
      data === undefined ? readFileSync(file!) : Buffer.from(data, 'base64');
    this.#upstream = cluster.server;
    this.#agent = new Agent({
      keepAlive: true,
      ca: bytes(cluster.caData, cluster.caFile),
      cert: bytes(user.certData, user.certFile),
      key: bytes(user.keyData, user.keyFile),
    });
    this.#server = createServer((incoming, outgoing) => this.#handle(incoming, outgoing));
  }

  static async start(kubeconfig: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(kubeconfig);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** Writes a kubeconfig for clients that go through here. */
  writeKubeconfig(file: string): void {
    const { port } = this.#server.address() as AddressInfo;
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'proxy',
      clusters: [
        { name: 'proxy', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } },
      ],
      users: [{ name: 'proxy', user: {} }],
      contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy', namespace: 'default' } }],
    };
    writeFileSync(file, JSON.stringify(kubeconfig));
  }

  /** Breaks every watch that is open, in the middle. */
  cutWatches(): number {
    const cut = this.#watches.size;
    for (const watch of this.#watches) watch.destroy();
    return cut;
  }

  /** Requests that write, but for those of the leader's Lease. */
  get writes(): SeenRequest[] {
    return this.seen.filter(({ method, path }) => method !== 'GET' && !path.includes('/leases'));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#agent.destroy();
  }

  #handle(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const seen = { method: incoming.method ?? '', path: incoming.url ?? '', atMs: performance.now() };
    this.seen.push(seen);
    const watch = seen.path.includes('watch=true');
    const fault = this.judge({ ...seen, watch });
    const answer = ANSWERS[fault ?? ''];
    if (answer) {
      incoming.resume();
      outgoing.writeHead(answer.code, { 'content-type': 'application/json', ...answer.headers });
      outgoing.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', ...answer }));
      return;
    }
    if (fault === 'lost request') {
      outgoing.destroy();
      return;
    }
    if (watch) {
      this.#watches.add(outgoing);
      outgoing.once('close', () => this.#watches.delete(outgoing));
    }
    const upstream = request(
      this.#upstream + seen.path,
      {
        method: seen.method,
        agent: this.#agent,
        headers: { ...incoming.headers, host: new URL(this.#upstream).host },
      },
      (response) => {
        if (fault === 'lost answer') {
          response.resume();
          response.once('end', () => outgoing.destroy());
          return;
        }
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        // A watch begins long before its first event.
        outgoing.flushHeaders();
        response.pipe(outgoing);
        response.once('close', () => {
          if (!response.complete) outgoing.destroy();
        });
        response.once('error', () => outgoing.destroy());
      },
    );
    upstream.once('error', () => outgoing.destroy());
    // After a whole answer the connection serves the next request.
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) upstream.destroy();
    });
    incoming.pipe(upstream);
  }
}

const ANSWERS: Readonly<
  Record<
    string,
    { code: number; reason: string; message: string; headers?: Record<string, string> } | undefined
  >
> = {
  overloaded: {
    code: 429,
    reason: 'TooManyRequests',
    message: 'the server has received too many requests',
    headers: { 'retry-after': '1' },
  },
  conflict: { code: 409, reason: 'Conflict', message: 'the object has been modified' },
  expired: { code: 410, reason: 'Expired', message: 'too old resource version' },
  unavailable: { code: 503, reason: 'ServiceUnavailable', message: 'apiserver is shutting down' },
};
