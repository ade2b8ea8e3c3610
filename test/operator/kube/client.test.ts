import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, suite, test } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';
import { Dispatcher } from 'undici';

import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { KubeError } from '../../../operator/kube/kube-error.ts';
import { Resources } from '../../../operator/kube/resource.ts';

suite('calls to an API server', () => {
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let seen: { readonly method: string; readonly atMs: number }[];
  let server: ReturnType<typeof createServer>;
  let connection: Connection;

  beforeEach(async () => {
    seen = [];
    server = createServer((request, response) => {
      request.resume();
      seen.push({ method: request.method ?? '', atMs: performance.now() });
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'test', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
      users: [{ name: 'test' }],
      contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
      currentContext: 'test',
    });
    connection = new Connection(config);
  });
  afterEach(async () => {
    await connection.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const clientThat = (mayWrite: () => boolean): KubeClient =>
    new KubeClient(connection, { userAgent: 'test', mayWrite });
  const overloaded = (response: ServerResponse): void => {
    response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '1' });
    response.end(JSON.stringify({ kind: 'Status', code: 429, reason: 'TooManyRequests' }));
  };
  const refused = (reason: string) => (error: unknown) =>
    error instanceof KubeError && error.reason === reason;

  test('an overloaded server is asked again when it said', async () => {
    answer = (_, response) => {
      if (seen.length === 1) overloaded(response);
      else response.end(JSON.stringify({ kind: 'ConfigMap' }));
    };
    const client = clientThat(() => true);
    assert.deepEqual(await client.get(Resources.configMaps, 'default', 'one'), { kind: 'ConfigMap' });
    assert.equal(seen.length, 2);
    // Timers may fire a millisecond early.
    assert.ok(seen[1]!.atMs - seen[0]!.atMs >= 999, 'not before the second was over');
  });

  test('who no longer leads reads, and writes nothing', async () => {
    answer = (_, response) => response.end('{}');
    const client = clientThat(() => false);
    await client.get(Resources.configMaps, 'default', 'one');
    const writes = [
      () => client.create(Resources.configMaps, 'default', {}),
      () => client.apply(Resources.configMaps, 'default', 'one', {}, 'test'),
      () => client.patch(Resources.configMaps, 'default', 'one', {}, { fieldManager: 'test' }),
      () => client.delete(Resources.configMaps, 'default', 'one'),
      () => client.call('PUT', '/api/v1/namespaces/default/configmaps/one', { body: {} }),
    ];
    for (const write of writes) await assert.rejects(write(), refused('NotLeading'));
    assert.deepEqual(
      seen.map(({ method }) => method),
      ['GET'],
    );
  });

  test('a write that waits for an overloaded server is not sent again once the lease is lost', async () => {
    let leading = true;
    answer = (_, response) => {
      leading = false;
      overloaded(response);
    };
    const client = clientThat(() => leading);
    await assert.rejects(client.create(Resources.configMaps, 'default', {}), refused('NotLeading'));
    assert.equal(seen.length, 1);
  });
});

test('the headers of a watch may come as late as its first event, those of other answers may not', async () => {
  const waits: unknown[] = [];
  class Noting extends Dispatcher {
    override dispatch({ headersTimeout }: Dispatcher.DispatchOptions): boolean {
      waits.push(headersTimeout);
      throw new Error('noted');
    }
  }
  const connection = {
    server: 'http://test',
    credentials: async () => ({ agent: new Noting(), headers: {} }),
  };
  const client = new KubeClient(connection as unknown as Connection, { userAgent: 'test' });
  await assert.rejects(client.call('GET', '/api'), /noted/);
  await assert.rejects(client.stream('/api', {}, 90_000).next(), /noted/);
  assert.deepEqual(waits, [30_000, 90_000]);
});
