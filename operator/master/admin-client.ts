import { Ajv } from 'ajv';
import { request } from 'undici';

import type { MasterCall, MasterEntry } from '../plan/world.ts';

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

interface RegistryEntry {
  readonly relay_id: string;
  readonly endpoints: readonly string[];
  readonly last_seen_ms_ago: number;
  readonly state: string;
}

/** Wire reference 4, `GET /v1/relays`. */
const isRegistry = new Ajv({ strict: true }).compile<RegistryEntry[]>({
  type: 'array',
  maxItems: 100_000,
  items: {
    type: 'object',
    required: ['relay_id', 'endpoints', 'last_seen_ms_ago', 'state'],
    properties: {
      relay_id: { type: 'string', maxLength: 512 },
      endpoints: { type: 'array', maxItems: 256, items: { type: 'string', maxLength: 512 } },
      last_seen_ms_ago: { type: 'number', minimum: 0, maximum: 1e12 },
      state: { type: 'string', maxLength: 64 },
    },
  },
});

/** Master's registry by relay id. Throws an Error in words when it can't be read. */
export async function readRegistry(
  masterUrl: string,
  token: string | undefined,
  wallMs: number,
): Promise<ReadonlyMap<string, MasterEntry>> {
  const url = endpoint(masterUrl, '/v1/relays');
  const text = await send('GET', url, token, undefined, AbortSignal.timeout(TIMEOUT_MS));
  const answer: unknown = parse(text);
  if (!isRegistry(answer)) {
    const first = isRegistry.errors?.[0];
    throw new Error(
      `Master's list of relays has a wrong ${first?.instancePath || 'form'}: ${first?.message ?? ''}`,
    );
  }
  return new Map(
    answer.map((entry) => [
      entry.relay_id,
      {
        relayId: entry.relay_id,
        endpoints: entry.endpoints,
        state: entry.state,
        lastSeenMs: wallMs - entry.last_seen_ms_ago,
      },
    ]),
  );
}

/** Wire reference 4, `POST /admin/api/relays/update_state`. `signal` says for how long the answer is waited for. */
export async function updateState(
  masterUrl: string,
  adminToken: string,
  call: MasterCall,
  signal: AbortSignal,
): Promise<void> {
  const url = endpoint(masterUrl, '/admin/api/relays/update_state');
  try {
    await send('POST', url, adminToken, { relay_id: call.relayId, new_state: call.state }, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(`Master gave no answer to POST ${url} in time`, { cause: error });
  }
}

function endpoint(masterUrl: string, path: string): string {
  return masterUrl.replace(/\/+$/, '') + path;
}

async function send(
  method: 'GET' | 'POST',
  url: string,
  token: string | undefined,
  body: unknown,
  signal: AbortSignal,
): Promise<string> {
  const response = await request(url, {
    method,
    signal,
    headers: {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += (chunk as Buffer).length;
    if (size > MAX_ANSWER_BYTES) throw new Error(`Master's answer to ${method} ${url} is too large`);
    chunks.push(chunk as Buffer);
  }
  if (response.statusCode >= 200 && response.statusCode < 300) return Buffer.concat(chunks).toString('utf8');
  const hint =
    response.statusCode === 401 || response.statusCode === 403
      ? '; check the token in the Secret that spec.master names'
      : '';
  throw new Error(`Master answered ${method} ${url} with HTTP status ${response.statusCode}${hint}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("Master's list of relays is no JSON");
  }
}
