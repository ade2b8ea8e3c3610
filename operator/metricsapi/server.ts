import { type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';

import { listen } from '../listen.ts';
import { ApiError } from './api-error.ts';
import type { User } from './authenticate.ts';
import type { ServingCertificate } from './certificate.ts';
import { AGGREGATED_DISCOVERY, aggregatedDiscovery, group, groupList, resourceList } from './discovery.ts';
import { parseSelector } from './label-selector.ts';
import { metricValues, type MetricSource } from './metrics.ts';
import { openApiV2, openApiV3, openApiV3Root } from './openapi.ts';
import { GROUP, readRequest, type RequestInfo, VERSIONS } from './request-info.ts';
import type { Trust } from './trust.ts';

export interface MetricsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly source: MetricSource;
  /** Undefined for somebody unknown. May reject with ApiError. */
  readonly authenticate: (request: IncomingMessage) => Promise<User | undefined>;
  /** Rejects with ApiError for what the user may not do. */
  readonly authorize: (user: User, asked: RequestInfo) => Promise<void>;
  readonly onProblem: (message: string) => void;
}

/** Requests under way; further ones are asked to come back. Each may cost the API server two. */
const MOST_AT_ONCE = 64;
const MOST_CONNECTIONS = 512;
/** A user may be in many groups, each a header. */
const MOST_HEADER_BYTES = 64 * 1024;

export interface MetricsServer {
  readonly port: number;
  /** Without one no connection comes about. */
  setCertificate(certificate: ServingCertificate): void;
  setTrust(trust: Trust): void;
  close(): void;
}

/** custom.metrics.k8s.io over TLS. Rejects with a line that names the address when it can't listen. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  let atOnce = 0;
  const server = createServer(
    {
      minVersion: 'TLSv1.2',
      // Who the client is, is judged at each request: there are other proofs than certificates.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: 10_000,
      headersTimeout: 5000,
      requestTimeout: 10_000,
      keepAliveTimeout: 120_000,
      maxHeaderSize: MOST_HEADER_BYTES,
    },
    (request, response) => {
      if (atOnce >= MOST_AT_ONCE) {
        refuse(
          response,
          new ApiError(429, 'TooManyRequests', 'too many requests, please try again later', 1),
        );
        return;
      }
      atOnce += 1;
      void answer(request, response, options).finally(() => (atOnce -= 1));
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  await listen(server, options, '--metrics-api-listen');

  let certificate: ServingCertificate | undefined;
  let trust: Trust | undefined;
  const renew = (): void => {
    if (!certificate) return;
    // Names of authorities that are sent to clients; which of them signed what is judged at each request.
    const authorities = [...(trust?.requestHeaderCas ?? []), ...(trust?.clientCas ?? [])];
    server.setSecureContext({
      minVersion: 'TLSv1.2',
      cert: certificate.cert,
      key: certificate.key,
      ca: authorities.map(String),
    });
  };
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    setCertificate: (next) => {
      certificate = next;
      renew();
    },
    setTrust: (next) => {
      trust = next;
      renew();
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MetricsServerOptions,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'https://operator.invalid');
    const asked = readRequest(request.method ?? 'GET', url.pathname);
    const user = await options.authenticate(request);
    if (!user) {
      // Strangers keep no connection from those who are known.
      response.setHeader('connection', 'close');
      throw new ApiError(401, 'Unauthorized', 'Unauthorized');
    }
    await options.authorize(user, asked);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new ApiError(
        405,
        'MethodNotAllowed',
        `metrics can only be read; ${request.method} is not supported`,
      );
    }
    const accept = request.headers.accept ?? '*/*';
    if (!/(\*|application)\/(\*|json)/i.test(accept)) {
      throw new ApiError(406, 'NotAcceptable', 'only application/json is served');
    }
    const { body, type } = contentOf(asked, url.searchParams, accept, options.source);
    send(response, 200, body, type);
  } catch (error) {
    if (!(error instanceof ApiError)) {
      options.onProblem(`a request for metrics failed: ${(error as Error).stack ?? String(error)}`);
    }
    refuse(
      response,
      error instanceof ApiError
        ? error
        : new ApiError(500, 'InternalError', 'the operator failed; its log tells why'),
    );
  }
}

function contentOf(
  { path, resource }: RequestInfo,
  parameters: URLSearchParams,
  accept: string,
  source: MetricSource,
): { readonly body: unknown; readonly type?: string } {
  if (resource) {
    const version = VERSIONS.find((known) => known === resource.version);
    if (!version) throw notFound();
    if (parameters.get('watch') === 'true' || parameters.get('watch') === '1') {
      throw new ApiError(405, 'MethodNotAllowed', 'metrics can’t be watched');
    }
    return {
      body: metricValues(
        source,
        { ...resource, version },
        {
          labelSelector: parseSelector(parameters.get('labelSelector') ?? ''),
          metricLabelSelector: parseSelector(parameters.get('metricLabelSelector') ?? ''),
        },
      ),
    };
  }
  const plain = path.replace(/\/+$/, '');
  if (plain === '/apis') {
    const aggregated = accept
      .split(',')
      .some((type) => type.replaceAll(' ', '').startsWith(AGGREGATED_DISCOVERY));
    return aggregated ? { body: aggregatedDiscovery(), type: AGGREGATED_DISCOVERY } : { body: groupList() };
  }
  if (plain === `/apis/${GROUP}`) return { body: group() };
  const version = VERSIONS.find((known) => plain === `/apis/${GROUP}/${known}`);
  if (version) return { body: resourceList(version) };
  if (plain === '/openapi/v2') return { body: openApiV2() };
  if (plain === '/openapi/v3') return { body: openApiV3Root() };
  if (VERSIONS.some((known) => plain === `/openapi/v3/apis/${GROUP}/${known}`)) return { body: openApiV3() };
  throw notFound();
}

function notFound(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource');
}

function refuse(response: ServerResponse, error: ApiError): void {
  if (error.retryAfterSeconds !== undefined) response.setHeader('retry-after', error.retryAfterSeconds);
  send(response, error.code, error.body);
}

function send(response: ServerResponse, status: number, body: unknown, type = 'application/json'): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-cache, private' });
  response.end(`${JSON.stringify(body)}\n`);
}
