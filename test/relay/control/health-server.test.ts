import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import * as fc from 'fast-check';

import { ControlError } from '../../../relay/control/groundwork.ts';
import { startHealthServer } from '../../../relay/control/health-server.ts';
import type { MetricSources } from '../../../relay/control/metrics.ts';
import { RELAY_ID, servingRelay } from './health-fixture.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0, family: 4 } as const;

interface Running {
  readonly url: string;
  readonly port: number;
  readonly lines: string[];
}

async function serve(context: TestContext, sources: MetricSources): Promise<Running> {
  const lines: string[] = [];
  const server = await startHealthServer(LOOPBACK, sources, (level, message, fields) =>
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
  );
  context.after(() => server.close());
  const { port } = server.address;
  return { url: `http://127.0.0.1:${port}`, port, lines };
}

async function get(
  url: string,
  method = 'GET',
): Promise<{ status: number; type: string | null; body: string }> {
  const response = await fetch(url, { method });
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}

/** Sends bytes as they are and gives what came back until the other side closed, or `waitMs` passed. */
async function raw(port: number, bytes: Uint8Array | string, waitMs = 60_000): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  socket.end(bytes);
  await Promise.race([closed, sleep(waitMs, undefined, { ref: false })]);
  socket.destroy();
  return text;
}

test("/health has the guide's keys, today's relay's and ours", async (context) => {
  const { url } = await serve(context, servingRelay().sources);
  const { status, type, body } = await get(`${url}/health`);
  assert.equal(status, 200);
  assert.match(type!, /^application\/json/);
  const { metrics, version, ...rest } = JSON.parse(body);
  assert.deepEqual(rest, {
    relay_id: RELAY_ID,
    status: 'ok',
    state: 'serving',
    ready: true,
    has_master_key: true,
    registered_with_master: true,
    draining: false,
    endpoints: ['192.0.2.1:4000'],
    active_sessions: 12,
    total_sessions: 15,
    max_sessions: 100,
    uptime_secs: 3600,
  });
  assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.equal(metrics.packets_rx, 1000);
  assert.deepEqual(metrics, JSON.parse((await get(`${url}/metrics`)).body));
});

test('fault 8: before datapath and Master there is a /health that says starting, and a /ready that says why not', async (context) => {
  const relay = servingRelay();
  relay.running = false;
  relay.status = {
    ...relay.status,
    state: 'starting',
    ready: false,
    notReadyReason: 'not registered with Master yet',
    registered: false,
  };
  const { url } = await serve(context, relay.sources);
  const health = await get(`${url}/health`);
  assert.equal(health.status, 200);
  assert.equal(JSON.parse(health.body).state, 'starting');
  assert.equal(JSON.parse(health.body).metrics.packets_rx, 0);
  const ready = await get(`${url}/ready`);
  assert.equal(ready.status, 503);
  assert.deepEqual(JSON.parse(ready.body), {
    relay_id: RELAY_ID,
    ready: false,
    state: 'starting',
    reason: 'not registered with Master yet',
  });
  assert.equal((await get(`${url}/metrics/prometheus`)).status, 200);
});

test('/ready is 200 for a relay that is full and overloaded: it never depends on load', async (context) => {
  const relay = servingRelay();
  relay.status = {
    ...relay.status,
    gauges: { ...relay.status.gauges, overloaded: true, workerBusyRatio: 1 },
  };
  const { url } = await serve(context, { ...relay.sources, maxSessions: 1 });
  const { status, body } = await get(`${url}/ready`);
  assert.equal(status, 200);
  assert.deepEqual(JSON.parse(body), { relay_id: RELAY_ID, ready: true, state: 'serving' });
});

test('/health is 500 with a reason for a dead data plane', async (context) => {
  const relay = servingRelay();
  relay.status = { ...relay.status, healthy: false, unhealthyReason: 'worker 1 is stalled' };
  const { url } = await serve(context, relay.sources);
  const { status, body } = await get(`${url}/health`);
  assert.equal(status, 500);
  assert.equal(JSON.parse(body).reason, 'worker 1 is stalled');
});

test('HEAD, conditions, unknown paths, other methods, bodies and long URLs', async (context) => {
  const { url, port } = await serve(context, servingRelay().sources);
  for (const path of ['/health', '/ready', '/metrics', '/metrics/prometheus']) {
    const head = await get(url + path, 'HEAD');
    assert.deepEqual([head.status, head.body], [200, ''], path);
    const conditional = await raw(port, `GET ${path} HTTP/1.0\r\nIf-None-Match: *\r\n\r\n`);
    assert.match(conditional, /^HTTP\/1\.1 200 [^]*\r\n\r\n[^]/, path);
  }
  for (const path of [
    '/',
    '/nonsense',
    '/health/x',
    '/%zz',
    '/..%2f..%2fetc/passwd',
    '/metrics/prometheus/x',
  ]) {
    const { status, type, body } = await get(url + path);
    assert.equal(status, 404, path);
    assert.match(type!, /^application\/json/);
    assert.match(JSON.parse(body).error, /\/health/);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const response = await fetch(`${url}/health`, { method });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get('allow'), 'GET, HEAD');
    await response.text();
  }
  assert.match(
    await raw(port, 'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'),
    /^HTTP\/1\.1 413 /,
  );
  assert.match(
    await raw(port, 'GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    /^HTTP\/1\.1 413 /,
  );
  assert.match(await raw(port, `GET /${'x'.repeat(2000)} HTTP/1.1\r\nHost: x\r\n\r\n`), /^HTTP\/1\.1 414 /);
  assert.match(
    await raw(port, `GET /health HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 /,
  );
  assert.equal((await get(`${url}/health?verbose=1&x[y]=z`)).status, 200);
});

test('an error inside is logged and answered without its text', async (context) => {
  const relay = servingRelay();
  const { url, lines } = await serve(context, {
    ...relay.sources,
    status: () => {
      throw new Error('c4n4ry in a stack');
    },
  });
  for (const path of ['/health', '/ready', '/metrics', '/metrics/prometheus']) {
    const { status, body } = await get(url + path);
    assert.equal(status, 500);
    assert.doesNotMatch(body, /c4n4ry|\.ts|at /);
  }
  assert.equal(lines.length, 4);
  assert.match(lines[0]!, /^error health endpoint failed .*c4n4ry/);
});

test('hostile bytes get an error or nothing, and never take the server down', async (context) => {
  const { url, port } = await serve(context, servingRelay().sources);
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      'GET /health HTTP/1.1',
      'GET * HTTP/1.1',
      'GET http://x/ HTTP/1.1',
      'CONNECT a:1 HTTP/1.1',
      'PRI * HTTP/2.0',
      'GET /health HTTP/9.9',
    ),
    fc.constantFrom(
      'Host: x',
      'Host:',
      'Content-Length: -1',
      'Content-Length: 99999999999999999999',
      'Content-Length: 1\r\nContent-Length: 2',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: x, chunked',
      'Upgrade: websocket\r\nConnection: Upgrade',
      'Expect: 100-continue',
      'Expect: x',
      ': x',
      'A:\u0000',
    ),
  );
  const request = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.array(line, { maxLength: 6 }).map((lines) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')),
  );
  await fc.assert(
    fc.asyncProperty(request, async (bytes) => {
      const text = await raw(port, bytes);
      assert.doesNotMatch(text, /node_modules|\.ts:|\n\s+at /);
      for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d+)/gm)) {
        assert.match(status!, /^(?:100|200|400|404|405|408|413|414|417|431|501)$/);
      }
    }),
    { numRuns: 150 },
  );
  assert.equal((await get(`${url}/health`)).status, 200);
});

test('hoarded connections never keep a probe out', async (context) => {
  const { url, port } = await serve(context, servingRelay().sources);
  const hoard: Socket[] = [];
  context.after(() => {
    for (const socket of hoard) socket.destroy();
  });
  for (let i = 0; i < 300; i++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    hoard.push(socket);
    await once(socket, 'connect');
    socket.write('GET /health HTTP/1.1\r\nX-Slow: ');
  }
  assert.equal((await get(`${url}/ready`)).status, 200);
  while (hoard.filter((socket) => socket.destroyed).length < 300 - 64) await sleep(10);
});

test('fault 10: a busy health port is an error that names it, not another port', async (context) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  context.after(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  await assert.rejects(
    startHealthServer({ ...LOOPBACK, port }, servingRelay().sources, () => {}),
    (error) => {
      assert.ok(error instanceof ControlError);
      assert.equal(error.exitCode, 1);
      assert.match(
        error.message,
        new RegExp(`^--health-listen 127\\.0\\.0\\.1:${port}: another process listens there`),
      );
      return true;
    },
  );
  await assert.rejects(
    startHealthServer({ ...LOOPBACK, host: '192.0.2.1' }, servingRelay().sources, () => {}),
    /--health-listen 192\.0\.2\.1:0: this machine has no such address/,
  );
});

test('[::] answers on IPv4 too, whether the kernel has IPv6 or not', async (context) => {
  const server = await startHealthServer(
    { host: '::', port: 0, family: 6 },
    servingRelay().sources,
    () => {},
  );
  context.after(() => server.close());
  assert.equal((await get(`http://127.0.0.1:${server.address.port}/health`)).status, 200);
});

test('closing ends idle keep-alive connections and those that never ask', async () => {
  const server = await startHealthServer(LOOPBACK, servingRelay().sources, () => {});
  const { port } = server.address;
  const idle = connect(port, '127.0.0.1');
  idle.resume();
  await once(idle, 'connect');
  idle.write('GET /ready HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(idle, 'data');
  const silent = connect(port, '127.0.0.1').resume();
  await once(silent, 'connect');
  await sleep(20);
  const ended = [once(idle, 'close'), once(silent, 'close')];
  await server.close();
  await Promise.all(ended);
});
