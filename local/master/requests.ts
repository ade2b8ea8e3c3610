import type { ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';

import type { Fault } from './misbehave.ts';
import { isMisbehaviour } from './misbehave.ts';
import type { RelayState } from './registry.ts';
import { RELAY_STATES } from './registry.ts';
import { MAX_LEASE_SECONDS } from './lease.ts';

/** The bodies of the calls, in the field names of the wire (wire reference 4). */
export interface RegisterBody {
  relay_id: string;
  endpoints: string[];
  region?: string | null;
  asn?: number | null;
  max_sessions?: number | null;
  max_bitrate_kbps?: number | null;
  features?: string[];
}

export interface HeartbeatBody {
  relay_id: string;
  load_pct: number;
}

export interface UpdateStateBody {
  relay_id: string;
  new_state: RelayState;
}

/** `POST /dev/sessions`: everything is optional. */
export interface SessionBody {
  relay_id?: string;
  /** Asks for fresh leases of a session that exists; needs relay_id. */
  session_id?: string;
  client?: string;
  server?: string;
  soft_kbps?: number;
  hard_kbps?: number;
  lease_seconds?: number;
  /** Claims to put into both leases as they stand here; null leaves one out. For tests of bad leases. */
  claims?: Record<string, unknown>;
}

export type Parsed<T> = { readonly body: T } | { readonly problem: string };

/** Each answers `problem` (one line, names the field) for a body whose fields are missing or ill-typed. */
export function parseRegister(body: unknown): Parsed<RegisterBody> {
  return parse(registerSchema, body);
}

export function parseHeartbeat(body: unknown): Parsed<HeartbeatBody> {
  return parse(heartbeatSchema, body);
}

export function parseUpdateState(body: unknown): Parsed<UpdateStateBody> {
  return parse(updateStateSchema, body);
}

export function parseSession(body: unknown): Parsed<SessionBody> {
  return parse(sessionSchema, body);
}

/** `POST /dev/misbehave`; a kind of null ends it. */
export function parseFault(body: unknown): Parsed<Fault | undefined> {
  const parsed = parse(faultSchema, body);
  if ('problem' in parsed) return parsed;
  const { kind, only, times } = parsed.body;
  if (kind === null) return { body: undefined };
  if (!isMisbehaviour(kind)) return { problem: `kind ${kind} is unknown: --help lists them` };
  return { body: { kind, ...(only && { only }), ...(times && { times }) } };
}

interface FaultBody {
  kind: string | null;
  only?: 'register' | 'heartbeat';
  times?: number;
}

const ajv = new Ajv({ strict: true, allowUnionTypes: true });
const text = { type: 'string' };
const u32 = { type: 'integer', minimum: 0, maximum: 0xffff_ffff };
const optionalU32 = { type: ['integer', 'null'], minimum: 0, maximum: 0xffff_ffff };

const registerSchema = ajv.compile<RegisterBody>({
  type: 'object',
  required: ['relay_id', 'endpoints'],
  properties: {
    relay_id: text,
    endpoints: { type: 'array', items: text },
    region: { type: ['string', 'null'] },
    asn: optionalU32,
    max_sessions: optionalU32,
    max_bitrate_kbps: optionalU32,
    features: { type: 'array', items: text },
  },
});

const heartbeatSchema = ajv.compile<HeartbeatBody>({
  type: 'object',
  required: ['relay_id', 'load_pct'],
  properties: { relay_id: text, load_pct: { type: 'number' } },
});

const updateStateSchema = ajv.compile<UpdateStateBody>({
  type: 'object',
  required: ['relay_id', 'new_state'],
  properties: { relay_id: text, new_state: { enum: RELAY_STATES } },
});

const sessionSchema = ajv.compile<SessionBody>({
  type: 'object',
  additionalProperties: false,
  dependencies: { session_id: ['relay_id'] },
  properties: {
    relay_id: text,
    session_id: { type: 'string', pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' },
    client: { type: 'string', minLength: 1, maxLength: 256 },
    server: { type: 'string', minLength: 1, maxLength: 256 },
    soft_kbps: u32,
    hard_kbps: u32,
    lease_seconds: { type: 'integer', minimum: 1, maximum: MAX_LEASE_SECONDS },
    claims: { type: 'object' },
  },
});

const faultSchema = ajv.compile<FaultBody>({
  type: 'object',
  additionalProperties: false,
  required: ['kind'],
  properties: {
    kind: { type: ['string', 'null'] },
    only: { enum: ['register', 'heartbeat'] },
    times: { type: 'integer', minimum: 1 },
  },
});

function parse<T>(validate: ValidateFunction<T>, body: unknown): Parsed<T> {
  if (validate(body)) return { body };
  const error = validate.errors![0]!;
  const field = error.instancePath.slice(1).replaceAll('/', '.');
  const extra =
    error.keyword === 'additionalProperties' ? ` (${String(error.params['additionalProperty'])})` : '';
  return { problem: `${field ? `${field} ` : ''}${error.message}${extra}` };
}
