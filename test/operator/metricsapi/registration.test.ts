import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, before, beforeEach, suite, test } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';

import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { isAcceptedBy, type ServingCertificate } from '../../../operator/metricsapi/certificate.ts';
import { Registration } from '../../../operator/metricsapi/registration.ts';
import { METRICS_API_SERVICES, type MetricsApi } from '../../../operator/plan/metrics-api.ts';
import { until } from '../../e2e/operator/until.ts';

const DAY = 24 * 3_600_000;
const OURS = { namespace: 'wavry-system', name: 'wavry-metrics' };

interface ApiService {
  service: { namespace: string; name: string };
  caBundle?: string;
}

/** The few paths of an API server that matter here; the real one is behind test/e2e/operator/custom-metrics.test.ts. */
class FewPaths {
  secret: Record<string, string> | undefined = {};
  version = 1;
  writes = 0;
  readonly services = new Map<string, ApiService>();
  readonly server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const { code, body } = this.#answer(request.method ?? '', request.url ?? '', text);
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
  });

  #answer(method: string, url: string, text: string): { code: number; body: unknown } {
    const missing = { code: 404, body: { kind: 'Status', reason: 'NotFound', message: 'not found' } };
    const name = /\/([^/?]+)(\?.*)?$/.exec(url)?.[1] ?? '';
    if (method === 'PATCH') this.writes += 1;
    if (url.includes('/secrets/')) {
      if (!this.secret) return missing;
      if (method === 'PATCH') {
        const { metadata, data } = JSON.parse(text) as {
          metadata: { resourceVersion: string };
          data: Record<string, string>;
        };
        if (metadata.resourceVersion !== String(this.version))
          return { code: 409, body: { kind: 'Status', reason: 'Conflict', message: 'conflict' } };
        this.secret = data;
        this.version += 1;
      }
      return {
        code: 200,
        body: { metadata: { name, resourceVersion: String(this.version) }, data: this.secret },
      };
    }
    const spec = this.services.get(name);
    if (!spec) return missing;
    if (method === 'PATCH') {
      for (const { op, path, value } of JSON.parse(text) as { op: string; path: string; value: string }[]) {
        const key = path.split('/').at(-1) as 'namespace' | 'name' | 'caBundle';
        if (op === 'test' && spec.service[key as 'name'] !== value)
          return { code: 422, body: { kind: 'Status', reason: 'Invalid', message: 'test failed' } };
        if (op === 'add' && key === 'caBundle') spec.caBundle = value;
      }
    }
    const available = spec.caBundle === undefined ? 'False' : 'True';
    return {
      code: 200,
      body: {
        metadata: { name },
        spec,
        status: { conditions: [{ type: 'Available', status: available, message: 'as it is' }] },
      },
    };
  }
}

class Replica {
  leading = false;
  served: ServingCertificate | undefined;
  states: MetricsApi[] = [];
  readonly problems: string[] = [];
  readonly registration: Registration;
  readonly connection: Connection;

  constructor(port: number, wallMs: () => number) {
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'few', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
      { name: 'operator' },
    );
    this.connection = new Connection(config);
    const client = new KubeClient(this.connection, { userAgent: 'test' });
    this.registration = new Registration({
      client,
      writer: new KubeClient(this.connection, { userAgent: 'test', mayWrite: () => this.leading }),
      leading: () => this.leading,
      wallMs,
      fieldManager: 'test',
      namespace: OURS.namespace,
      service: OURS.name,
      secret: 'wavry-metrics',
      onCertificate: (certificate) => (this.served = certificate),
      onState: (state) => void this.states.push(state),
      onProblem: (message) => void this.problems.push(message),
    });
  }

  /** Looks again and again until it is as wanted. */
  async looks(what: string, wanted: () => boolean): Promise<void> {
    await until(what, () => {
      this.registration.look();
      return wanted();
    });
  }

  async stop(): Promise<void> {
    await this.registration.stop();
    await this.connection.close();
  }
}

suite('the certificate of the metrics API and its authority', () => {
  let api: FewPaths;
  let leader: Replica;
  let other: Replica;
  let nowMs = 0;

  const bundles = (): string[] =>
    [...api.services.values()].map(({ caBundle }) => Buffer.from(caBundle ?? '', 'base64').toString());

  before(() => {
    nowMs = Date.now();
  });
  beforeEach(async () => {
    api = new FewPaths();
    for (const name of METRICS_API_SERVICES) api.services.set(name, { service: { ...OURS } });
    api.server.listen(0, '127.0.0.1');
    await once(api.server, 'listening');
    const { port } = api.server.address() as AddressInfo;
    leader = new Replica(port, () => nowMs);
    leader.leading = true;
    other = new Replica(port, () => nowMs);
  });
  afterEach(async () => {
    await Promise.all([leader.stop(), other.stop()]);
    api.server.close();
    api.server.closeAllConnections();
  });

  test('the leader makes it and tells the API server, the others serve the same', async () => {
    await leader.looks('the state', () => leader.registration.state.state === 'ours');
    assert.ok(bundles().every((bundle) => isAcceptedBy(leader.served!, bundle)));
    await other.looks('the other', () => other.registration.state.state === 'ours');
    assert.equal(other.served?.cert, leader.served?.cert);
    const { writes } = api;
    await leader.looks('nothing more', () => true);
    await leader.registration.stop();
    assert.equal(api.writes, writes, 'what is as it should be is not written again');
  });

  test('without a leader nothing is written', async () => {
    await other.looks('a judgement', () => other.registration.state.state === 'unavailable');
    assert.deepEqual([api.writes, other.served], [0, undefined]);
  });

  test('a renewal: nobody serves what the API server doesn’t trust yet', async () => {
    await leader.looks('the first', () => leader.registration.state.state === 'ours');
    await other.looks('the other', () => other.served !== undefined);
    const first = leader.served!;
    nowMs += 61 * DAY;
    const untrusted: string[] = [];
    const accepted = (): void => {
      for (const { served } of [leader, other]) {
        if (served && !bundles().every((bundle) => isAcceptedBy(served, bundle))) untrusted.push(served.cert);
      }
    };
    await leader.looks('the new authority', () => {
      accepted();
      return bundles().every((bundle) => bundle.split('BEGIN').length === 3);
    });
    await other.looks('a look', () => true);
    assert.deepEqual([leader.served?.cert, other.served?.cert], [first.cert, first.cert], 'not at once');
    await leader.looks('the renewed certificate', () => {
      accepted();
      nowMs += 1000;
      return leader.served?.cert !== first.cert;
    });
    await other.looks('the same on the other', () => {
      accepted();
      nowMs += 1000;
      return other.served?.cert === leader.served?.cert;
    });
    accepted();
    assert.deepEqual(untrusted, []);
  });

  test('somebody else’s APIService is not written', async () => {
    const name = METRICS_API_SERVICES[0]!;
    api.services.set(name, { service: { namespace: 'monitoring', name: 'prometheus-adapter' } });
    await leader.looks('the judgement', () => leader.registration.state.state === 'foreign');
    assert.match(leader.states.at(-1)?.message ?? '', /monitoring\/prometheus-adapter/);
    assert.ok([...api.services.values()].every(({ caBundle }) => caBundle === undefined));
  });

  test('a Secret that is gone is said once, with what to do; what is served is served on', async () => {
    await leader.looks('the state', () => leader.registration.state.state === 'ours');
    const { served } = leader;
    api.secret = undefined;
    await leader.looks('the problem', () => leader.problems.length > 0);
    await leader.looks('nothing new', () => true);
    assert.deepEqual(leader.problems, [
      'custom.metrics.k8s.io: Secret wavry-system/wavry-metrics for the certificate of the metrics API is missing: "helm upgrade" makes it again',
    ]);
    assert.equal(leader.registration.state.state, 'unknown');
    assert.equal(leader.served, served);
    api.secret = {};
    await leader.looks('a new one', () => leader.registration.state.state === 'ours');
  });
});
