import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spec as specType } from '../../operator/api/spec.ts';
import { operatorMetrics } from '../../operator/controller/metrics.ts';
import { alertingRules } from '../../operator/specs/alerts.ts';
import { dashboardRows } from '../../operator/specs/dashboard-panels.ts';
import type { Fleet } from '../../operator/specs/fleet.ts';
import { recordingRules } from '../../operator/specs/recording-rules.ts';
import { METRICS } from '../../relay/control/metrics.ts';
import { OPERATOR_RULES } from './operator-rules.ts';
import { type Series, testRules, type UnitTest } from './promtool.ts';

/** What Prometheus itself makes, and what its client libraries say of any process. */
const OTHERS = ['up', 'ALERTS', 'process_resident_memory_bytes'];

const fleet: Fleet = {
  name: 'games',
  namespace: 'wavry',
  uid: '',
  spec: specType.parse({
    master: { url: 'https://master.example.com' },
    autoscaling: { maxReplicas: 8 },
  }),
  defaultImage: '',
  runbooks: '',
};

test('rules and dashboard ask for metrics that relay and operator have, and for rules that are recorded', () => {
  const { registry } = operatorMetrics({
    controller: '',
    workers: 1,
    lease: '',
    leading: () => true,
    queue: () => ({ depth: 0, runningMs: [] }),
    statuses: new Map(),
    fleets: () => [],
  });
  const recorded = recordingRules(fleet);
  const known = new Set([
    ...OTHERS,
    ...METRICS.map(({ name }) => `wavry_relay_${name}`),
    ...registry.getMetricsAsArray().map(({ name }) => name),
    ...recorded.map(({ record }) => record),
  ]);
  const expressions = [
    ...recorded.map(({ expr }) => expr),
    ...alertingRules(fleet).map(({ expr }) => expr),
    ...OPERATOR_RULES.groups.flatMap((group) => group.rules).map(({ expr }) => expr),
    ...dashboardRows(fleet).flatMap(({ panels }) =>
      panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)),
    ),
  ];
  let found = 0;
  for (const expr of expressions) {
    // A metric is what stands before its selector; every one has a selector here.
    for (const [, name] of expr.matchAll(/([a-zA-Z_:][\w:]*)\{/g)) {
      assert.ok(known.has(name!), `${name} of ${expr}`);
      found += 1;
    }
  }
  assert.ok(found > 100);
});

test('the dashboard counts what fires on relays of the fleet and on the fleet itself, and nothing of others', async () => {
  const alerts = dashboardRows(fleet)
    .flatMap(({ panels }) => panels)
    .find(({ title }) => title === 'Alerts firing')!;
  const firing = (labels: string): Series => ({
    series: `ALERTS{alertstate="firing",${labels}}`,
    values: '1',
  });
  const ours = [
    firing('alertname="WavryRelayDown",namespace="wavry",wavry_dev_fleet="games"'),
    firing('alertname="WavryRelayDegraded",namespace="wavry",fleet="games"'),
  ];
  const others = [
    firing('alertname="WavryRelayDegraded",namespace="wavry",fleet="other"'),
    firing('alertname="WavryRelayDown",namespace="lab",wavry_dev_fleet="games"'),
    { series: 'ALERTS{alertstate="pending",namespace="wavry",fleet="games"}', values: '1' },
  ];
  const counts = (name: string, input_series: readonly Series[], value: number): UnitTest => ({
    name,
    interval: '1m',
    input_series,
    promql_expr_test: [
      { expr: alerts.queries[0]!.expr, eval_time: '0m', exp_samples: [{ labels: '{}', value }] },
    ],
  });
  await testRules({ groups: [] }, [counts('some', [...ours, ...others], 2), counts('none', others, 0)]);
});

test('without a PrometheusRule the dashboard does without recorded series', () => {
  const bare = { ...fleet, spec: { ...fleet.spec, monitoring: { prometheusRule: false, dashboard: true } } };
  for (const { panels } of dashboardRows(bare)) {
    for (const { expr } of panels.flatMap(({ queries }) => queries))
      assert.doesNotMatch(expr, /:(sum|rate5m)/);
  }
});
