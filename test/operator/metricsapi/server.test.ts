import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';

import { createPki, type KeyPair, type Pki } from '../../../local/cluster/pki.ts';
import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { ApiError } from '../../../operator/metricsapi/api-error.ts';
import { Authenticator, type User } from '../../../operator/metricsapi/authenticate.ts';
import { issueServingCertificate, readServingCertificate } from '../../../operator/metricsapi/certificate.ts';
import { type MetricsServer, startMetricsServer } from '../../../operator/metricsapi/server.ts';
import { readTrust, type Trust } from '../../../operator/metricsapi/trust.ts';

const NAME = 'metrics.wavry-system.svc';
const API = '/apis/custom.metrics.k8s.io';
const VALUE = `${API}/v1beta2/namespaces/default/wavryrelays.wavry.dev/games/active_sessions`;

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly connection: string | undefined;
  readonly body: Record<string, unknown>;
}

suite('the server of metrics', () => {
  const directory = mkdtempSync(join(tmpdir(), 'wavry-metrics-'));
  const problems: string[] = [];
  const users: User[] = [];
  let pki: Pki;
  let otherPki: Pki;
  let server: MetricsServer;
  let ca: string;
  let trust: Trust | undefined;
  let offsetMs = 0;

  const file = (path: string): string => readFileSync(path, 'utf8');
  const trustOf = (change: Record<string, string> = {}, from: Pki = pki): Trust =>
    readTrust({
      'client-ca-file': file(from.ca.cert),
      'requestheader-client-ca-file': file(from.frontProxyCa.cert),
      'requestheader-allowed-names': '["front-proxy-client"]',
      'requestheader-username-headers': '["X-Remote-User"]',
      'requestheader-uid-headers': '["X-Remote-Uid"]',
      'requestheader-group-headers': '["X-Remote-Group"]',
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
      ...change,
    });

  before(async () => {
    const options = { openssl: 'openssl', apiServerNames: [NAME], kubeletAddresses: ['127.0.0.1'] };
    [pki, otherPki] = await Promise.all([
      createPki(join(directory, 'one'), options),
      createPki(join(directory, 'two'), options),
    ]);
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'nowhere', server: 'https://127.0.0.1:1', skipTLSVerify: true },
      { name: 'nobody' },
    );
    const client = new KubeClient(new Connection(config), { userAgent: 'test' });
    const authenticator = new Authenticator({
      client,
      trust: () => trust,
      wallMs: () => Date.now() + offsetMs,
    });
    server = await startMetricsServer({
      host: '127.0.0.1',
      port: 0,
      source: {
        find: (resource, _, name) =>
          name === 'bug'
            ? { kind: '', apiVersion: '', name, labels: {}, measure: () => assert.fail('a bug') }
            : resource === 'pods'
              ? undefined
              : {
                  kind: 'WavryRelay',
                  apiVersion: 'wavry.dev/v1alpha1',
                  name,
                  labels: {},
                  measure: () => ({ value: 3, atMs: 0 }),
                },
        list: () => [],
      },
      authenticate: (incoming) => authenticator.authenticate(incoming),
      authorize: (user) => {
        users.push(user);
        return user.name === 'stranger'
          ? Promise.reject(new ApiError(403, 'Forbidden', 'you may not'))
          : Promise.resolve();
      },
      onProblem: (message) => void problems.push(message),
    });
    const material = await issueServingCertificate([NAME], undefined, Date.now());
    server.setCertificate(readServingCertificate(material, [NAME], Date.now())!);
    ca = material.bundle;
    use(trustOf());
  });
  after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });

  const use = (next: Trust): void => {
    trust = next;
    server.setTrust(next);
  };

  const ask = (
    path: string,
    options: RequestOptions & { readonly identity?: KeyPair } = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { identity, ...rest } = options;
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: server.port,
          servername: NAME,
          path,
          ca,
          agent: rest.agent ?? false,
          ...(identity ? { cert: file(identity.cert), key: file(identity.key) } : {}),
          ...rest,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (text += chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              type: response.headers['content-type'],
              connection: response.headers.connection,
              body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  const asUser = (
    user: string,
    path = VALUE,
    headers: Record<string, string | string[]> = {},
    more: RequestOptions = {},
  ): Promise<Answer> =>
    ask(path, { identity: pki.frontProxyClient, headers: { 'X-Remote-User': user, ...headers }, ...more });

  test('the API server speaks for its users, and every word of theirs arrives', async () => {
    // As Go sends it: UTF-8, which Node's client would not write.
    const { status, body } = await asUser(Buffer.from('jürgen').toString('latin1'), VALUE, {
      'X-Remote-Uid': 'uid-1',
      'X-Remote-Group': ['a, b', 'c'],
      'X-Remote-Extra-scopes.example.com%2fproject': ['x', 'y'],
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(users.at(-1), {
      name: 'jürgen',
      uid: 'uid-1',
      groups: ['a, b', 'c', 'system:authenticated'],
      extra: { 'scopes.example.com/project': ['x', 'y'] },
    });
    assert.equal((await asUser('stranger')).status, 403);
    await asUser('system:anonymous', VALUE, { 'X-Remote-Group': 'system:unauthenticated' });
    assert.deepEqual(users.at(-1)?.groups, ['system:unauthenticated']);
  });

  test('a certificate of the cluster names its own user, whatever the headers say', async () => {
    const { status } = await ask(VALUE, {
      identity: pki.admin,
      headers: { 'X-Remote-User': 'somebody-else' },
    });
    assert.equal(status, 200);
    assert.deepEqual(users.at(-1), {
      name: 'kubernetes-admin',
      uid: '',
      groups: ['system:masters', 'system:authenticated'],
      extra: {},
    });
  });

  test('nobody else is known', async () => {
    const headers = { 'X-Remote-User': 'kubernetes-admin', 'X-Remote-Group': 'system:masters' };
    const refused = { status: 401, reason: 'Unauthorized', connection: 'close' };
    const agent = new Agent({ keepAlive: true });
    for (const [name, options] of Object.entries({
      'no certificate': { headers },
      'a front proxy of another cluster': { identity: otherPki.frontProxyClient, headers },
      'a user of another cluster': { identity: otherPki.admin, headers },
      'a front proxy that names nobody': { identity: pki.frontProxyClient },
      'a certificate for servers': { identity: pki.kubelet, headers },
      'basic authentication': { headers: { authorization: 'Basic YTpi' } },
    })) {
      const { status, body, connection } = await ask(VALUE, { ...options, agent });
      assert.deepEqual({ status, reason: body['reason'], connection }, refused, name);
    }
    agent.destroy();
    offsetMs = 400 * 24 * 3_600_000;
    assert.equal((await asUser('jane')).status, 401, 'an expired certificate');
    offsetMs = 0;
  });

  test('a token that can’t be reviewed is an error of ours, not a refusal', async () => {
    const { status, body } = await ask(VALUE, { headers: { authorization: 'Bearer secret-token' } });
    assert.equal(status, 500);
    assert.doesNotMatch(JSON.stringify(body) + problems.join(), /secret-token/);
  });

  test('another trust counts at once, on connections that are there as well', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const again = (): Promise<Answer> => asUser('jane', VALUE, {}, { agent });
    assert.equal((await again()).status, 200);
    use(trustOf({ 'requestheader-allowed-names': '["another"]' }));
    assert.equal((await again()).status, 401);
    use(trustOf({ 'requestheader-allowed-names': '[]' }));
    assert.equal((await again()).status, 200, 'any name that is signed');
    use(trustOf({}, otherPki));
    assert.equal((await again()).status, 401);
    assert.equal((await ask(VALUE, { identity: otherPki.admin })).status, 200);
    use(trustOf());
    agent.destroy();
  });

  test('discovery in each form', async () => {
    const list = await asUser('jane', '/apis');
    assert.equal(list.body['kind'], 'APIGroupList');
    const form = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const aggregated = await asUser('jane', '/apis', {
      accept: `${form},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json`,
    });
    assert.equal(aggregated.type, form);
    assert.equal(aggregated.body['kind'], 'APIGroupDiscoveryList');
    assert.equal((await asUser('jane', API)).body['kind'], 'APIGroup');
    for (const version of ['v1beta1', 'v1beta2']) {
      const { body } = await asUser('jane', `${API}/${version}`);
      assert.equal(body['groupVersion'], `custom.metrics.k8s.io/${version}`);
      assert.equal((body['resources'] as unknown[]).length, 4);
    }
    assert.equal((await asUser('jane', `${API}/v1`)).status, 404);
  });

  test('OpenAPI documents, as the API server’s aggregator asks for them', async () => {
    const aggregator = (path: string): Promise<Answer> =>
      asUser('system:aggregator', path, { accept: 'application/json' });
    const v2 = await aggregator('/openapi/v2');
    assert.deepEqual([v2.status, v2.body['swagger']], [200, '2.0']);
    assert.deepEqual(users.at(-1)?.groups, ['system:authenticated']);
    const { paths } = (await aggregator('/openapi/v3')).body as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    assert.deepEqual(Object.keys(paths), [
      'apis/custom.metrics.k8s.io/v1beta2',
      'apis/custom.metrics.k8s.io/v1beta1',
    ]);
    for (const { serverRelativeURL } of Object.values(paths)) {
      const { status, body } = await aggregator(serverRelativeURL);
      assert.equal(status, 200, serverRelativeURL);
      assert.match(body['openapi'] as string, /^3\./);
    }
    assert.equal((await aggregator('/openapi/v3/apis/apps/v1')).status, 404);
    assert.equal((await asUser('stranger', '/openapi/v2')).status, 403);
  });

  test('what can’t be answered is a Status', async () => {
    const refusals: [string, RequestOptions, number, string][] = [
      [VALUE, { method: 'DELETE' }, 405, 'MethodNotAllowed'],
      [`${VALUE}?watch=true`, {}, 405, 'MethodNotAllowed'],
      [VALUE, { headers: { accept: 'application/vnd.kubernetes.protobuf' } }, 406, 'NotAcceptable'],
      [`${VALUE}?metricLabelSelector=(`, {}, 400, 'BadRequest'],
      [`${API}/v1beta2/%zz/a`, {}, 400, 'BadRequest'],
      [`${API}/v1beta3/namespaces/default/pods/a/active_sessions`, {}, 404, 'NotFound'],
      [VALUE.replace('games', 'bug'), {}, 500, 'InternalError'],
    ];
    for (const [path, { headers, ...more }, code, reason] of refusals) {
      const { status, body } = await asUser('jane', path, headers as Record<string, string>, more);
      assert.deepEqual(
        [status, body['kind'], body['status'], body['code'], body['reason']],
        [code, 'Status', 'Failure', code, reason],
        path,
      );
      assert.doesNotMatch(JSON.stringify(body), /a bug/);
    }
    assert.match(problems.join(), /a bug/);
    const accepted = await asUser('jane', VALUE, { accept: 'application/vnd.kubernetes.protobuf, */*' });
    assert.equal(accepted.status, 200);
  });
});
