import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { Point } from '@noble/ed25519';

import { misbehaviours } from '../../../local/master/misbehave.ts';
import type { DevMasterOptions, RunningDevMaster } from '../../../local/master/server.ts';
import { parseListen, startDevMaster } from '../../../local/master/server.ts';

const RELAY = {
  relay_id: 'relay-1',
  endpoints: ['192.0.2.1:4000'],
  region: 'us-east-1',
  max_sessions: 100,
  max_bitrate_kbps: 20_000,
  features: ['ipv4'],
};
const JSON_TYPE = { 'content-type': 'application/json' };

async function start(t: TestContext, options: DevMasterOptions = {}): Promise<RunningDevMaster> {
  const master = await startDevMaster(options);
  t.after(() => master.close());
  return master;
}

async function post(
  master: RunningDevMaster,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; json: () => Record<string, unknown> }> {
  const response = await fetch(master.url + path, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, text, json: () => JSON.parse(text) as Record<string, unknown> };
}

async function get(master: RunningDevMaster, path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(master.url + path);
  return { status: response.status, body: await response.json() };
}

test('registering answers with the interval, the key as 32 integers and its id', async (t) => {
  const master = await start(t, { heartbeatIntervalMs: 1234 });
  const answer = await post(master, '/v1/relays/register', RELAY);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json(), {
    heartbeat_interval_ms: 1234,
    master_public_key: [...Buffer.from(master.publicKeyHex, 'hex')],
    master_key_id: master.keyId,
  });
  assert.equal((answer.json()['master_public_key'] as unknown[]).length, 32);
});

test('optional fields may be left out or null', async (t) => {
  const master = await start(t);
  assert.equal(
    (await post(master, '/v1/relays/register', { relay_id: 'a', endpoints: ['h:1'] })).status,
    200,
  );
  const nulls = { ...RELAY, region: null, asn: null, max_sessions: null, max_bitrate_kbps: null };
  assert.equal((await post(master, '/v1/relays/register', nulls)).status, 200);
});

test('a registration that makes no sense is refused with 400', async (t) => {
  const master = await start(t);
  for (const change of [
    { relay_id: '' },
    { relay_id: ' \t' },
    { endpoints: [] },
    { max_bitrate_kbps: 9_999 },
  ]) {
    const answer = await post(master, '/v1/relays/register', { ...RELAY, ...change });
    assert.equal(answer.status, 400, JSON.stringify(change));
    assert.match(answer.text, new RegExp(Object.keys(change)[0]!));
  }
  assert.equal(
    (await post(master, '/v1/relays/register', { ...RELAY, max_bitrate_kbps: 10_000 })).status,
    200,
  );
});

test('fields that are missing or ill-typed are refused with 422', async (t) => {
  const master = await start(t);
  for (const body of [
    {},
    [],
    'null',
    { endpoints: ['h:1'] },
    { relay_id: 'a' },
    { ...RELAY, relay_id: 5 },
    { ...RELAY, endpoints: 'h:1' },
    { ...RELAY, endpoints: [1] },
    { ...RELAY, max_sessions: '100' },
    { ...RELAY, max_sessions: -1 },
    { ...RELAY, asn: 2 ** 32 },
    { ...RELAY, max_bitrate_kbps: 10_000.5 },
    { ...RELAY, features: null },
  ]) {
    assert.equal((await post(master, '/v1/relays/register', body)).status, 422, JSON.stringify(body));
  }
  for (const body of [{}, { relay_id: 'relay-1' }, { relay_id: 'relay-1', load_pct: '7' }]) {
    assert.equal((await post(master, '/v1/relays/heartbeat', body)).status, 422, JSON.stringify(body));
  }
});

test('only JSON is read: 415 for another type, 400 for broken JSON, 413 for too much', async (t) => {
  const master = await start(t);
  for (const path of ['/v1/relays/register', '/v1/relays/heartbeat', '/admin/api/relays/update_state']) {
    assert.equal((await post(master, path, RELAY, { 'content-type': 'text/plain' })).status, 415);
    const untyped = await fetch(master.url + path, { method: 'POST', body: Buffer.from('{}') });
    assert.equal(untyped.status, 415);
    assert.equal((await post(master, path, '{"relay_id":')).status, 400);
    assert.equal((await post(master, path, '')).status, 400);
    assert.equal((await post(master, path, `"${'x'.repeat(3_000_000)}"`)).status, 413);
  }
  const withCharset = await post(master, '/v1/relays/register', RELAY, {
    'content-type': 'application/json; charset=utf-8',
  });
  assert.equal(withCharset.status, 200);
});

test('with a token set, both calls of relays need it', async (t) => {
  const master = await start(t, { token: 'secret' });
  for (const [path, body] of [
    ['/v1/relays/register', RELAY],
    ['/v1/relays/heartbeat', { relay_id: 'relay-1', load_pct: 0 }],
  ] as const) {
    for (const authorization of ['', 'Bearer ', 'Bearer secre', 'Bearer secret2', 'Basic secret', 'secret']) {
      const headers: Record<string, string> = authorization ? { authorization } : {};
      assert.equal((await post(master, path, body, headers)).status, 401, `${path} with "${authorization}"`);
    }
    assert.equal((await post(master, path, body, { authorization: 'Bearer secret' })).status, 200);
  }
});

test('a sixth relay at one IP is refused with 403, also when it was there before', async (t) => {
  const master = await start(t);
  const register = (id: number, endpoint: string): Promise<{ status: number }> =>
    post(master, '/v1/relays/register', { ...RELAY, relay_id: `r${id}`, endpoints: [endpoint] });
  for (let i = 0; i < 5; i++) assert.equal((await register(i, `10.0.0.1${i}:4000`)).status, 200);
  assert.equal((await register(6, '10.0.0.1:4000')).status, 403);
  assert.equal((await register(0, '10.0.0.10:4000')).status, 200);
});

test('heartbeats are answered, and 404 asks a relay to register', async (t) => {
  const master = await start(t);
  const beat = (load_pct: number): ReturnType<typeof post> =>
    post(master, '/v1/relays/heartbeat', { relay_id: 'relay-1', load_pct });
  assert.equal((await beat(0)).status, 404);
  await post(master, '/v1/relays/register', RELAY);
  assert.deepEqual((await beat(12.5)).json(), { ok: true });
  assert.equal((await beat(-0.1)).status, 400);
  assert.equal((await beat(100.1)).status, 400);
  assert.equal((await post(master, '/v1/relays/heartbeat', { relay_id: ' ', load_pct: 1 })).status, 400);
  assert.deepEqual(master.calls(), { register: 1, heartbeat: 2 });
});

test('the registry is listed as the wire says', async (t) => {
  let nowMs = 1000;
  const master = await start(t, { clocks: { monotonicMs: () => nowMs } });
  assert.deepEqual((await get(master, '/v1/relays')).body, []);
  await post(master, '/v1/relays/register', RELAY);
  await post(master, '/v1/relays/heartbeat', { relay_id: 'relay-1', load_pct: 87.5 });
  nowMs += 250;
  assert.deepEqual((await get(master, '/v1/relays')).body, [
    {
      relay_id: 'relay-1',
      endpoints: ['192.0.2.1:4000'],
      load_pct: 87.5,
      last_seen_ms_ago: 250,
      max_bitrate_kbps: 20_000,
      state: 'Probation',
    },
  ]);
  nowMs += 600_001;
  assert.deepEqual((await get(master, '/v1/relays')).body, []);
});

test('health, readiness and the well-known identity', async (t) => {
  const master = await start(t);
  assert.deepEqual(await get(master, '/.well-known/wavry-id'), {
    status: 200,
    body: { public_key: master.publicKeyHex, key_id: master.keyId, version: '1.0' },
  });
  assert.equal((await get(master, '/health')).status, 200);
  assert.equal((await get(master, '/ready')).status, 503);
  await post(master, '/v1/relays/register', RELAY);
  assert.equal((await get(master, '/ready')).status, 200);
  assert.equal((await fetch(`${master.url}/nowhere`)).status, 404);
});

test('an administrator marks relays; nobody else does', async (t) => {
  const adminToken = 'a'.repeat(32);
  const master = await start(t, { adminToken });
  const path = '/admin/api/relays/update_state';
  const admin = { authorization: `Bearer ${adminToken}` };
  const drain = { relay_id: 'relay-1', new_state: 'Draining' };
  assert.equal((await post(master, path, drain)).status, 401);
  assert.equal((await post(master, path, drain, { authorization: 'Bearer wrong' })).status, 401);
  assert.equal((await post(master, path, drain, admin)).status, 404);
  await post(master, '/v1/relays/register', RELAY);
  assert.equal((await post(master, path, { ...drain, new_state: 'draining' }, admin)).status, 422);
  assert.equal((await post(master, path, drain, admin)).status, 200);
  await post(master, '/v1/relays/heartbeat', { relay_id: 'relay-1', load_pct: 5 });
  assert.equal(master.relays()[0]!.state, 'Draining');
  const unset = await start(t);
  assert.equal((await post(unset, path, drain, { authorization: 'Bearer ' })).status, 401);
});

test('a session is two leases for one relay, or 503 with the reason', async (t) => {
  const master = await start(t);
  const none = await post(master, '/dev/sessions', {});
  assert.deepEqual([none.status, none.json()], [503, { error: 'no relay is registered' }]);
  assert.throws(() => master.session(), /no relay is registered/);
  await post(master, '/v1/relays/register', RELAY);

  const session = await post(master, '/dev/sessions', {
    client: 'alice',
    soft_kbps: 200_000,
    lease_seconds: 60,
  });
  assert.equal(session.status, 200);
  const { client, server } = session.json() as unknown as ReturnType<RunningDevMaster['session']>;
  for (const peer of [client, server]) {
    assert.equal(peer.relay_id, 'relay-1');
    assert.equal(peer.addr, '192.0.2.1:4000');
    assert.equal(peer.session_id, client.session_id);
  }
  const claims = claimsOf(client.token);
  assert.equal(claims['sub'], 'alice');
  assert.equal(claims['role'], 'client');
  assert.equal(claims['kid'], master.keyId);
  assert.equal(claims['hlimit'], 200_000);
  assert.equal(seconds(claims['exp_rfc3339']) - seconds(claims['iat_rfc3339']), 60);
  assert.equal(claimsOf(server.token)['role'], 'server');

  for (const bad of [{ soft_kbps: -1 }, { lease_seconds: 3601 }, { session_id: 'x' }, { nonsense: 1 }]) {
    assert.equal((await post(master, '/dev/sessions', bad)).status, 422, JSON.stringify(bad));
  }
});

test('fresh leases of a session are newer and go to its relay, whatever its mark', async (t) => {
  const master = await start(t);
  await post(master, '/v1/relays/register', RELAY);
  const first = master.session().client;
  master.setState('relay-1', 'Draining');
  assert.throws(() => master.session(), /relay-1 is Draining/);
  const again = master.session({ relay_id: 'relay-1', session_id: first.session_id }).client;
  assert.equal(again.session_id, first.session_id);
  const [before, after] = [first.token, again.token].map((token) => claimsOf(token)['iat_rfc3339'] as string);
  assert.ok(after! > before!, `${after} is later than ${before}`);
  assert.equal((await post(master, '/dev/sessions', { session_id: first.session_id })).status, 422);
});

test('a new key signs from the rotation on, and survives in the key file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dev-master-rotate-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const keyFile = join(folder, 'master.pem');
  const master = await start(t, { keyFile });
  const before = master.keyId;
  const next = await post(master, '/dev/keys/next', {});
  assert.deepEqual((await post(master, '/dev/keys/next', {})).json(), next.json());
  assert.equal(master.keyId, before, 'it only tells the next key');
  const answer = await post(master, '/dev/keys/rotate', {});
  assert.equal(answer.json()['public_key'], next.json()['public_key']);
  assert.notEqual(master.keyId, before);
  assert.equal(answer.json()['key_id'], master.keyId);
  const registered = await post(master, '/v1/relays/register', RELAY);
  assert.equal(registered.json()['master_key_id'], master.keyId);
  assert.equal(claimsOf(master.session().client.token)['kid'], master.keyId);
  const again = await start(t, { keyFile });
  assert.equal(again.publicKeyHex, master.publicKeyHex);
});

test('every kind of misbehaviour is an answer no relay should believe', async (t) => {
  const master = await start(t);
  for (const { kind } of misbehaviours()) {
    const set = await post(master, '/dev/misbehave', { kind, only: 'register', times: 1 });
    assert.equal(set.status, 200, kind);
    // Some of them never come to an end.
    const verdict = await believed(master, 1000);
    assert.notEqual(verdict, 'a good answer', kind);
    assert.equal(await believed(master, 20_000), 'a good answer', `${kind} was to happen once`);
  }
  assert.equal((await post(master, '/dev/misbehave', { kind: 'sulk' })).status, 422);
  await post(master, '/dev/misbehave', { kind: 'status-418' });
  assert.equal((await post(master, '/v1/relays/heartbeat', { relay_id: 'x', load_pct: 1 })).status, 418);
  await post(master, '/dev/misbehave', { kind: null });
  assert.equal((await post(master, '/v1/relays/heartbeat', { relay_id: 'x', load_pct: 1 })).status, 404);
});

test('an address to listen on is an ip and a port', () => {
  assert.deepEqual(parseListen('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseListen('[::1]:8080'), { host: '::1', port: 8080 });
  for (const bad of ['', 'localhost:80', '127.0.0.1', '::1:80', '1.2.3.4:65536', '1.2.3.4:-1']) {
    assert.throws(() => parseListen(bad), /is not an ip:port/);
  }
});

/** What a careful reader makes of Master's answer to a registration. */
async function believed(master: RunningDevMaster, patienceMs: number): Promise<string> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patienceMs);
  try {
    const response = await fetch(`${master.url}/v1/relays/register`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify(RELAY),
      redirect: 'error',
      signal: stop.signal,
    });
    if (!response.ok) return `status ${response.status}`;
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.length > 200_000) return 'too long';
    }
    const answer = JSON.parse(text) as Record<string, unknown>;
    const key = answer['master_public_key'] as number[];
    const point = Point.fromHex(Buffer.from(Uint8Array.from(key)).toString('hex'), false);
    if (key.length !== 32 || key.some((byte) => !Number.isInteger(byte) || byte < 0 || byte > 255))
      return 'bad key';
    if (point.isSmallOrder()) return 'weak key';
    if ((answer['master_key_id'] as string).length > 256) return 'bad key id';
    const interval = answer['heartbeat_interval_ms'] as number;
    return interval > 0 && interval < 3_600_000 ? 'a good answer' : 'bad interval';
  } catch (error) {
    return String(error);
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

function claimsOf(token: string): Record<string, unknown> {
  const payload = Buffer.from(token.split('.')[2]!, 'base64url').subarray(0, -64);
  return JSON.parse(payload.toString()) as Record<string, unknown>;
}

function seconds(time: unknown): number {
  return Math.round(Date.parse(`${(time as string).slice(0, 23)}Z`) / 1000);
}
