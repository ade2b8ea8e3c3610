import assert from 'node:assert/strict';
import { createServer as createProxy, type Server } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { after, before, beforeEach, suite, test } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';

import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { proxyFromEnvironment } from '../../../operator/kube/proxy.ts';
import { issueServingCertificate } from '../../../operator/metricsapi/certificate.ts';

const API = 'https://api.example.com:6443';
const PROXY = 'http://proxy.example.com:3128';

test('the environment’s proxy is chosen as Go does', () => {
  const chosen = (server: string, env: Record<string, string>): string | undefined =>
    proxyFromEnvironment(server, env);
  assert.equal(chosen(API, {}), undefined);
  assert.equal(chosen(API, { HTTPS_PROXY: PROXY }), PROXY);
  assert.equal(chosen(API, { https_proxy: 'proxy:3128' }), 'http://proxy:3128');
  assert.equal(chosen(API, { HTTP_PROXY: PROXY }), undefined, 'that is for http');
  assert.equal(chosen('http://api.example.com', { HTTP_PROXY: PROXY }), PROXY);
  for (const here of ['https://localhost:6443', 'https://127.0.0.1:6443', 'https://[::1]:6443'])
    assert.equal(chosen(here, { HTTPS_PROXY: PROXY }), undefined, here);
});

test('NO_PROXY takes names, domains, addresses, CIDRs and ports', () => {
  const direct: [server: string, noProxy: string][] = [
    [API, '*'],
    [API, 'other.com, API.example.com'],
    [API, 'example.com'],
    [API, '.example.com'],
    [API, '*.example.com'],
    [API, 'example.com:6443'],
    ['https://10.96.0.1', '10.0.0.0/8'],
    ['https://10.96.0.1', '10.96.0.1'],
    ['https://10.96.0.1', '10.96.0.1:443'],
    ['https://[fd00::1]:6443', 'fd00::/8'],
    ['https://[fd00::1]:6443', 'fd00::1'],
    ['https://[fd00::1]:6443', '[fd00::1]:6443'],
  ];
  for (const [server, NO_PROXY] of direct)
    assert.equal(proxyFromEnvironment(server, { HTTPS_PROXY: PROXY, NO_PROXY }), undefined, NO_PROXY);
  const proxied: [server: string, noProxy: string][] = [
    [API, 'ample.com'],
    [API, 'example.com:443'],
    [API, '10.0.0.0/8'],
    ['https://example.com', '.example.com'],
    ['https://11.96.0.1', '10.0.0.0/8'],
    ['https://10.96.0.1', '10.0.0.0/99'],
    ['https://10.96.0.1', 'x/8,/,:,[,,10.96.0.1:6443'],
  ];
  for (const [server, NO_PROXY] of proxied)
    assert.equal(proxyFromEnvironment(server, { HTTPS_PROXY: PROXY, NO_PROXY }), PROXY, NO_PROXY);
});

suite('an API server behind a proxy', () => {
  let api: Server;
  let proxy: Server;
  let ca: string;
  /** Targets that the proxy was asked to connect to. */
  let tunnels: string[];
  let refusesWith: number | undefined;

  const portOf = (server: Server): number => (server.address() as AddressInfo).port;
  const listen = (server: Server): Promise<void> =>
    new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  before(async () => {
    const material = await issueServingCertificate(['api.example.com'], undefined, Date.now());
    ca = material.bundle;
    api = createServer({ cert: material.cert, key: material.key }, (request, response) =>
      response.end(JSON.stringify({ path: request.url })),
    );
    proxy = createProxy();
    proxy.on('connect', (request, socket) => {
      tunnels.push(request.url ?? '');
      if (refusesWith !== undefined) {
        socket.end(`HTTP/1.1 ${refusesWith} No\r\n\r\n`);
        return;
      }
      const onwards = connect(portOf(api), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(onwards).pipe(socket);
      });
      for (const end of [socket, onwards]) end.on('error', () => onwards.destroy());
    });
    await Promise.all([listen(api), listen(proxy)]);
  });
  after(async () => {
    for (const server of [api, proxy]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  beforeEach(() => {
    tunnels = [];
    refusesWith = undefined;
  });

  async function ask(
    proxyUrl: string | undefined,
    env: Record<string, string>,
    paths: readonly string[],
  ): Promise<unknown[]> {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'test', server: API, caData: Buffer.from(ca).toString('base64'), proxyUrl }],
      users: [{ name: 'test', token: 'secret' }],
      contexts: [{ name: 'test', cluster: 'test', user: 'test' }],
      currentContext: 'test',
    });
    const connection = new Connection(config, env);
    const client = new KubeClient(connection, { userAgent: 'test' });
    const answers: unknown[] = [];
    try {
      for (const path of paths) answers.push(await client.call('GET', path));
    } finally {
      await connection.close();
    }
    return answers;
  }

  const url = (): string => `http://127.0.0.1:${portOf(proxy)}`;

  test('is asked through that of the kubeconfig, over connections that are kept', async () => {
    const paths = ['/1', '/2', '/3', '/4', '/5', '/6'];
    const answers = await ask(url(), { NO_PROXY: '*' }, paths);
    assert.deepEqual(
      answers,
      paths.map((path) => ({ path })),
    );
    assert.equal(tunnels[0], 'api.example.com:6443');
    assert.ok(tunnels.length < paths.length, `${tunnels.length} tunnels`);
  });

  test('is asked through that of the environment', async () => {
    assert.deepEqual(await ask(undefined, { HTTPS_PROXY: url() }, ['/one']), [{ path: '/one' }]);
    assert.deepEqual(tunnels, ['api.example.com:6443']);
  });

  test('and a proxy that refuses is told of', async () => {
    refusesWith = 407;
    await assert.rejects(ask(url(), {}, ['/one']), /GET \/one: Proxy response \(407\)/);
  });
});
