import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';

import { readBoundedFile } from './bounded-file.ts';
import type { ListedRelay, RegisterAnswer } from './master-answers.ts';
import { checkHeartbeatAnswer, parseRegisterAnswer, parseRelayList } from './master-answers.ts';

/** What a relay says of itself when it registers (wire reference 4). */
export interface RegisterCall {
  readonly relayId: string;
  readonly endpoints: readonly string[];
  readonly region: string | undefined;
  readonly asn: number | undefined;
  readonly maxSessions: number;
  readonly maxBitrateKbps: number;
}

/** Master as the registration loop sees it. Each call throws MasterError, and ends early when `signal` aborts. */
export interface Master {
  register(call: RegisterCall, signal: AbortSignal): Promise<RegisterAnswer>;
  heartbeat(relayId: string, loadPct: number, signal: AbortSignal): Promise<void>;
  /** Master's registry, which needs no token. */
  list(signal: AbortSignal): Promise<ListedRelay[]>;
}

export interface MasterClientOptions {
  /** Without credentials and query; its path is kept, with or without a slash at its end. */
  readonly url: URL;
  readonly token: string | undefined;
  /** Read at each call; wins over `token`. */
  readonly tokenFile: string | undefined;
  /** For a call as a whole, its body included. */
  readonly timeoutMs?: number;
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are looked for; the process's when left out. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** A call of Master that failed: one line that says what to do and holds no secret. */
export class MasterError extends Error {
  /** What Master answered with, 200 for a bad answer; undefined when none came. */
  readonly status: number | undefined;
  /** Whether Master may have done what it was asked, though nobody can tell. */
  readonly mayHaveWorked: boolean;
  constructor(message: string, status?: number, mayHaveWorked: boolean = status === 200) {
    super(message);
    this.name = 'MasterError';
    this.status = status;
    this.mayHaveWorked = mayHaveWorked;
  }
}

const MASTER_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 65_536;
/** Room for the 10,000 relays of a big registry. */
const MAX_LIST_BYTES = 4_194_304;
const MAX_TOKEN_BYTES = 16_384;
const WRONG_URL = ': is --master-url right?';
/** Of a refusal's text, how much a log line shows. */
const MAX_REFUSAL_CHARS = 200;

/**
 * The HTTP side of Master: every call has an end in time and size, and every answer is checked. On node:http, as fetch
 * costs 20 MB of memory at its first call.
 */
export class MasterClient implements Master {
  readonly #base: string;
  readonly #token: string | undefined;
  readonly #tokenFile: string | undefined;
  readonly #timeoutMs: number;
  readonly #environment: NodeJS.ProcessEnv;
  #agent: HttpAgent | undefined;

  constructor(options: MasterClientOptions) {
    this.#base = options.url.origin + options.url.pathname.replace(/\/+$/, '');
    this.#token = options.token;
    this.#tokenFile = options.tokenFile;
    this.#timeoutMs = options.timeoutMs ?? MASTER_TIMEOUT_MS;
    this.#environment = options.environment ?? process.env;
  }

  async register(call: RegisterCall, signal: AbortSignal): Promise<RegisterAnswer> {
    const body = {
      relay_id: call.relayId,
      endpoints: call.endpoints,
      ...(call.region !== undefined && { region: call.region }),
      ...(call.asn !== undefined && { asn: call.asn }),
      max_sessions: call.maxSessions,
      max_bitrate_kbps: call.maxBitrateKbps,
      features: featuresOf(call.endpoints),
    };
    return this.#call('/v1/relays/register', body, MAX_ANSWER_BYTES, signal, parseRegisterAnswer);
  }

  async heartbeat(relayId: string, loadPct: number, signal: AbortSignal): Promise<void> {
    const body = { relay_id: relayId, load_pct: loadPct };
    await this.#call('/v1/relays/heartbeat', body, MAX_ANSWER_BYTES, signal, checkHeartbeatAnswer);
  }

  async list(signal: AbortSignal): Promise<ListedRelay[]> {
    return this.#call('/v1/relays', undefined, MAX_LIST_BYTES, signal, parseRelayList);
  }

  async #call<T>(
    path: string,
    body: object | undefined,
    maxBytes: number,
    signal: AbortSignal,
    parse: (body: unknown) => T,
  ): Promise<T> {
    const url = this.#base + path;
    const token = body && (await this.#readToken());
    const headers = body && {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
    const { abort, timedOut, release } = deadline(this.#timeoutMs, signal);
    try {
      this.#agent ??= newAgent(url, this.#environment, this.#timeoutMs);
      const response = await send(url, this.#agent, headers, body && JSON.stringify(body), abort);
      if (response.statusCode !== 200) throw refusal(url, response, await readStart(response), token);
      return parseAnswer(url, await readBody(url, response, maxBytes), parse);
    } catch (error) {
      if (error instanceof MasterError) throw error;
      if (timedOut()) {
        throw new MasterError(`${url} did not answer within ${this.#timeoutMs / 1000} s`, undefined, true);
      }
      throw new MasterError(
        `${url} can't be reached: ${networkReason(error)}`,
        undefined,
        abort.aborted || BROKEN_OFF.has(networkCode(error)),
      );
    } finally {
      release();
    }
  }

  async #readToken(): Promise<string | undefined> {
    if (this.#tokenFile === undefined) return this.#token;
    let text: string | undefined;
    try {
      text = await readBoundedFile(this.#tokenFile, MAX_TOKEN_BYTES);
    } catch (error) {
      throw new MasterError(`no token for Master: ${(error as Error).message}`);
    }
    const token = text?.trim();
    if (token === undefined) throw new MasterError(`no token for Master: ${this.#tokenFile} does not exist`);
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new MasterError(
        `no token for Master: ${this.#tokenFile} has to hold one token of printable ASCII and nothing else`,
      );
    }
    return token;
  }
}

/** Whether what Master says could have been altered on its way: plain HTTP that leaves this machine. */
export function isUnprotected(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const here =
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '::1' ||
    (isIP(host) === 4 && host.startsWith('127.'));
  return url.protocol === 'http:' && !here;
}

function featuresOf(endpoints: readonly string[]): string[] {
  const v6 = endpoints.filter((endpoint) => endpoint.startsWith('[')).length;
  return [...(v6 < endpoints.length ? ['ipv4'] : []), ...(v6 > 0 ? ['ipv6'] : [])];
}

function deadline(
  timeoutMs: number,
  signal: AbortSignal,
): { abort: AbortSignal; timedOut: () => boolean; release: () => void } {
  const controller = new AbortController();
  let late = false;
  const stop = (): void => controller.abort();
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, timeoutMs);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop);
  return {
    abort: controller.signal,
    timedOut: () => late,
    release: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      // Ends the connection of an answer that was not read to its end.
      stop();
    },
  };
}

/** Keeps connections, and goes through a proxy where the environment says so. */
function newAgent(url: string, environment: NodeJS.ProcessEnv, timeoutMs: number): HttpAgent {
  // The timeout also ends a tunnel that the proxy never opens, whose connection nothing else would.
  const options = { keepAlive: true, maxSockets: 4, proxyEnv: environment, timeout: timeoutMs };
  try {
    return url.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options);
  } catch {
    // The reason repeats the URL, which may hold a password.
    throw new MasterError(
      'HTTP_PROXY or HTTPS_PROXY is no http:// or https:// URL of a proxy: mend it, or unset it',
    );
  }
}

/** Resolves with the answer's head. A redirect is an answer like any other: following it would carry the token there. */
function send(
  url: string,
  agent: HttpAgent,
  headers: Record<string, string> | undefined,
  body: string | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const options = {
    agent,
    method: body === undefined ? 'GET' : 'POST',
    signal,
    headers: {
      accept: 'application/json',
      ...headers,
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    },
  };
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, options, resolve);
    request.on('error', reject);
    // Without a listener Node drops the connection and says nothing: the call would never end.
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      reject(new MasterError(`${url} answered 101, an upgrade that nobody asked for${WRONG_URL}`, 101));
    });
    signal.addEventListener('abort', () => reject(new Error('cut short')));
    request.end(body);
  });
}

async function readBody(url: string, response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new MasterError(`${url} answered more than ${maxBytes} bytes`, 200);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The start of a refusal's text. Its status counts whatever becomes of the text, however slow or long it is. */
async function readStart(response: IncomingMessage): Promise<string> {
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      return Buffer.from(chunk.subarray(0, 4 * MAX_REFUSAL_CHARS)).toString('utf8');
    }
  } catch {
    // Cut off or too slow: the status says enough.
  }
  return '';
}

function parseAnswer<T>(url: string, text: string, parse: (body: unknown) => T): T {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new MasterError(`${url} answered with what is not JSON${WRONG_URL}`, 200);
  }
  try {
    return parse(body);
  } catch (error) {
    throw new MasterError(`${url} gave a bad answer: ${(error as Error).message}`, 200);
  }
}

function refusal(
  url: string,
  response: IncomingMessage,
  text: string,
  token: string | undefined,
): MasterError {
  const status = response.statusCode ?? 0;
  // Some proxies print the request, token and all.
  const said = oneLine(token === undefined ? text : text.replaceAll(token, '(token)'));
  const quoted = said === '' ? '' : ` ("${said}")`;
  if (status >= 300 && status < 400) {
    const target = oneLine(response.headers.location ?? '');
    return new MasterError(
      `${url} redirects${target === '' ? '' : ` to ${target}`}: redirects are not followed, give --master-url where Master really is`,
      status,
    );
  }
  return new MasterError(`${url} answered ${status}${quoted}${ADVICE[status] ?? ''}`, status);
}

/** What to do about each refusal of the wire reference, section 4. */
const ADVICE: Readonly<Record<number, string>> = {
  400: ': the relay id, an endpoint or --max-bitrate-kbps (at least 10000) is not to its liking',
  401: ': give the token that Master expects of relays with --master-token or --master-token-file',
  403: ': five relays are registered at the IP of the first endpoint already, and Master forgets one that is gone 600 s after its last heartbeat; give this relay another IP, or wait until then',
  415: ': something between the relay and Master changes the content type of requests',
  422: ': Master does not understand this relay, their versions differ',
};

function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{C}\s]+/gu, ' ').trim();
  return line.length > MAX_REFUSAL_CHARS ? `${line.slice(0, MAX_REFUSAL_CHARS)}…` : line;
}

/** How a connection ends that stood when the request went out. */
const BROKEN_OFF: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE']);

function networkCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

/** With several addresses of one name, each has its own reason. */
function networkReason(error: unknown): string {
  const { message } = error as Error;
  const code = networkCode(error);
  const detail = message || ((error as AggregateError).errors ?? []).map(String).join('; ');
  return oneLine(code === undefined || detail.includes(code) ? detail : `${code} ${detail}`);
}
