import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, suite, test } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';

import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { LeaderElection } from '../../../operator/kube/leader-election.ts';
import { until } from '../../e2e/operator/until.ts';
import { json, refuse, StandInApiServer } from './stand-in-api-server.ts';

interface Lease {
  metadata: { resourceVersion: string };
  spec: { holderIdentity: string };
}

/** Against a server that keeps one Lease and compares resource versions; test/e2e/operator has the real one. */
suite('leader election', () => {
  let lease: Lease | undefined;
  let version: number;
  let afterGet: () => void;
  let nowMs: number;
  let lost: number;
  let server: ReturnType<typeof createServer>;
  let connection: Connection;
  let election: LeaderElection;

  beforeEach(async () => {
    lease = undefined;
    version = 0;
    afterGet = () => undefined;
    nowMs = 1000;
    lost = 0;
    const keep = (body: string): Lease =>
      (lease = { ...(JSON.parse(body) as Lease), metadata: { resourceVersion: String((version += 1)) } });
    const answer = (response: ServerResponse, code: number, body: unknown = {}): void => {
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    server = createServer((request, response) => {
      void text(request).then((body) => {
        if (request.method === 'GET') {
          answer(response, lease ? 200 : 404, lease);
          afterGet();
        } else if (request.method === 'POST') {
          answer(response, 201, keep(body));
        } else {
          const { metadata } = JSON.parse(body) as Lease;
          const conflict = metadata.resourceVersion !== lease?.metadata.resourceVersion;
          answer(response, conflict ? 409 : 200, conflict ? undefined : keep(body));
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [
        {
          name: 'test',
          server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          skipTLSVerify: true,
        },
      ],
      users: [{ name: 'test' }],
      contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
      currentContext: 'test',
    });
    connection = new Connection(config);
    election = new LeaderElection({
      client: new KubeClient(connection, { userAgent: 'test' }),
      namespace: 'default',
      name: 'test',
      identity: 'me',
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      // By the real clock, so that nothing is renewed unless a test waits for it.
      retryPeriodMs: 600_000,
      nowMs: () => nowMs,
      wallMs: Date.now,
      random: () => 0,
      onStarted: () => undefined,
      onStopped: () => (lost += 1),
      onProblem: () => undefined,
    });
    election.start();
    await until('it leads', () => election.leading);
  });
  afterEach(async () => {
    await election.stop();
    await connection.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('whoever could not renew in time leads no more, though no timer has told', () => {
    nowMs += 9999;
    assert.equal(election.leading, true);
    nowMs += 1;
    assert.equal(election.leading, false);
    assert.equal(lost, 0);
  });

  test('a lease that is given up is nobody’s', async () => {
    assert.equal(lease?.spec.holderIdentity, 'me');
    await election.stop();
    assert.equal(election.leading, false);
    assert.equal(lost, 1, 'writing was stopped first');
    assert.equal(lease?.spec.holderIdentity, '');
  });

  test('it is given up although a renewal that was broken off came in between', async () => {
    afterGet = () => {
      afterGet = () => undefined;
      lease!.metadata.resourceVersion = String((version += 1));
    };
    await election.stop();
    assert.equal(lease?.spec.holderIdentity, '');
  });

  test('one that is another’s by now is left alone', async () => {
    lease!.spec.holderIdentity = 'another';
    await election.stop();
    assert.equal(lease!.spec.holderIdentity, 'another');
  });

  test('one that ran out is left to whoever comes', async () => {
    nowMs += 10_000;
    await election.stop();
    assert.equal(lease?.spec.holderIdentity, 'me');
  });
});

test('a request that never gets its answer doesn’t cost the lease: the next try renews it', async (t) => {
  let lease: Lease | undefined;
  let version = 0;
  let gets = 0;
  let lost = 0;
  const server = await StandInApiServer.start(({ method, body }, response) => {
    if (method !== 'GET') {
      lease = { ...(JSON.parse(body) as Lease), metadata: { resourceVersion: String((version += 1)) } };
      return json(response, lease);
    }
    gets += 1;
    if (gets === 2) return;
    if (lease) json(response, lease);
    else refuse(response, 404, 'NotFound');
  });
  const election = new LeaderElection({
    client: server.client,
    namespace: 'default',
    name: 'test',
    identity: 'me',
    leaseDurationMs: 18_000,
    renewDeadlineMs: 12_000,
    retryPeriodMs: 50,
    nowMs: () => performance.now(),
    wallMs: Date.now,
    random: () => 0,
    onStarted: () => undefined,
    onStopped: () => (lost += 1),
    onProblem: () => undefined,
  });
  t.after(async () => {
    await election.stop();
    await server.stop();
  });
  election.start();
  // The one that made it, the one that hangs, and one after it.
  await until('the lease is renewed', () => version >= 2);
  assert.deepEqual([lost, election.leading], [0, true]);
});
