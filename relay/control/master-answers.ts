import type { ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import { KEY_ID_PATTERN } from '../lease/master-key.ts';

/** What Master answers to a registration, checked (wire reference 4). */
export interface RegisterAnswer {
  /** Milliseconds between heartbeats, brought into bounds. */
  readonly heartbeatIntervalMs: number;
  /** The 32 bytes of Master's Ed25519 public key; that it is a sound curve point is for the key ring to say. */
  readonly publicKey: Uint8Array;
  readonly keyId: string | undefined;
}

/** An entry of `GET /v1/relays`, as far as a relay looks at it. */
export interface ListedRelay {
  readonly relayId: string;
  readonly endpoints: readonly string[];
}

export const MIN_HEARTBEAT_INTERVAL_MS = 500;
/** Master stops assigning a relay unheard for 120 s, so two heartbeats have to fit. */
export const MAX_HEARTBEAT_INTERVAL_MS = 50_000;

/** Each throws an error that names the field when the answer is not what the wire reference says; unknown fields are fine. */
export function parseRegisterAnswer(body: unknown): RegisterAnswer {
  const answer = check(registerSchema, body);
  return {
    heartbeatIntervalMs: Math.min(
      MAX_HEARTBEAT_INTERVAL_MS,
      Math.max(MIN_HEARTBEAT_INTERVAL_MS, answer.heartbeat_interval_ms),
    ),
    publicKey: Uint8Array.from(answer.master_public_key),
    keyId: answer.master_key_id ?? undefined,
  };
}

export function checkHeartbeatAnswer(body: unknown): void {
  check(heartbeatSchema, body);
}

export function parseRelayList(body: unknown): ListedRelay[] {
  return check(relayListSchema, body).map((relay) => ({
    relayId: relay.relay_id,
    endpoints: relay.endpoints,
  }));
}

interface RegisterBody {
  heartbeat_interval_ms: number;
  master_public_key: number[];
  master_key_id?: string | null;
}

const ajv = new Ajv({ strict: true, allowUnionTypes: true });

const registerSchema = ajv.compile<RegisterBody>({
  type: 'object',
  required: ['heartbeat_interval_ms', 'master_public_key'],
  properties: {
    heartbeat_interval_ms: { type: 'integer', minimum: 0 },
    master_public_key: {
      type: 'array',
      minItems: 32,
      maxItems: 32,
      items: { type: 'integer', minimum: 0, maximum: 255 },
    },
    master_key_id: { type: ['string', 'null'], maxLength: 128, pattern: KEY_ID_PATTERN },
  },
});

const heartbeatSchema = ajv.compile<{ ok: true }>({
  type: 'object',
  required: ['ok'],
  properties: { ok: { const: true } },
});

const relayListSchema = ajv.compile<{ relay_id: string; endpoints: string[] }[]>({
  type: 'array',
  items: {
    type: 'object',
    required: ['relay_id', 'endpoints'],
    properties: {
      relay_id: { type: 'string' },
      endpoints: { type: 'array', items: { type: 'string' } },
    },
  },
});

function check<T>(validate: ValidateFunction<T>, body: unknown): T {
  if (validate(body)) return body;
  const error = validate.errors![0]!;
  const field = error.instancePath.slice(1).replaceAll('/', '.') || 'the answer';
  throw new Error(`${field} ${error.message}`);
}
