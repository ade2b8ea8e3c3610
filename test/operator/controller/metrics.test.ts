import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { type MetricSources, operatorMetrics } from '../../../operator/controller/metrics.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';

const SPEC = {
  replicas: 3,
  size: 'Small',
  master: { url: 'https://master.example.com' },
  autoscaling: { minReplicas: 2, maxReplicas: 8, targetSessionUtilization: 60 },
};

function fleet(name: string, spec: unknown): KubeObject {
  const metadata = {
    name,
    namespace: 'wavry',
    uid: name,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  return { apiVersion: 'wavry.dev/v1alpha1', kind: 'WavryRelay', metadata, spec };
}

/** Samples of the operator's own metrics, as they are scraped. */
async function scrape(change: Partial<MetricSources>): Promise<string[]> {
  const { registry } = operatorMetrics({
    controller: 'wavryrelay',
    workers: 1,
    lease: 'wavry-relay-operator',
    leading: () => true,
    queue: () => ({ depth: 0, runningMs: [] }),
    statuses: new Map(),
    fleets: () => [fleet('games', SPEC)],
    ...change,
  });
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith('wavry_operator_'));
}

suite('what the operator tells Prometheus of fleets', () => {
  test('what is asked for, and the bounds and the target of those that scale themselves', async () => {
    const { autoscaling: _, ...fixed } = SPEC;
    assert.deepEqual(await scrape({ fleets: () => [fleet('games', SPEC), fleet('fixed', fixed)] }), [
      'wavry_operator_fleet_spec_replicas{namespace="wavry",fleet="games"} 3',
      'wavry_operator_fleet_spec_replicas{namespace="wavry",fleet="fixed"} 3',
      'wavry_operator_fleet_autoscaling_bound{namespace="wavry",fleet="games",bound="min"} 2',
      'wavry_operator_fleet_autoscaling_bound{namespace="wavry",fleet="games",bound="max"} 8',
      'wavry_operator_fleet_autoscaling_target_sessions{namespace="wavry",fleet="games"} 30',
    ]);
  });

  test('the status of each condition, and of all reasons only those that alerts go by', async () => {
    const condition = { message: '', observedGeneration: 1, lastTransitionTime: '2026-01-01T00:00:00Z' };
    const status = {
      conditions: [
        { ...condition, type: 'Ready' as const, status: 'False' as const, reason: 'Unschedulable' },
        { ...condition, type: 'Autoscaling' as const, status: 'False' as const, reason: 'SomebodysOwnWord' },
      ],
    };
    const lines = await scrape({ statuses: new Map([['wavry/games', status]]) });
    assert.deepEqual(
      lines.filter((line) => line.includes('condition')),
      [
        'wavry_operator_fleet_condition{namespace="wavry",fleet="games",type="Ready",status="False",reason="Unschedulable"} 1',
        'wavry_operator_fleet_condition{namespace="wavry",fleet="games",type="Autoscaling",status="False",reason=""} 1',
      ],
    );
  });

  test('since when relays drain, and only of those that do', async () => {
    const status = {
      relays: [
        { name: 'games-0-0', state: 'Serving' as const },
        { name: 'games-0-1', state: 'Draining' as const, drainingSince: '2026-01-01T00:01:00Z' },
      ],
    };
    const lines = await scrape({ statuses: new Map([['wavry/games', status]]) });
    assert.deepEqual(
      lines.filter((line) => line.includes('drain_start')),
      [
        `wavry_operator_relay_drain_start_timestamp_seconds{namespace="wavry",fleet="games",relay="games-0-1"} ${Date.parse('2026-01-01T00:01:00Z') / 1000}`,
      ],
    );
  });

  test('a standby is silent, and a spec that can’t be read harms nobody', async () => {
    assert.deepEqual(await scrape({ leading: () => false }), []);
    const lines = await scrape({ fleets: () => [fleet('broken', { size: 'Huge' }), fleet('games', SPEC)] });
    assert.equal(lines.length, 4);
  });
});
