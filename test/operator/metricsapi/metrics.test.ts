import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError } from '../../../operator/metricsapi/api-error.ts';
import { parseSelector } from '../../../operator/metricsapi/label-selector.ts';
import { type MeasuredObject, metricValues } from '../../../operator/metricsapi/metrics.ts';
import { readRequest } from '../../../operator/metricsapi/request-info.ts';
import type { Measured } from '../../../operator/plan/demand.ts';

const AT = Date.parse('2020-01-02T03:04:05.678Z');

function fleet(name: string, measured: Measured, labels: Record<string, string> = {}): MeasuredObject {
  return {
    kind: 'WavryRelay',
    apiVersion: 'wavry.dev/v1alpha1',
    name,
    labels,
    measure: (metric) =>
      metric === 'active_sessions' ? measured : { value: 0.0001, atMs: AT, windowMs: 30_000 },
  };
}

const FLEETS = [
  fleet('games', { value: 12, atMs: AT }, { tier: 'gold' }),
  fleet('blind', { unknown: 'nobody answers' }, { tier: 'gold' }),
  fleet('other', { value: 1, atMs: AT }),
];

function ask(version: 'v1beta1' | 'v1beta2', rest: string, labels = '', metricLabels = ''): unknown {
  const { resource } = readRequest('GET', `/apis/custom.metrics.k8s.io/${version}/${rest}`);
  assert.ok(resource);
  return metricValues(
    {
      find: (kind, _, name) => (kind === 'pods' ? undefined : FLEETS.find((entry) => entry.name === name)),
      list: (kind) => (kind === 'pods' ? [] : FLEETS),
    },
    { ...resource, version },
    { labelSelector: parseSelector(labels), metricLabelSelector: parseSelector(metricLabels) },
  );
}

function refused(code: number, words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ApiError && error.code === code && words.test(error.message);
}

const ONE = 'namespaces/default/wavryrelays.wavry.dev/games';
const ALL = 'namespaces/default/wavryrelays.wavry.dev/*';
const OBJECT = {
  kind: 'WavryRelay',
  namespace: 'default',
  name: 'games',
  apiVersion: 'wavry.dev/v1alpha1',
};

test('both versions have their own shape', () => {
  assert.deepEqual(ask('v1beta2', `${ONE}/active_sessions`), {
    kind: 'MetricValueList',
    apiVersion: 'custom.metrics.k8s.io/v1beta2',
    metadata: {},
    items: [
      {
        describedObject: OBJECT,
        metric: { name: 'active_sessions', selector: null },
        timestamp: '2020-01-02T03:04:05Z',
        value: '12',
      },
    ],
  });
  assert.deepEqual(ask('v1beta1', `${ONE}/overload_shed_packets`), {
    kind: 'MetricValueList',
    apiVersion: 'custom.metrics.k8s.io/v1beta1',
    metadata: {},
    items: [
      {
        describedObject: OBJECT,
        metricName: 'overload_shed_packets',
        timestamp: '2020-01-02T03:04:05Z',
        window: 30,
        // A ten-thousandth rounded up: a little is not nothing.
        value: '1m',
        selector: null,
      },
    ],
  });
});

test('a list leaves out what isn’t known, one alone is no answer', () => {
  const names = (list: unknown): string[] =>
    (list as { items: { describedObject: { name: string } }[] }).items.map(
      (item) => item.describedObject.name,
    );
  assert.deepEqual(names(ask('v1beta2', `${ALL}/active_sessions`)), ['games', 'other']);
  assert.deepEqual(names(ask('v1beta2', `${ALL}/active_sessions`, 'tier=gold')), ['games']);
  assert.deepEqual(names(ask('v1beta2', 'namespaces/default/pods/*/active_sessions')), []);
  assert.throws(
    () => ask('v1beta2', 'namespaces/default/wavryrelays.wavry.dev/blind/active_sessions'),
    refused(503, /nobody answers/),
  );
});

test('a selector of metric labels picks among none', () => {
  assert.throws(
    () => ask('v1beta2', `${ONE}/active_sessions`, '', 'a=b'),
    refused(404, /could not find the metric/),
  );
  const list = ask('v1beta2', `${ONE}/active_sessions`, '', 'a!=b') as { items: { metric: unknown }[] };
  assert.deepEqual(list.items[0]?.metric, {
    name: 'active_sessions',
    selector: { matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] },
  });
  assert.deepEqual((ask('v1beta2', `${ALL}/active_sessions`, '', 'a=b') as { items: unknown[] }).items, []);
});

test('what there isn’t is not found', () => {
  for (const [path, words] of [
    ['namespaces/default/wavryrelays.wavry.dev/none/active_sessions', /"none" not found/],
    [`${ONE}/fps`, /could not find the metric fps.*there are active_sessions and/],
    [`${ONE}/active_sessions/more`, /could not find/],
    ['wavryrelays.wavry.dev/games/active_sessions', /could not find/],
    ['namespaces/default/metrics/active_sessions', /could not find/],
  ] as const) {
    assert.throws(() => ask('v1beta2', path), refused(404, words), path);
  }
});

test('the path is understood as the API server’s authorizer understands it', () => {
  const base = '/apis/custom.metrics.k8s.io/v1beta1';
  const attributes = (path: string, method = 'GET'): unknown[] => {
    const { verb, resource } = readRequest(method, path);
    return resource
      ? [verb, resource.namespace, resource.resource, resource.name, resource.subresource]
      : [verb];
  };
  assert.deepEqual(attributes(`${base}/namespaces/a/pods/%2A/b`), ['get', 'a', 'pods', '*', 'b']);
  assert.deepEqual(attributes(`${base}/namespaces/a/metrics/b`), ['get', 'a', 'metrics', 'b', '']);
  assert.deepEqual(attributes(`${base}/nodes/a/b`), ['get', '', 'nodes', 'a', 'b']);
  assert.deepEqual(attributes(`${base}/namespaces/a`), ['get', '', 'namespaces', 'a', '']);
  assert.deepEqual(attributes(`${base}/pods`, 'DELETE'), ['deletecollection', '', 'pods', '', '']);
  assert.deepEqual(attributes(base), ['get']);
  assert.deepEqual(attributes('/apis/apps/v1/namespaces/a/pods/b'), ['get']);
  assert.throws(() => readRequest('GET', `${base}/%zz`), refused(400, /percent/));
});
