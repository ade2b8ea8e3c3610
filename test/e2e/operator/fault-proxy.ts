import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { KubeConfig } from '@kubernetes/client-node';

/** What may happen to a request on its way. */
export type Fault =
  /** 429 with Retry-After: 1, as priority and fairness answers. */
  | 'overloaded'
  /** 409, as if somebody else had been faster. */
  | 'conflict'
  /** 410: the resourceVersion is too old. */
  | 'expired'
  /** The same as the first event of a watch. */
  | 'expired event'
  /** 503 without any hint. */
  | 'unavailable'
  /** The connection breaks before the request is passed on. */
  | 'lost request'
  /** It is carried out, and the connection breaks before the answer. */
  | 'lost answer'
  /** Nothing happens, and nothing is ever answered. */
  | 'black hole';

export interface SeenRequest {
  /** `poll`: a relay asked through the API server. `lease`: everything about the leader's Lease. */
  readonly kind: 'watch' | 'read' | 'poll' | 'write' | 'lease';
  readonly method: string;
  readonly path: string;
}

/**
 * Between one client and the API server, as administrator: sees what passes, and spoils what it is told to.
 * Speaks plain HTTP to its client.
 */
export class FaultProxy {
  /** Everything that was to be written, but for the leader's Lease. */
  readonly writes: SeenRequest[] = [];
  /** Asked for each request once it has come as a whole. */
  judge: (seen: SeenRequest) => Fault | undefined = () => undefined;
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
    this.#server = createServer((incoming, outgoing) => {
      this.#handle(incoming, outgoing).catch(() => outgoing.destroy());
    });
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
  cutWatches(): void {
    for (const watch of this.#watches) watch.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    this.#agent.destroy();
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming);
    const seen = describe(incoming.method ?? '', incoming.url ?? '');
    if (seen.kind === 'write') this.writes.push(seen);
    const fault = this.judge(seen);
    const answer = fault === undefined ? undefined : ANSWERS[fault];
    if (answer) {
      outgoing.writeHead(answer.code, { 'content-type': 'application/json', ...answer.headers });
      outgoing.end(JSON.stringify(statusOf(answer)));
    } else if (fault === 'expired event') {
      outgoing.writeHead(200, { 'content-type': 'application/json' });
      outgoing.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(ANSWERS.expired!) })}\n`);
    } else if (fault === 'lost request') {
      outgoing.destroy();
    } else if (fault !== 'black hole') {
      this.#pass(seen, incoming, body, outgoing, fault === 'lost answer');
    }
  }

  #pass(
    seen: SeenRequest,
    incoming: IncomingMessage,
    body: Buffer,
    outgoing: ServerResponse,
    loseAnswer: boolean,
  ): void {
    if (seen.kind === 'watch') {
      this.#watches.add(outgoing);
      outgoing.once('close', () => this.#watches.delete(outgoing));
    }
    const headers = { ...incoming.headers, host: new URL(this.#upstream).host };
    const upstream = request(
      this.#upstream + seen.path,
      { method: seen.method, agent: this.#agent, headers },
      (response) => {
        if (loseAnswer) {
          response.resume();
          response.once('close', () => outgoing.destroy());
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
    outgoing.once('close', () => {
      // After a whole answer the connection serves the next request; what is written is written whoever still listens.
      if (!outgoing.writableFinished && seen.kind !== 'write') upstream.destroy();
    });
    upstream.end(body);
  }
}

function describe(method: string, path: string): SeenRequest {
  const kind = (): SeenRequest['kind'] => {
    if (path.includes('/leases')) return 'lease';
    if (method !== 'GET') return 'write';
    if (path.includes('/proxy/')) return 'poll';
    return path.includes('watch=true') ? 'watch' : 'read';
  };
  return { kind: kind(), method, path };
}

interface Answer {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const ANSWERS: Readonly<Partial<Record<Fault, Answer>>> = {
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

function statusOf({ code, reason, message }: Answer): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason, message };
}
