import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { suite, test } from 'node:test';

import { startRelay, until } from './relay-process.ts';
import { balancedMetrics, devMaster } from './traffic.ts';

const TOKEN = 'c4n4ry-bearer-token';

// Each test is mostly waiting for a process of its own.
suite('secrets stay secret', { concurrency: 4 }, () => {
  test('tokens and keys are in no line at debug level and on no endpoint', async (context) => {
    const master = await devMaster(context, { token: TOKEN });
    const args = ['--log-level', 'debug', '--ip-rate-limit-pps', '50'];
    const relay = startRelay(
      context,
      [...args, '--master-url', master.url, '--master-public-key', master.publicKeyHex],
      {
        WAVRY_RELAY_MASTER_TOKEN: TOKEN,
      },
    );
    await relay.ready();
    const { client, server } = master.session();
    const other = master.session(
      {},
      { client: { kid: 'another' }, server: { exp_rfc3339: '2020-01-01T00:00:00Z' } },
    );
    const address = await relay.address();
    await present(address, client.session_id, 0, client.token);
    await present(address, server.session_id, 1, server.token);
    await present(address, other.client.session_id, 0, other.client.token);
    await present(address, other.server.session_id, 1, other.server.token);
    await present(address, client.session_id, 1, `${client.token.slice(0, -4)}AAAA`);
    await until('the leases to be judged', async () => {
      const { lease_accepted_packets, auth_reject_packets } = await relay.json('/metrics');
      return lease_accepted_packets === 2 && (auth_reject_packets as number) >= 2 ? true : undefined;
    });
    await balancedMetrics(relay);
    const secrets = [
      TOKEN,
      master.publicKeyHex,
      client.token,
      server.token,
      other.client.token,
      other.server.token,
    ];
    const pages = await Promise.all(
      ['/health', '/ready', '/metrics', '/metrics/prometheus', '/nonsense'].map((path) => relay.get(path)),
    );
    relay.signal('SIGTERM');
    relay.signal('SIGKILL');
    await relay.ended;
    const everything = [relay.stdout(), relay.stderr(), ...pages.map(({ body }) => body)].join('\n');
    assert.match(relay.stdout(), /DEBUG/);
    for (const secret of secrets) assert.ok(!everything.includes(secret), secret);
    assert.doesNotMatch(everything, /v4\.public\.[A-Za-z0-9]/);
  });

  test('a Master that throws the token back, in each kind of answer, does not get it into the log', async (context) => {
    let calls = 0;
    const echo = createServer((request, response) => {
      calls++;
      const { authorization } = request.headers;
      response.writeHead(calls % 2 === 0 ? 200 : 401, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          error: `bad ${authorization}`,
          heartbeat_interval_ms: authorization,
          [String(authorization)]: 1,
        }),
      );
    }).listen(0, '127.0.0.1');
    await once(echo, 'listening');
    context.after(() => echo.close());
    const url = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
    const relay = startRelay(context, [
      '--master-url',
      url,
      '--master-token',
      TOKEN,
      '--log-level',
      'debug',
      '--drain-timeout-secs',
      '0',
    ]);
    await until('two calls', () => (calls >= 2 ? true : undefined));
    const ready = await until('a reason', async () => {
      const { body } = await relay.get('/ready');
      return /no answer yet/.test(body) ? undefined : body;
    });
    relay.signal('SIGTERM');
    await relay.ended;
    assert.ok(![relay.stdout(), relay.stderr(), ready].join('\n').includes('c4n4ry'), relay.stdout());
  });
});

/** LEASE_PRESENT (wire reference 1). */
async function present(address: string, sessionId: string, role: 0 | 1, token: string): Promise<void> {
  const [host, port] = address.split(':') as [string, string];
  const packet = Buffer.concat([
    Buffer.from([0x57, 1, 1, 0]),
    Buffer.from(sessionId.replaceAll('-', ''), 'hex'),
    Buffer.from([role, token.length >> 8, token.length & 255]),
    Buffer.from(token, 'ascii'),
  ]);
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.send(packet, Number(port), host, () => resolve()));
  socket.close();
}
