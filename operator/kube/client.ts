import { setTimeout as sleep } from 'node:timers/promises';

import { request } from 'undici';

import type { Connection } from './connection.ts';
import { KubeError } from './kube-error.ts';
import { type Resource, resourcePath } from './resource.ts';

/** Longest single answer that is read; a list is fetched in pages, so nothing legitimate comes near. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const BODY_TIMEOUT_MS = 30_000;
/** client-go's rest.Request: an answer of 429 or 5xx with Retry-After is asked again so often. */
const MOST_RETRIES = 10;
const MOST_RETRY_AFTER_MS = 60_000;

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

export interface KubeClientOptions {
  readonly userAgent: string;
  /** Asked right before anything is sent that writes: a process that is no longer the leader must not. */
  readonly mayWrite?: () => boolean;
  /** Longest that one call may take, its answer read included. */
  readonly requestTimeoutMs?: number;
  /** Told of each answer, for metrics; 0 when none came. */
  readonly onAnswer?: (method: string, status: number) => void;
}

type Response = Awaited<ReturnType<typeof request>>;

/** Speaks to one API server: JSON in and out, and watches line by line. */
export class KubeClient {
  readonly #connection: Connection;
  readonly #options: KubeClientOptions;

  constructor(connection: Connection, options: KubeClientOptions) {
    this.#connection = connection;
    this.#options = options;
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

  delete<T>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: {
      readonly uid?: string;
      readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
    } = {},
  ): Promise<T> {
    return this.call('DELETE', resourcePath(resource, namespace, name), {
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: options.propagationPolicy ?? 'Background',
        ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
      },
    });
  }

  /**
   * One call; JSON in and out. Waits as long as the server asks for when it is overloaded (429 and 5xx with Retry-After).
   * Throws KubeError, with status 0 when no answer came.
   */
  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    for (let retry = 0; ; retry += 1) {
      try {
        return (await this.#once(method, path, this.#limited(options))) as T;
      } catch (error) {
        const waitMs = error instanceof KubeError ? error.retryAfterMs : undefined;
        if (waitMs === undefined || retry >= MOST_RETRIES) throw error;
        try {
          const signal = options.signal ? { signal: options.signal } : undefined;
          await sleep(Math.min(waitMs, MOST_RETRY_AFTER_MS), undefined, signal);
        } catch {
          throw error;
        }
      }
    }
  }

  /** A GET whose answer is somebody else's, such as a pod's behind the proxy: its text, whatever the status. */
  async text(
    path: string,
    options: { readonly signal?: AbortSignal; readonly maxBytes: number },
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.#send('GET', path, options, BODY_TIMEOUT_MS);
    const text = await this.#read('GET', path, response, options.maxBytes);
    return { status: response.statusCode, text };
  }

  #limited(options: CallOptions): CallOptions {
    const { requestTimeoutMs } = this.#options;
    if (requestTimeoutMs === undefined) return options;
    const timeout = AbortSignal.timeout(requestTimeoutMs);
    return { ...options, signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout };
  }

  async #once(method: string, path: string, options: CallOptions): Promise<unknown> {
    const response = await this.#send(method, path, options, BODY_TIMEOUT_MS);
    const text = await this.#read(method, path, response, MAX_BODY_BYTES);
    if (response.statusCode >= 200 && response.statusCode < 300) return parse(method, path, text);
    throw refusal(method, path, response.statusCode, response.headers['retry-after'], text);
  }

  async #read(method: string, path: string, response: Response, maxBytes: number): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response.body) {
        size += (chunk as Buffer).length;
        if (size > maxBytes) throw new KubeError(0, 'TooLarge', `${method} ${path}: the answer is too large`);
        chunks.push(chunk as Buffer);
      }
    } catch (error) {
      throw noAnswer(method, path, error);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /**
   * A watch: yields each event's JSON text, line by line. Ends when the server ends it; throws KubeError when it
   * refuses, with the reason Idle when nothing at all (not even a bookmark) came for `idleMs`.
   */
  async *stream(path: string, options: CallOptions, idleMs: number): AsyncGenerator<string, void> {
    // Some proxies hold the headers back until there is a first event.
    const response = await this.#send('GET', path, options, idleMs, idleMs);
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

  async #send(
    method: string,
    path: string,
    options: CallOptions,
    bodyTimeout: number,
    headersTimeout: number = HEADERS_TIMEOUT_MS,
  ): Promise<Response> {
    const url = new URL(this.#connection.server + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    try {
      const { agent, headers } = await this.#connection.credentials();
      if (method !== 'GET' && this.#options.mayWrite?.() === false) {
        throw new KubeError(0, 'NotLeading', `${method} ${path}: not sent, as this is not the leader`);
      }
      const response = await request(url, {
        method: method as 'GET',
        dispatcher: agent,
        headers: {
          ...headers,
          accept: 'application/json',
          'user-agent': this.#options.userAgent,
          ...(options.body === undefined
            ? {}
            : { 'content-type': options.contentType ?? 'application/json' }),
        },
        headersTimeout,
        bodyTimeout,
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal ? { signal: options.signal } : {}),
      });
      this.#options.onAnswer?.(method, response.statusCode);
      return response;
    } catch (error) {
      const problem = noAnswer(method, path, error);
      if (problem.reason === 'NoAnswer') this.#options.onAnswer?.(method, 0);
      throw problem;
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_ABORTED: 'Aborted',
  ABORT_ERR: 'Aborted',
  UND_ERR_BODY_TIMEOUT: 'Idle',
};

function noAnswer(method: string, path: string, error: unknown): KubeError {
  if (error instanceof KubeError) return error;
  const cause = error as { code?: string; message?: string };
  const reason = REASONS[cause.code ?? ''] ?? 'NoAnswer';
  return new KubeError(0, reason, `${method} ${path}: ${cause.message ?? String(error)}`);
}

function refusal(
  method: string,
  path: string,
  status: number,
  retryAfter: string | string[] | undefined,
  text: string,
): KubeError {
  let answer: { reason?: unknown; message?: unknown; details?: unknown } = {};
  try {
    answer = (JSON.parse(text) ?? {}) as typeof answer;
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  const reason = typeof answer.reason === 'string' && answer.reason !== '' ? answer.reason : `HTTP${status}`;
  const message =
    typeof answer.message === 'string' ? answer.message : `${method} ${path}: HTTP status ${status}`;
  const seconds = Number((Array.isArray(retryAfter) ? retryAfter[0] : retryAfter) ?? Number.NaN);
  const overloaded = status === 429 || status >= 500;
  return new KubeError(
    status,
    reason,
    message,
    overloaded && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
    causesOf(answer),
  );
}

function causesOf(answer: { details?: unknown }): string[] {
  const causes = (answer.details as { causes?: unknown } | undefined)?.causes;
  return Array.isArray(causes)
    ? causes.map((cause) => String((cause as { reason?: unknown } | null)?.reason))
    : [];
}

function parse(method: string, path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KubeError(0, 'NotJSON', `${method} ${path}: the answer is no JSON`);
  }
}
