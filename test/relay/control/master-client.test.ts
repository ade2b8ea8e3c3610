import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import fc from 'fast-check';

import { misbehaviours } from '../../../local/master/misbehave.ts';
import type { DevMasterOptions, RunningDevMaster } from '../../../local/master/server.ts';
import { startDevMaster } from '../../../local/master/server.ts';
import {
  MAX_HEARTBEAT_INTERVAL_MS,
  MIN_HEARTBEAT_INTERVAL_MS,
  checkHeartbeatAnswer,
  parseRegisterAnswer,
  parseRelayList,
} from '../../../relay/control/master-answers.ts';
import type { RegisterCall } from '../../../relay/control/master-client.ts';
import { MasterClient, MasterError, isUnprotected } from '../../../relay/control/master-client.ts';
import { KEY_ID_PATTERN } from '../../../relay/lease/master-key.ts';
import { temporaryFolder } from './temporary-folder.ts';

const TOKEN = 'relay-token-5f2d7c';
const never = new AbortController().signal;
const call: RegisterCall = {
  relayId: 'relay-1',
  endpoints: ['203.0.113.7:4000', '[2001:db8::1]:4000'],
  region: 'us-east-1',
  asn: 64_500,
  maxSessions: 100,
  maxBitrateKbps: 20_000,
};

async function devMaster(context: TestContext, options: DevMasterOptions = {}): Promise<RunningDevMaster> {
  const master = await startDevMaster(options);
  context.after(() => master.close());
  return master;
}

/** A server that answers as told, for what the development Master can't do. */
async function serve(
  context: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function client(url: string, token?: string, tokenFile?: string, timeoutMs = 10_000): MasterClient {
  return new MasterClient({ url: new URL(url), token, tokenFile, timeoutMs });
}

async function failure(promise: Promise<unknown>): Promise<MasterError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof MasterError, String(error));
    assert.doesNotMatch(error.message, /\n/, 'one line');
    assert.ok(error.message.length < 1000);
    assert.ok(!error.message.includes(TOKEN), 'no secret');
    return error;
  }
  throw new assert.AssertionError({ message: 'the call succeeded' });
}

test('registers and sends heartbeats as the wire reference says', async (t) => {
  const master = await devMaster(t, { token: TOKEN });
  const relay = client(master.url, TOKEN);
  const answer = await relay.register(call, never);
  assert.equal(answer.heartbeatIntervalMs, 5000);
  assert.equal(Buffer.from(answer.publicKey).toString('hex'), master.publicKeyHex);
  assert.equal(answer.keyId, master.keyId);
  await relay.heartbeat('relay-1', 12.5, never);
  const [entry] = master.relays();
  assert.deepEqual(
    { ...entry, lastSeenMs: 0 },
    {
      relayId: 'relay-1',
      endpoints: call.endpoints,
      region: 'us-east-1',
      asn: 64_500,
      maxSessions: 100,
      maxBitrateKbps: 20_000,
      features: ['ipv4', 'ipv6'],
      loadPct: 12.5,
      lastSeenMs: 0,
      state: 'Active',
      assignedSinceHeard: 0,
    },
  );
  assert.deepEqual(await relay.list(never), [{ relayId: 'relay-1', endpoints: call.endpoints }]);
});

test('fault 16: a trailing slash in the Master URL is fine, and its path is kept', async (t) => {
  const seen: string[] = [];
  const url = await serve(t, (request, response) => {
    seen.push(request.url!);
    response.setHeader('content-type', 'application/json').end('{"ok":true}');
  });
  for (const tail of ['', '/', '///', '/wavry/master', '/wavry/master/']) {
    await client(url + tail).heartbeat('r', 0, never);
  }
  assert.deepEqual(seen, [
    '/v1/relays/heartbeat',
    '/v1/relays/heartbeat',
    '/v1/relays/heartbeat',
    '/wavry/master/v1/relays/heartbeat',
    '/wavry/master/v1/relays/heartbeat',
  ]);
});

test('fault 16: a Master that never answers, or drips, is given up after the timeout', async (t) => {
  const master = await devMaster(t);
  for (const kind of ['never', 'slow-body'] as const) {
    master.misbehave({ kind });
    const error = await failure(client(master.url, undefined, undefined, 300).register(call, never));
    assert.match(error.message, /did not answer within 0\.3 s/);
    assert.equal(error.mayHaveWorked, true);
  }
});

test('fault 8: whatever Master answers, one error says what is wrong with it', async (t) => {
  const master = await devMaster(t);
  const expected: Record<string, RegExp> = {
    'bad-json': /not JSON/,
    'empty-body': /not JSON/,
    html: /not JSON.*is --master-url right/,
    'json-null': /the answer must be object/,
    'missing-fields': /must have required property 'heartbeat_interval_ms'/,
    'wrong-types': /heartbeat_interval_ms must be integer/,
    'short-key': /master_public_key must NOT have fewer than 32 items/,
    'long-key': /master_public_key must NOT have more than 32 items/,
    'key-not-bytes': /master_public_key\.0 must be <= 255/,
    'long-kid': /master_key_id must NOT have more than 128 characters|more than 65536 bytes/,
    redirect: /redirects to .*redirects are not followed/,
    close: /can't be reached/,
    'huge-body': /more than 65536 bytes/,
    'status-500': /answered 500/,
    never: /did not answer/,
    'slow-body': /did not answer/,
  };
  // Sound as answers go: bounds and the curve are for others to judge.
  const fine = ['interval-zero', 'interval-huge', 'key-not-a-point', 'weak-key'];
  for (const { kind } of misbehaviours()) {
    master.misbehave({ kind });
    const hangs = kind === 'never' || kind === 'slow-body';
    const attempt = client(master.url, undefined, undefined, hangs ? 300 : 10_000).register(call, never);
    if (fine.includes(kind)) {
      const { heartbeatIntervalMs } = await attempt;
      assert.ok(heartbeatIntervalMs >= MIN_HEARTBEAT_INTERVAL_MS);
      assert.ok(heartbeatIntervalMs <= MAX_HEARTBEAT_INTERVAL_MS);
    } else {
      assert.ok(expected[kind], `no expectation for ${kind}`);
      assert.match((await failure(attempt)).message, expected[kind], kind);
    }
  }
});

test('each refusal says what to do', async (t) => {
  const master = await devMaster(t, { token: TOKEN });
  const relay = client(master.url, TOKEN);
  const unauthorized = await failure(client(master.url, 'wrong').register(call, never));
  assert.equal(unauthorized.status, 401);
  assert.match(unauthorized.message, /--master-token/);
  const bitrate = await failure(relay.register({ ...call, maxBitrateKbps: 9999 }, never));
  assert.equal(bitrate.status, 400);
  assert.match(bitrate.message, /--max-bitrate-kbps/);
  const blank = await failure(relay.register({ ...call, relayId: ' ' }, never));
  assert.equal(blank.status, 400);
  for (let i = 0; i < 5; i++) await relay.register({ ...call, relayId: `other-${i}` }, never);
  const five = await failure(relay.register(call, never));
  assert.equal(five.status, 403);
  assert.match(five.message, /five relays.*600 s/);
  const unknown = await failure(relay.heartbeat('nobody', 0, never));
  assert.equal(unknown.status, 404);
  assert.equal(unknown.mayHaveWorked, false);
  const load = await failure(relay.heartbeat('other-0', 101, never));
  assert.equal(load.status, 400);
});

test('a refusal counts by its status, however long or slow its text is', async (t) => {
  const url = await serve(t, (_request, response) => {
    response.writeHead(404).write('x'.repeat(5000));
  });
  const error = await failure(client(url).heartbeat('r', 0, never));
  assert.equal(error.status, 404);
});

test('a token that the other side prints is not repeated', async (t) => {
  const url = await serve(t, (request, response) => {
    response.writeHead(502).end(`bad gateway for\r\n\u{1b}[31m${request.headers.authorization}`);
  });
  const error = await failure(client(url, TOKEN).heartbeat('r', 0, never));
  assert.match(error.message, /502 \("bad gateway for \[31mBearer \(token\)"\)/);
});

test('a redirect is not followed, and the token stays here', async (t) => {
  const seen: string[] = [];
  const elsewhere = await serve(t, (request, response) => {
    seen.push(request.url!);
    response.end('{"ok":true}');
  });
  const url = await serve(t, (_request, response) => {
    response.writeHead(307, { location: `${elsewhere}/v1/relays/heartbeat` }).end();
  });
  const error = await failure(client(url, TOKEN).heartbeat('r', 0, never));
  assert.equal(error.status, 307);
  assert.ok(error.message.includes(elsewhere));
  assert.deepEqual(seen, []);
});

test('the token file is read at each call and wins over the flag', async (t) => {
  const file = join(temporaryFolder(t), 'token');
  const seen: (string | undefined)[] = [];
  const url = await serve(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end('{"ok":true}');
  });
  const relay = client(url, 'flag', file);
  writeFileSync(file, 'one\n');
  await relay.heartbeat('r', 0, never);
  writeFileSync(file, 'two');
  await relay.heartbeat('r', 0, never);
  assert.deepEqual(seen, ['Bearer one', 'Bearer two']);
});

test('a token file that is missing, empty, long, no file or not one token is named, and nothing is sent', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'token');
  let calls = 0;
  const url = await serve(t, (_request, response) => {
    calls++;
    response.end('{"ok":true}');
  });
  const attempt = async (path: string): Promise<string> =>
    (await failure(client(url, undefined, path).heartbeat('r', 0, never))).message;
  assert.match(await attempt(file), /no token for Master: .*token does not exist/);
  for (const text of ['', ' \n', 'a b', `${TOKEN}\n${TOKEN}`, 'tök', '\0']) {
    writeFileSync(file, text);
    assert.match(await attempt(file), /has to hold one token of printable ASCII/);
  }
  writeFileSync(file, 'x'.repeat(20_000));
  assert.match(await attempt(file), /longer than 16384 bytes/);
  mkdirSync(join(folder, 'directory'));
  assert.match(await attempt(join(folder, 'directory')), /not a regular file/);
  symlinkSync('/dev/zero', join(folder, 'zero'));
  assert.match(await attempt(join(folder, 'zero')), /not a regular file/);
  assert.equal(calls, 0);
});

test('what can not be reached is told apart from what may have worked', async (t) => {
  const master = await startDevMaster();
  await master.close();
  const refused = await failure(client(master.url).register(call, never));
  assert.match(refused.message, /can't be reached: .*ECONNREFUSED/);
  assert.equal(refused.mayHaveWorked, false);
  const url = await serve(t, (request) => {
    request.socket.destroy();
  });
  assert.equal((await failure(client(url).register(call, never))).mayHaveWorked, true);
});

test('an upgrade that nobody asked for is an answer like any other', async (t) => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const relay = client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const error = await failure(relay.register(call, never));
  assert.match(error.message, /answered 101.*--master-url/);
  assert.equal(error.status, 101);
});

test('goes through the proxy that the environment names, and never says its password', async (t) => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers['proxy-authorization']}`);
    response.end('{"ok":true}');
  }).listen(0, '127.0.0.1');
  proxy.on('connect', (request: IncomingMessage, socket: Socket) => {
    seen.push(`CONNECT ${request.url}`);
    if (request.url === 'refused.test:443') socket.end('HTTP/1.1 407 no\r\ncontent-length: 0\r\n\r\n');
    else socket.resume();
    socket.on('end', () => socket.end()).on('error', () => {});
  });
  await once(proxy, 'listening');
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  const at = `http://me:${TOKEN}@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const through = (url: string, environment: NodeJS.ProcessEnv, timeoutMs = 10_000): MasterClient =>
    new MasterClient({ url: new URL(url), token: undefined, tokenFile: undefined, timeoutMs, environment });

  await through('http://master.test', { HTTP_PROXY: at }).heartbeat('relay-1', 1, never);
  const basic = Buffer.from(`me:${TOKEN}`).toString('base64');
  assert.deepEqual(seen.splice(0), [`http://master.test/v1/relays/heartbeat Basic ${basic}`]);

  const refused = await failure(through('https://refused.test', { HTTPS_PROXY: at }).register(call, never));
  assert.match(refused.message, /tunnel.*407/);
  const silent = await failure(
    through('https://silent.test', { https_proxy: at }, 2000).register(call, never),
  );
  assert.match(silent.message, /did not answer within 2 s/);
  assert.deepEqual(seen.splice(0), ['CONNECT refused.test:443', 'CONNECT silent.test:443']);

  const { url } = await devMaster(t);
  await through(url, { HTTP_PROXY: at, NO_PROXY: '127.0.0.1' }).register(call, never);
  assert.deepEqual(seen, []);
  const wrong = await failure(through(url, { HTTP_PROXY: `http://me:${TOKEN}@[x` }).register(call, never));
  assert.match(wrong.message, /HTTP_PROXY or HTTPS_PROXY is no http/);
});

test('a call can be cut short', async (t) => {
  const master = await devMaster(t, { misbehave: { kind: 'never' } });
  const stop = new AbortController();
  const attempt = failure(client(master.url).heartbeat('r', 0, stop.signal));
  setTimeout(() => stop.abort(), 20);
  await attempt;
  await failure(client(master.url).heartbeat('r', 0, AbortSignal.abort()));
});

test('plain HTTP is unprotected unless it stays on this machine', () => {
  for (const url of ['http://master.example', 'http://10.0.0.1:8080', 'http://127.example.com']) {
    assert.equal(isUnprotected(new URL(url)), true, url);
  }
  for (const url of [
    'https://master.example',
    'http://localhost:8080',
    'http://127.8.0.1',
    'http://[::1]:8080',
  ]) {
    assert.equal(isUnprotected(new URL(url)), false, url);
  }
});

test('unknown fields of an answer are fine, a null key id is none', () => {
  const answer = parseRegisterAnswer({
    heartbeat_interval_ms: 5000,
    master_public_key: Array(32).fill(7),
    master_key_id: null,
    lease_ttl: 'new in the next version',
  });
  assert.equal(answer.keyId, undefined);
  checkHeartbeatAnswer({ ok: true, state: 'Active' });
  assert.throws(() => checkHeartbeatAnswer({ ok: false }), /ok must be equal to constant/);
});

test('a key id is whatever Master was given, if it is neither blank nor full of control characters', () => {
  const answer = (id: string): unknown => ({
    heartbeat_interval_ms: 5000,
    master_public_key: Array(32).fill(7),
    master_key_id: id,
  });
  for (const id of ['cHJvZA==', 'prod=2026', 'Master key 2', 'ключ-1']) {
    assert.equal(parseRegisterAnswer(answer(id)).keyId, id);
  }
  for (const id of ['', ' ', 'a\nb', 'k'.repeat(129)]) {
    assert.throws(() => parseRegisterAnswer(answer(id)), /master_key_id must/);
  }
});

test('whatever JSON comes, an answer is within bounds or an error names what is wrong', () => {
  const field = fc.oneof(
    fc.jsonValue(),
    fc.integer(),
    fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 32, maxLength: 32 }),
    fc.string(),
  );
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record(
      { heartbeat_interval_ms: field, master_public_key: field, master_key_id: field },
      { requiredKeys: [] },
    ),
  );
  const KEY_ID = new RegExp(KEY_ID_PATTERN, 'u');
  fc.assert(
    fc.property(body, (value) => {
      let answer;
      try {
        answer = parseRegisterAnswer(value);
      } catch (error) {
        assert.ok((error as Error).message.length < 200);
        return;
      }
      assert.ok(answer.heartbeatIntervalMs >= 500 && answer.heartbeatIntervalMs <= 60_000);
      assert.equal(answer.publicKey.length, 32);
      assert.ok(answer.keyId === undefined || KEY_ID.test(answer.keyId));
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      try {
        for (const relay of parseRelayList(value)) assert.equal(typeof relay.relayId, 'string');
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
  );
});
