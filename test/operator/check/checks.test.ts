import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';

import { customResourceDefinition } from '../../../operator/api/crd.ts';
import { runChecks } from '../../../operator/check/checks.ts';
import { json, StandInApiServer } from '../kube/stand-in-api-server.ts';
import { publishedCrd, withoutFields } from '../published-crd.ts';

type Json = Record<string, unknown>;

const NOW = Date.parse('2030-01-01T00:00:00Z');
const POD = {
  metadata: { name: 'op-1' },
  spec: {
    containers: [
      { name: 'linkerd-proxy', ports: [{ name: 'http', containerPort: 4191 }] },
      { name: 'operator', ports: [{ name: 'http', containerPort: 8080 }] },
    ],
  },
  status: { podIP: '10.0.0.1', phase: 'Running' },
};
const METRICS = { resources: [{ name: 'wavryrelays.wavry.dev/active_sessions' }] };

/** Each thing that is looked at is broken in each way that it can be. */
suite('check', () => {
  let api: StandInApiServer;
  let answers: Record<string, Json | number>;
  let ready: (url: string) => Promise<{ ok: boolean; text: string }>;

  before(async () => {
    api = await StandInApiServer.start(({ path }, response) => {
      const answer = answers[path] ?? 404;
      if (typeof answer === 'number')
        json(response, { kind: 'Status', message: `says ${answer}`, code: answer }, answer);
      else json(response, answer);
    });
  });
  after(() => api.stop());
  beforeEach(() => {
    answers = {
      '/openapi/v3/apis/wavry.dev/v1alpha1': publishedCrd(customResourceDefinition()),
      '/api/v1/namespaces/ops/pods': { items: [POD, { ...POD, metadata: { name: 'op-2' } }] },
      '/apis/coordination.k8s.io/v1/namespaces/ops/leases/wavry-relay-operator': lease({}),
      '/apis/custom.metrics.k8s.io/v1beta1': METRICS,
      '/apis/custom.metrics.k8s.io/v1beta2': METRICS,
    };
    ready = () => Promise.resolve({ ok: true, text: 'ok' });
  });

  async function problems(
    change: Record<string, Json | number> = {},
    customMetrics = true,
  ): Promise<string[]> {
    Object.assign(answers, change);
    const findings = await runChecks({
      client: api.client,
      namespace: 'ops',
      selector: 'app=op',
      lease: 'wavry-relay-operator',
      customMetrics,
      wallMs: () => NOW,
      get: (url) => ready(url),
    });
    assert.equal(findings.length, customMetrics ? 4 : 3);
    return findings.flatMap(({ problem }) => problem ?? []);
  }
  const only = async (change: Record<string, Json | number>, wanted: RegExp): Promise<void> => {
    const found = await problems(change);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0]!, wanted);
    assert.doesNotMatch(found[0]!, /\n/);
  };

  test('all is well, and only what is enabled is asked', async () => {
    const asked: string[] = [];
    ready = (url) => {
      asked.push(url);
      return Promise.resolve({ ok: true, text: 'ok' });
    };
    assert.deepEqual(await problems(), []);
    assert.deepEqual(asked, ['http://10.0.0.1:8080/readyz', 'http://10.0.0.1:8080/readyz']);
    const pods = api.requests.find(({ path }) => path.endsWith('/pods'));
    assert.equal(pods?.query.get('labelSelector'), 'app=op');
    answers['/apis/custom.metrics.k8s.io/v1beta2'] = 404;
    assert.deepEqual(await problems({}, false), []);
  });

  test('a CRD that is missing, older, or not published yet', async () => {
    const path = '/openapi/v3/apis/wavry.dev/v1alpha1';
    await only(
      { [path]: 404 },
      /this cluster has no CustomResourceDefinition wavryrelays\.wavry\.dev: upgrade/,
    );
    await only(
      { [path]: publishedCrd(withoutFields(customResourceDefinition(), 'runAsUser', 'endpoint', 'drain')) },
      /is older than this operator and doesn't know spec\.drain, spec\.pod\.runAsUser, status\.relays\[\]\.endpoint: .*upgrade the operator's chart with crd\.install=true, or apply/,
    );
    await only(
      { [path]: publishedCrd(withoutFields(customResourceDefinition(), 'spec', 'status')) },
      /doesn't know spec, status:/,
    );
    await only({ [path]: {} }, /tells nothing of CustomResourceDefinition .* yet/);
  });

  test('operators that are not there, not ready, or not to be reached', async () => {
    const path = '/api/v1/namespaces/ops/pods';
    await only({ [path]: { items: [] } }, /no pod in namespace ops has the labels app=op: see "kubectl/);
    await only(
      { [path]: { items: [POD, { ...POD, status: { phase: 'Pending' } }] } },
      /pod op-1 doesn't run: see "kubectl --namespace ops describe pod op-1"/,
    );
    await only({ [path]: 403 }, /says 403/);
    ready = () => Promise.resolve({ ok: false, text: 'the first lists are not complete' });
    await only({ [path]: { items: [POD] } }, /pod op-1 is not ready: the first lists are not complete/);
    ready = () => Promise.reject(new Error('fetch failed'));
    await only(
      { [path]: { items: [POD] } },
      /pod op-1 doesn't answer at 10\.0\.0\.1:8080 \(fetch failed\): .*network policies/,
    );
    ready = (url) => Promise.resolve({ ok: url === 'http://[fd00::1]:8080/readyz', text: url });
    answers[path] = { items: [{ ...POD, status: { ...POD.status, podIP: 'fd00::1' } }] };
    assert.deepEqual(await problems(), []);
    // One that goes is no longer asked.
    ready = () => Promise.reject(new Error('gone'));
    const going = { ...POD, metadata: { name: 'op-0', deletionTimestamp: '2030-01-01T00:00:00Z' } };
    await only({ [path]: { items: [going] } }, /no pod in namespace ops/);
  });

  test('nobody who leads', async () => {
    const path = '/apis/coordination.k8s.io/v1/namespaces/ops/leases/wavry-relay-operator';
    await only({ [path]: 404 }, /nobody has led yet: there is no Lease ops\/wavry-relay-operator/);
    await only({ [path]: lease({ holderIdentity: '' }) }, /nobody holds the Lease/);
    await only(
      { [path]: lease({ renewTime: '2029-12-31T23:59:29.000000Z' }) },
      /op-1_x has renewed the Lease .* last at 2029-12-31T23:59:29/,
    );
    await only({ [path]: lease({ renewTime: null }) }, /last at no time/);
  });

  test('custom metrics that are nobody’s, somebody else’s, or out of reach', async () => {
    const path = '/apis/custom.metrics.k8s.io/v1beta1';
    await only({ [path]: 404 }, /^v1beta1\.custom\.metrics\.k8s\.io: says 404; a cluster has one owner/);
    await only(
      { [path]: { resources: [{ name: 'pods/rate' }] } },
      /isn't this operator's; .*customMetrics\.apiServices=false/,
    );
    await only(
      { [path]: 503 },
      /says 503; the API server must get through .*describe apiservice v1beta1\.custom/,
    );
  });
});

function lease(spec: Json): Json {
  return {
    spec: {
      holderIdentity: 'op-1_x',
      leaseDurationSeconds: 15,
      renewTime: '2029-12-31T23:59:58.000000Z',
      ...spec,
    },
  };
}
