import { createReadStream, existsSync, type ReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { KUBELET_PORT } from '../addresses.ts';
import { inNetworkNamespace } from '../kernel.ts';
import type { Container } from './container.ts';

export interface KubeletServerOptions {
  tls: { cert: Buffer; key: Buffer; ca: Buffer };
  findContainer(namespace: string, pod: string, container: string): Container | undefined;
}

/**
 * The part of a kubelet's API that `kubectl logs` comes down to: `/containerLogs/<namespace>/<pod>/<container>` with
 * `follow`, `previous`, `tailLines` and `limitBytes`. Only the API server is let in, by its client certificate.
 */
export class KubeletServer {
  readonly #server: Server;
  readonly #options: KubeletServerOptions;

  constructor(options: KubeletServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { ...options.tls, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        this.#answer(request, response).catch((error: unknown) => {
          if (!response.headersSent) response.statusCode = 500;
          response.end(`${(error as Error).message}\n`);
        });
      },
    );
  }

  /** Listens in the node's network namespace. */
  listen(namespaceFile: string): void {
    // Without a host name to look up, listen() makes its socket before it returns.
    inNetworkNamespace(namespaceFile, () => this.#server.listen(KUBELET_PORT));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if ((request.socket as TLSSocket).getPeerCertificate().subject?.CN !== 'kube-apiserver-kubelet-client') {
      response.statusCode = 403;
      response.end('only the API server may ask\n');
      return;
    }
    const url = new URL(request.url ?? '/', 'https://node');
    const [kind, ...names] = url.pathname.slice(1).split('/');
    if (kind !== 'containerLogs' || names.length !== 3) {
      response.statusCode = 501;
      response.end(`the local cluster's nodes serve logs only, not ${url.pathname}\n`);
      return;
    }
    const container = this.#options.findContainer(names[0]!, names[1]!, names[2]!);
    const file = container?.logFile(url.searchParams.get('previous') === 'true');
    if (!container || !file || !existsSync(file)) {
      response.statusCode = 404;
      response.end(`no log of container ${names.join('/')}\n`);
      return;
    }
    response.setHeader('content-type', 'text/plain');
    response.flushHeaders();
    await sendLog(
      file,
      url.searchParams,
      response,
      () => !container.finished && container.logFile(false) === file,
    );
  }
}

async function sendLog(
  file: string,
  query: URLSearchParams,
  response: ServerResponse,
  goesOn: () => boolean,
): Promise<void> {
  const limit = Number(query.get('limitBytes') ?? Infinity);
  const lines = query.get('tailLines');
  let position = lines === null ? 0 : await startOfTail(file, Number(lines));
  let sent = 0;
  for (;;) {
    // What is written after this was asked is still read below.
    const last = query.get('follow') !== 'true' || !goesOn();
    const { size } = await stat(file);
    const end = Math.min(size, position + limit - sent);
    if (end > position) {
      await send(createReadStream(file, { start: position, end: end - 1 }), response);
      sent += end - position;
      position = end;
    }
    if (last || sent >= limit || response.destroyed) break;
    await delay(100, undefined, { ref: false });
  }
  response.end();
}

async function send(stream: ReadStream, response: ServerResponse): Promise<void> {
  for await (const chunk of stream) {
    if (response.destroyed) return;
    if (!response.write(chunk))
      await new Promise((resolve) => {
        response.once('drain', resolve);
        response.once('close', resolve);
      });
  }
}

/** Where the last so many lines begin. */
async function startOfTail(file: string, lines: number): Promise<number> {
  const handle = await open(file);
  try {
    let { size: position } = await handle.stat();
    let wanted = lines;
    const block = Buffer.alloc(65_536);
    const size = position;
    while (position > 0) {
      const from = Math.max(0, position - block.length);
      const { bytesRead } = await handle.read(block, 0, position - from, from);
      for (let index = bytesRead - 1; index >= 0; index--) {
        // A line break at the very end ends the last line, it doesn't begin one.
        if (block[index] === 0x0a && from + index !== size - 1 && --wanted === 0) return from + index + 1;
        if (lines === 0) return size;
      }
      position = from;
    }
    return 0;
  } finally {
    await handle.close();
  }
}
