import { existsSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
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
  // Held open, as the file goes when its pod does.
  const log = await open(file);
  try {
    let position = lines === null ? 0 : await startOfTail(log, Number(lines));
    const end = position + limit;
    const block = Buffer.alloc(BLOCK);
    while (!response.destroyed && position < end) {
      // What is written after this was asked is still read below.
      const last = query.get('follow') !== 'true' || !goesOn();
      const { bytesRead } = await log.read(block, 0, Math.min(BLOCK, end - position), position);
      position += bytesRead;
      if (bytesRead > 0) await send(Buffer.from(block.subarray(0, bytesRead)), response);
      else if (last) break;
      else await delay(100, undefined, { ref: false });
    }
  } finally {
    await log.close();
  }
  response.end();
}

const BLOCK = 65_536;

async function send(data: Buffer, response: ServerResponse): Promise<void> {
  if (response.write(data)) return;
  await new Promise<void>((resolve) => {
    const goOn = (): void => {
      response.off('drain', goOn);
      response.off('close', goOn);
      resolve();
    };
    response.on('drain', goOn);
    response.on('close', goOn);
  });
}

/** Where the last so many lines begin. */
async function startOfTail(log: FileHandle, lines: number): Promise<number> {
  const { size } = await log.stat();
  if (lines === 0) return size;
  const block = Buffer.alloc(BLOCK);
  let wanted = lines;
  let position = size;
  while (position > 0) {
    const from = Math.max(0, position - BLOCK);
    const { bytesRead } = await log.read(block, 0, position - from, from);
    for (let index = bytesRead - 1; index >= 0; index--)
      // A line break at the very end ends the last line, it doesn't begin one.
      if (block[index] === 0x0a && from + index !== size - 1 && --wanted === 0) return from + index + 1;
    position = from;
  }
  return 0;
}
