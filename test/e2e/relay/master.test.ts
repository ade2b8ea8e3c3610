import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { TestContext } from 'node:test';

import { startRelay, until } from './relay-process.ts';
import {
  balancedMetrics,
  devMaster,
  received,
  stopWithoutLoss,
  talking,
  temporaryDirectory,
} from './traffic.ts';

// Each test is mostly waiting for a process of its own.
suite('a relay and its Master', { concurrency: 4 }, () => {
  test('fault 16: a slash at the end of the URL is fine', async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, ['--master-url', `${master.url}/`]);
    await relay.ready();
    assert.equal(master.relays().length, 1);
  });

  test('fault 16: while Master never answers, /ready is 503 with the reason and SIGTERM ends the relay', async (context) => {
    let calls = 0;
    const url = await fakeMaster(context, () => calls++);
    const relay = startRelay(context, ['--master-url', url]);
    await until('a call', () => (calls > 0 ? true : undefined));
    const { status, body } = await relay.get('/ready');
    assert.equal(status, 503);
    assert.match(JSON.parse(body).reason, /not registered with Master/);
    relay.signal('SIGTERM');
    assert.deepEqual(await relay.ended, { code: 0, signal: null });
  });

  test('an outage of Master touches neither traffic nor readiness, and the relay registers again afterwards', async (context) => {
    const keyFile = join(temporaryDirectory(context), 'key.pem');
    // A port that nobody else takes meanwhile.
    const master = await devMaster(context, { keyFile, listen: '127.0.0.16:0' });
    const relay = startRelay(context, ['--master-url', master.url]);
    await relay.ready();
    const peers = talking(context, master, 2);
    await received(peers, 20);

    await master.close();
    await relay.line(/WARN .*Failed to connect to Master/);
    await received(peers, 50);
    assert.equal((await relay.get('/ready')).status, 200);
    assert.equal((await relay.json('/health'))['active_sessions'], 2);

    const again = await devMaster(context, { keyFile, listen: new URL(master.url).host });
    await until('the relay at the new Master', () => (again.relays().length === 1 ? true : undefined));
    await stopWithoutLoss(peers);
    assert.equal((await balancedMetrics(relay))['lease_present_packets'], 4);
  });

  test("fault 13: a re-registration's key is taken, leases of the key before stay good", async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, ['--master-url', master.url]);
    await relay.ready();
    const before = talking(context, master, 2);
    await received(before, 10);
    const old = master.session();

    master.rotate();
    master.misbehave({ kind: 'status-404', only: 'heartbeat', times: 1 });
    await relay.line(/Master signs leases with another key now/);
    const after = talking(context, master, 2);
    await received(after, 10);
    await received(before, 10);
    const held = talking(context, () => Promise.resolve(old), 1);
    await received(held, 5);
    await Promise.all([before, after, held].map(stopWithoutLoss));
    assert.equal((await balancedMetrics(relay))['auth_reject_packets'], 0);
  });

  test('a Master that signs with a key that is not pinned: not ready, both keys named, sessions go on', async (context) => {
    const master = await devMaster(context);
    const keys = join(temporaryDirectory(context), 'keys');
    writeFileSync(keys, `${master.publicKeyHex}\n`);
    const relay = startRelay(context, ['--master-url', master.url, '--master-keys-file', keys]);
    await relay.ready();
    const peers = talking(context, master, 2);
    await received(peers, 10);

    const pinned = master.keyId;
    master.rotate();
    master.misbehave({ kind: 'status-404', only: 'heartbeat', times: 1 });
    const reason = await until('a reason', async () => {
      const { status, body } = await relay.get('/ready');
      return status === 503 ? String(JSON.parse(body).reason) : undefined;
    });
    assert.ok(reason.includes(master.keyId) && reason.includes(pinned), reason);
    await received(peers, 10);

    writeFileSync(keys, `${master.publicKeyHex}\n${master.keyId}=${master.publicKeyHex}\n`);
    await relay.ready();
    await stopWithoutLoss(peers);
    await balancedMetrics(relay);
  });

  test('wrong answers of Master are survived, and named on /ready', async (context) => {
    const answers: [number, string, RegExp][] = [
      [401, '{"error": "no"}', /401/],
      [200, '{"heartbeat_interval_ms": "soon"}', /heartbeat_interval_ms|master_public_key/],
    ];
    let [answer] = answers as [(typeof answers)[number]];
    const url = await fakeMaster(context, (_request, response) => {
      response.writeHead(answer[0], { 'content-type': 'application/json' }).end(answer[1]);
    });
    const relay = startRelay(context, ['--master-url', url]);
    for (const next of answers) {
      answer = next;
      const [, , pattern] = next;
      await until(`${pattern} on /ready`, async () => {
        const { status, body } = await relay.get('/ready');
        assert.equal(status, 503);
        return pattern.test(String(JSON.parse(body).reason)) ? true : undefined;
      });
    }
    assert.equal((await relay.get('/health')).status, 200);
  });
});

async function fakeMaster(context: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
