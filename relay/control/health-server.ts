import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import express from 'express';
import type { ErrorRequestHandler, Express, RequestHandler, Response } from 'express';

import type { SocketAddress } from '../config/config.ts';
import { formatSocketAddress } from '../config/text-formats.ts';
import { BoundedConnections } from './bounded-connections.ts';
import type { ControlLog } from './control-log.ts';
import { ControlError } from './groundwork.ts';
import { healthAnswer, readyAnswer } from './health-answers.ts';
import { metricsJson, takeMoment } from './metrics.ts';
import type { MetricSources } from './metrics.ts';
import { createPrometheusExport, PROMETHEUS_CONTENT_TYPE } from './metrics-prometheus.ts';

export interface HealthServer {
  /** Really bound. */
  readonly address: SocketAddress;
  /** Takes no more connections and waits for the answers under way, 2 s at most. */
  close(): Promise<void>;
}

/** Probes and scrapers ask one thing at a time. An answer that has made no way for 10 s is given up. */
const CONNECTION_LIMITS = { connections: 64, unanswered: 4, stuckMs: 10_000 };
const MAX_HEADER_BYTES = 8192;
const MAX_URL_CHARS = 1024;
const MAX_REQUESTS_PER_CONNECTION = 1000;
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5000;
/** Longer than the usual scrape intervals, so that Prometheus keeps its connection. */
const KEEP_ALIVE_MS = 75_000;
const NO_IPV6: ReadonlySet<string | undefined> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/** Serves /health, /ready, /metrics and /metrics/prometheus. Throws ControlError (exit code 1) when it can't listen. */
export async function startHealthServer(
  listen: SocketAddress,
  sources: MetricSources,
  log: ControlLog,
): Promise<HealthServer> {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1000,
  });
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  const connections = new BoundedConnections(server, createHealthApp(sources, log), CONNECTION_LIMITS);
  try {
    server.listen(listen.port, listen.host);
    await once(server, 'listening').catch(async (error: NodeJS.ErrnoException) => {
      // `[::]` means every address of this machine, and its kernel may have no IPv6.
      if (listen.host !== '::' || !NO_IPV6.has(error.code)) throw error;
      server.listen(listen.port, '0.0.0.0');
      await once(server, 'listening');
    });
  } catch (error) {
    throw new ControlError(listenFailure(listen, error as NodeJS.ErrnoException), 1);
  }
  const { address, port } = server.address() as AddressInfo;
  const family = address.includes(':') ? 6 : 4;
  return { address: { host: address, port, family }, close: () => connections.close() };
}

function createHealthApp(sources: MetricSources, log: ControlLog): Express {
  const prometheus = createPrometheusExport();
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false).set('env', 'production');
  app.use(refuseOddRequests);
  app.get('/health', (_request, response) => {
    const { status, body } = healthAnswer(takeMoment(sources));
    answer(response, status, body);
  });
  app.get('/ready', (_request, response) => {
    const { status, body } = readyAnswer(takeMoment(sources));
    answer(response, status, body);
  });
  app.get('/metrics', (_request, response) => answer(response, 200, metricsJson(takeMoment(sources))));
  app.get('/metrics/prometheus', async (_request, response) => {
    const text = await prometheus.render(takeMoment(sources));
    response.set('Content-Type', PROMETHEUS_CONTENT_TYPE).send(text);
  });
  app.use((_request, response) => {
    answer(response, 404, { error: 'not found: try /health, /ready, /metrics or /metrics/prometheus' });
  });
  app.use(unexpected(log));
  return app;
}

/** The endpoints are read-only: no method but GET and HEAD, no body, no long URL. */
const refuseOddRequests: RequestHandler = (request, response, next) => {
  response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
  // Express would answer `*` with a bare 304; what these say is new each time.
  delete request.headers['if-none-match'];
  const body = request.headers['transfer-encoding'] ?? request.headers['content-length'] ?? '0';
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.set({ Allow: 'GET, HEAD', Connection: 'close' });
    answer(response, 405, { error: 'only GET and HEAD are answered here' });
  } else if (body !== '0') {
    response.set('Connection', 'close');
    answer(response, 413, { error: 'a body is not wanted here' });
  } else if (request.url.length > MAX_URL_CHARS) {
    response.set('Connection', 'close');
    answer(response, 414, { error: `the URL is longer than ${MAX_URL_CHARS} characters` });
  } else {
    next();
  }
};

function unexpected(log: ControlLog): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    log('error', 'health endpoint failed', { path: request.path, error: String(error) });
    if (response.headersSent) next(error);
    else answer(response, 500, { error: 'internal error, see the log of the relay' });
  };
}

function answer(response: Response, status: number, body: object): void {
  response.status(status).json(body);
}

function listenFailure(listen: SocketAddress, { code, message }: NodeJS.ErrnoException): string {
  const where = `--health-listen ${formatSocketAddress(listen)}`;
  if (code === 'EADDRINUSE') {
    return `${where}: another process listens there; stop it or choose another port`;
  }
  if (code === 'EADDRNOTAVAIL') return `${where}: this machine has no such address`;
  if (code === 'EACCES') return `${where}: not permitted; ports under 1024 need CAP_NET_BIND_SERVICE`;
  return `${where}: ${message}`;
}
