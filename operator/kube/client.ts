import type { KubeConfig } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import { Agent, request } from 'undici';

import { KubeError } from './kube-error.ts';
import { type Resource, resourcePath } from './resource.ts';

/** Longest single answer that is read; a list is fetched in pages, so nothing legitimate comes near. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const BODY_TIMEOUT_MS = 30_000;

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/**
 * Speaks to one API server over connections that are kept, with the credentials of a kubeconfig as client-node
 * reads them: tokens, exec plug-ins and certificates are asked for afresh at each call, and only another TLS identity
 * makes another connection pool.
 */
export class KubeClient {
  readonly #config: KubeConfig;
  readonly #userAgent: string;
  #agent: Agent | undefined;
  #identity = '';

  constructor(config: KubeConfig, userAgent: string) {
    this.#config = config;
    this.#userAgent = userAgent;
  }

  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? '';
  }

  get<T>(resource: Resource, namespace: string | undefined, name: string, options?: CallOptions): Promise<T> {
    return this.call('GET', resourcePath(resource, namespace, name), options);
  }

  create<T>(
    resource: Resource,
    namespace: string | undefined,
    body: unknown,
    options?: CallOptions,
  ): Promise<T> {
    return this.call('POST', resourcePath(resource, namespace), { ...options, body });
  }

  /** https://kubernetes.io/docs/reference/using-api/server-side-apply/ with force: what we own is ours. */
  apply<T>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    body: unknown,
    fieldManager: string,
    subresource?: string,
  ): Promise<T> {
    return this.call('PATCH', resourcePath(resource, namespace, name, subresource), {
      query: { fieldManager, force: true, fieldValidation: 'Strict' },
      contentType: 'application/apply-patch+yaml',
      body,
    });
  }

  patch<T>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    body: unknown,
    options: { readonly fieldManager: string; readonly json?: boolean; readonly subresource?: string },
  ): Promise<T> {
    return this.call('PATCH', resourcePath(resource, namespace, name, options.subresource), {
      query: { fieldManager: options.fieldManager },
      contentType: options.json ? 'application/json-patch+json' : 'application/merge-patch+json',
      body,
    });
  }

  delete(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: {
      readonly uid?: string;
      readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
    } = {},
  ): Promise<unknown> {
    return this.call('DELETE', resourcePath(resource, namespace, name), {
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: options.propagationPolicy ?? 'Background',
        ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
      },
    });
  }

  /** One call; JSON in and out. Throws KubeError, with status 0 when no answer came. */
  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const response = await this.#send(method, path, options, BODY_TIMEOUT_MS);
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response.body) {
        size += (chunk as Buffer).length;
        if (size > MAX_BODY_BYTES)
          throw new KubeError(0, 'TooLarge', `${method} ${path}: the answer is too large`);
        chunks.push(chunk as Buffer);
      }
    } catch (error) {
      throw noAnswer(method, path, error);
    }
    const text = Buffer.concat(chunks).toString('utf8');
    if (response.statusCode >= 200 && response.statusCode < 300) return parse(method, path, text) as T;
    throw refusal(method, path, response.statusCode, response.headers['retry-after'], text);
  }

  /**
   * A watch: yields each event's JSON text, line by line. Ends when the server ends it; throws KubeError when it
   * refuses, or when nothing at all (not even a bookmark) came for `idleMs`.
   */
  async *stream(path: string, options: CallOptions, idleMs: number): AsyncGenerator<string, void> {
    const response = await this.#send('GET', path, options, idleMs);
    if (response.statusCode !== 200) {
      const text = await response.body.text().catch(() => '');
      throw refusal('GET', path, response.statusCode, response.headers['retry-after'], text);
    }
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body) {
        rest += decoder.decode(chunk as Buffer, { stream: true });
        let end = rest.indexOf('\n');
        while (end >= 0) {
          const line = rest.slice(0, end);
          rest = rest.slice(end + 1);
          if (line !== '') yield line;
          end = rest.indexOf('\n');
        }
        if (rest.length > MAX_BODY_BYTES)
          throw new KubeError(0, 'TooLarge', `GET ${path}: an event is too large`);
      }
    } catch (error) {
      throw noAnswer('GET', path, error);
    }
  }

  async close(): Promise<void> {
    await this.#agent?.destroy();
    this.#agent = undefined;
  }

  async #send(
    method: string,
    path: string,
    options: CallOptions,
    bodyTimeout: number,
  ): Promise<Awaited<ReturnType<typeof request>>> {
    const url = new URL(this.server.replace(/\/+$/, '') + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    try {
      const { agent, headers } = await this.#credentials();
      return await request(url, {
        method: method as 'GET',
        dispatcher: agent,
        headers: {
          ...headers,
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...(options.body === undefined
            ? {}
            : { 'content-type': options.contentType ?? 'application/json' }),
        },
        headersTimeout: HEADERS_TIMEOUT_MS,
        bodyTimeout,
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal ? { signal: options.signal } : {}),
      });
    } catch (error) {
      throw noAnswer(method, path, error);
    }
  }

  async #credentials(): Promise<{ agent: Agent; headers: Record<string, string> }> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const tls = Object.fromEntries(
      Object.entries({
        ca: options.ca,
        cert: options.cert,
        key: options.key,
        rejectUnauthorized: options.rejectUnauthorized,
        servername: options.servername,
      }).filter(([, value]) => value !== undefined),
    );
    const identity = Object.entries(tls).map(String).join('\0');
    if (!this.#agent || identity !== this.#identity) {
      void this.#agent?.close();
      this.#agent = new Agent({
        connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 15_000, timeout: 10_000 },
      });
      this.#identity = identity;
    }
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name] = String(value);
    if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { agent: this.#agent, headers };
  }
}

function noAnswer(method: string, path: string, error: unknown): KubeError {
  if (error instanceof KubeError) return error;
  const cause = error as { code?: string; message?: string };
  const reason = cause.code === 'UND_ERR_ABORTED' || cause.code === 'ABORT_ERR' ? 'Aborted' : 'NoAnswer';
  return new KubeError(0, reason, `${method} ${path}: ${cause.message ?? String(error)}`);
}

function refusal(
  method: string,
  path: string,
  status: number,
  retryAfter: string | string[] | undefined,
  text: string,
): KubeError {
  let answer: { reason?: unknown; message?: unknown } = {};
  try {
    answer = (JSON.parse(text) ?? {}) as typeof answer;
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  const reason = typeof answer.reason === 'string' && answer.reason !== '' ? answer.reason : `HTTP${status}`;
  const message =
    typeof answer.message === 'string' ? answer.message : `${method} ${path}: HTTP status ${status}`;
  const seconds = Number(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter);
  return new KubeError(
    status,
    reason,
    message,
    Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
  );
}

function parse(method: string, path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KubeError(0, 'NotJSON', `${method} ${path}: the answer is no JSON`);
  }
}
