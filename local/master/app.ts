import { createHash, timingSafeEqual } from 'node:crypto';
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from 'express';
import express from 'express';

import type { DevMaster } from './dev-master.ts';
import { publicKeyHex } from './keys.ts';
import type { Fault } from './misbehave.ts';
import { misbehave } from './misbehave.ts';
import type { Parsed } from './requests.ts';
import { parseFault, parseHeartbeat, parseRegister, parseSession, parseUpdateState } from './requests.ts';

export interface AppOptions {
  /** Bearer token of relays; none: anybody may register. */
  readonly token?: string;
  /** Bearer token of administrators; none: nobody is. */
  readonly adminToken?: string;
  readonly heartbeatIntervalMs: number;
  readonly log: (line: string) => void;
}

/** The HTTP side of Master (wire reference 4), and `/dev/…`, which only a development Master has. */
export function createApp(master: DevMaster, options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);

  app.get('/health', (_request, response) => {
    response.json({ status: 'ok', ...master.health() });
  });
  app.get('/ready', (_request, response) => {
    const { relays_assignable, signing_key_id } = master.health();
    const ready = relays_assignable > 0;
    response.status(ready ? 200 : 503).json({ ready, relays_assignable, signing_key_id });
  });
  app.get('/.well-known/wavry-id', (_request, response) => {
    response.json(master.wavryId());
  });
  app.get('/v1/relays', (_request, response) => {
    response.json(master.list());
  });
  addRelayCalls(app, master, options);
  addAdminCalls(app, master, options);
  addDevelopmentCalls(app, master, options);

  app.use((request) => {
    throw new Refusal(404, `${request.method} ${request.path} is not a call of Master`);
  });
  app.use(onError);
  return app;
}

/** An answer other than 200, thrown. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Smallest bitrate that Master lets a relay offer. */
const MIN_BITRATE_KBPS = 10_000;
/** What axum, under the deployed Master, takes as well. */
const BODY_LIMIT = '2mb';

// As in the deployed Master, a body that can't be read is refused before the token is looked at.
function addRelayCalls(app: Express, master: DevMaster, options: AppOptions): void {
  app.post('/v1/relays/register', ...json, (request, response) => {
    const body = read(parseRegister, request);
    needBearer(request, options.token);
    if (body.relay_id.trim() === '') throw new Refusal(400, 'relay_id is blank');
    if (body.endpoints.length === 0) throw new Refusal(400, 'endpoints is empty');
    const maxBitrateKbps = body.max_bitrate_kbps ?? MIN_BITRATE_KBPS;
    if (maxBitrateKbps < MIN_BITRATE_KBPS) {
      throw new Refusal(400, `max_bitrate_kbps is ${maxBitrateKbps}: at least ${MIN_BITRATE_KBPS}`);
    }
    const { publicKey, keyId } = master.key();
    const answer = {
      heartbeat_interval_ms: options.heartbeatIntervalMs,
      master_public_key: [...publicKey],
      master_key_id: keyId,
    };
    if (spoiled(master.takeFault('register'), answer, request, response)) return;
    const outcome = master.register(body, maxBitrateKbps);
    if (outcome !== 'registered') throw new Refusal(outcome === 'registry full' ? 503 : 403, outcome);
    options.log(`relay ${body.relay_id} registered at ${body.endpoints.join(', ')}`);
    response.json(answer);
  });

  app.post('/v1/relays/heartbeat', ...json, (request, response) => {
    const { relay_id, load_pct } = read(parseHeartbeat, request);
    needBearer(request, options.token);
    if (relay_id.trim() === '') throw new Refusal(400, 'relay_id is blank');
    if (!(load_pct >= 0 && load_pct <= 100)) throw new Refusal(400, `load_pct is ${load_pct}: 0 to 100`);
    if (spoiled(master.takeFault('heartbeat'), { ok: true }, request, response)) return;
    if (!master.heartbeat(relay_id, load_pct)) throw new Refusal(404, `relay ${relay_id} is unknown`);
    response.json({ ok: true });
  });
}

function addAdminCalls(app: Express, master: DevMaster, options: AppOptions): void {
  app.post('/admin/api/relays/update_state', ...json, (request, response) => {
    const { relay_id, new_state } = read(parseUpdateState, request);
    if (options.adminToken === undefined)
      throw new Refusal(401, 'this Master was started without an admin token');
    needBearer(request, options.adminToken);
    if (!master.setState(relay_id, new_state)) throw new Refusal(404, `relay ${relay_id} is unknown`);
    options.log(`relay ${relay_id} set to ${new_state}`);
    response.sendStatus(200);
  });
}

function addDevelopmentCalls(app: Express, master: DevMaster, options: AppOptions): void {
  app.post('/dev/sessions', ...json, (request, response) => {
    const session = master.session(read(parseSession, request));
    if ('refused' in session) response.status(503).json({ error: session.refused });
    else response.json(session);
  });

  app.post('/dev/keys/next', (_request, response) => {
    const key = master.nextKey();
    response.json({ public_key: publicKeyHex(key), key_id: key.keyId });
  });
  app.post('/dev/keys/rotate', (_request, response) => {
    master.rotate();
    options.log(`signing with a new key, ${master.key().keyId}`);
    response.json(master.wavryId());
  });

  app.post('/dev/misbehave', ...json, (request, response) => {
    const fault = read(parseFault, request);
    master.misbehave(fault);
    options.log(fault ? `misbehaving: ${JSON.stringify(fault)}` : 'behaving again');
    response.json({ misbehaving: fault ?? null });
  });
}

const needsJson: RequestHandler = (request, _response, next) => {
  const type = request.get('content-type')?.split(';', 1)[0]!.trim().toLowerCase() ?? '';
  if (!/^application\/([\w.-]+\+)?json$/.test(type)) {
    throw new Refusal(415, 'the content type has to be application/json');
  }
  next();
};

const parseJson: RequestHandler = (request, _response, next) => {
  try {
    const body: Uint8Array = Buffer.isBuffer(request.body) ? request.body : new Uint8Array();
    request.body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (error) {
    throw new Refusal(400, `the body is not JSON: ${(error as Error).message}`);
  }
  next();
};

// Not express.json(): it takes an empty body for {}, where the deployed Master says 400.
const json: RequestHandler[] = [needsJson, express.raw({ limit: BODY_LIMIT, type: () => true }), parseJson];

const onError: ErrorRequestHandler = (
  error: { status?: number; message?: string },
  _request,
  response,
  next,
) => {
  if (response.headersSent) next(error);
  else
    response
      .status(error.status ?? 500)
      .type('text')
      .send(error.message ?? 'internal error');
};

function read<T>(parse: (body: unknown) => Parsed<T>, request: Request): T {
  const parsed = parse(request.body);
  if ('problem' in parsed) throw new Refusal(422, parsed.problem);
  return parsed.body;
}

/** Compares digests, so that neither the time nor a difference in length tells how much of a guess is right. */
function needBearer(request: Request, expected: string | undefined): void {
  if (expected === undefined) return;
  const given = request
    .get('authorization')
    ?.match(/^Bearer (.*)$/)?.[1]
    ?.trim();
  if (given === undefined) throw new Refusal(401, 'a bearer token is needed');
  if (!timingSafeEqual(digest(given), digest(expected))) throw new Refusal(401, 'the bearer token is wrong');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function spoiled(fault: Fault | undefined, good: object, request: Request, response: Response): boolean {
  if (!fault) return false;
  misbehave(fault.kind, good, request, response);
  return true;
}
