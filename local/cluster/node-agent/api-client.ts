import { Agent, request, type Dispatcher } from 'undici';

/** An answer of the API server that is no success. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface ApiClientOptions {
  /** `https://host:port` */
  server: string;
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

export const STRATEGIC_MERGE = 'application/strategic-merge-patch+json';
const IDLE_MS = 90_000;

/** Talks to the API server over connections that are kept: a few for requests, one for each watch. */
export class ApiClient {
  readonly #server: string;
  readonly #requests: Agent;
  readonly #watches: Agent;

  constructor(options: ApiClientOptions) {
    this.#server = options.server;
    const connect = { ca: options.ca, cert: options.cert, key: options.key, timeout: 5000 };
    this.#requests = new Agent({ connect, connections: 8, headersTimeout: 30_000, bodyTimeout: 30_000 });
    this.#watches = new Agent({ connect, headersTimeout: 30_000, bodyTimeout: IDLE_MS });
  }

  /**
   * One request and its JSON answer.
   *
   * @throws ApiError for any status of 400 and above; undici's errors when the server can't be reached.
   */
  async request<Answer>(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<Answer> {
    const answer = await request(this.#server + path, {
      method,
      dispatcher: this.#requests,
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': contentType }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 400) throw new ApiError(answer.statusCode, statusMessage(text));
    return JSON.parse(text) as Answer;
  }

  /**
   * The lines of a watch until the server ends it (after `timeoutSeconds` in the path), the signal aborts, or nothing
   * came for 90 s, in which time a bookmark is due.
   */
  async *watch(path: string, signal: AbortSignal): AsyncGenerator {
    const answer = await request(this.#server + path, { dispatcher: this.#watches, signal });
    if (answer.statusCode >= 400)
      throw new ApiError(answer.statusCode, statusMessage(await answer.body.text()));
    let rest = '';
    answer.body.setEncoding('utf8');
    for await (const chunk of answer.body as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line) yield JSON.parse(line);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#requests.destroy(), this.#watches.destroy()]);
  }
}

function statusMessage(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text.slice(0, 500);
  }
}
