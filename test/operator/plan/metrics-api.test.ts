import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  judgeMetricsApi,
  METRICS_API_SERVICES,
  type ObservedApiService,
} from '../../../operator/plan/metrics-api.ts';

const OURS = { namespace: 'wavry-system', name: 'wavry-metrics' };

function apiService(name: string, change: Partial<ObservedApiService> = {}): ObservedApiService {
  return { name, service: OURS, managedBy: undefined, available: true, problem: '', ...change };
}

const both = (change: Partial<ObservedApiService> = {}): ObservedApiService[] =>
  METRICS_API_SERVICES.map((name) => apiService(name, change));

test('ours, and reached', () => {
  assert.deepEqual(judgeMetricsApi(both(), OURS), { state: 'ours', message: '' });
});

test('one of somebody else’s is enough: its owner is named, with what to do', () => {
  const adapter = { namespace: 'monitoring', name: 'prometheus-adapter' };
  for (const index of [0, 1]) {
    const found = both().with(
      index,
      apiService(METRICS_API_SERVICES[index]!, { service: adapter, managedBy: 'Helm' }),
    );
    const { state, message } = judgeMetricsApi(found, OURS);
    assert.equal(state, 'foreign');
    assert.ok(
      message.startsWith(
        `${METRICS_API_SERVICES[index]} belongs to Service monitoring/prometheus-adapter (managed by Helm)`,
      ),
    );
    assert.match(message, /remove that one/);
  }
  const namesake = { namespace: 'another', name: OURS.name };
  assert.equal(judgeMetricsApi(both({ service: namesake }), OURS).state, 'foreign');
  assert.match(judgeMetricsApi(both({ service: undefined }), OURS).message, /the API server itself/);
});

test('none at all, or one that the API server can’t reach', () => {
  const absent = judgeMetricsApi([], OURS);
  assert.equal(absent.state, 'absent');
  assert.match(absent.message, /customMetrics\.apiServices=true or, .*"npm run manifests -- --api-services"/);
  const dead = judgeMetricsApi(both({ available: false, problem: 'no endpoints' }), OURS);
  assert.equal(dead.state, 'unavailable');
  assert.match(dead.message, /no endpoints/);
});
