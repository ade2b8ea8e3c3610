import assert from 'node:assert/strict';
import { test } from 'node:test';

import { plan } from '../../../operator/plan/plan.ts';
import type { Plan, World } from '../../../operator/plan/world.ts';
import { ModelCluster } from './model-cluster.ts';

const KINDS = ['ServiceMonitor', 'PrometheusRule'];

function planned(monitoring: Record<string, unknown>, change: Partial<World> = {}): Plan {
  const cluster = new ModelCluster({ master: { url: 'https://master.example.com' }, monitoring });
  return plan({ ...cluster.world(), ...change });
}

function made(decided: Plan): string[] {
  return decided.apply
    .filter(({ kind, metadata }) => KINDS.includes(kind) || metadata.name === 'fleet-dashboard')
    .map(({ kind }) => kind);
}

test('monitoring is made where nothing is said, and its absence is no fault', () => {
  assert.deepEqual(made(planned({})), KINDS);
  const without = planned({}, { unknownKinds: new Set(KINDS) });
  assert.deepEqual(made(without), []);
  const degraded = without.status.conditions?.find(({ type }) => type === 'Degraded');
  assert.deepEqual([degraded?.status, degraded?.reason], ['False', 'MonitoringUnavailable']);
  assert.match(degraded?.message ?? '', /no ServiceMonitor and no PrometheusRule/);
});

test('monitoring that is asked for and can’t be is a fault that names the field', () => {
  for (const [kind, field] of [
    ['ServiceMonitor', 'serviceMonitor'],
    ['PrometheusRule', 'prometheusRule'],
  ] as const) {
    const { status } = planned({ [field]: true }, { unknownKinds: new Set([kind]) });
    const degraded = status.conditions?.find(({ type }) => type === 'Degraded');
    assert.equal(degraded?.status, 'True');
    assert.match(degraded?.message ?? '', new RegExp(`no ${kind}: .*spec.monitoring.${field}`));
  }
});

test('what is no longer wanted goes, and what others own stays', () => {
  assert.deepEqual(made(planned({ dashboard: true })), [...KINDS, 'ConfigMap']);
  const object = (uid: string, ours: boolean) => ({ uid, ours, earlier: false, ownerText: 'somebody' });
  const owned = new Map([
    ['ServiceMonitor/fleet-relay', object('a', true)],
    ['PrometheusRule/fleet-relay', object('b', true)],
    ['ConfigMap/fleet-dashboard', object('c', true)],
    ['PrometheusRule/theirs', object('d', false)],
  ]);
  const gone = planned({ serviceMonitor: false, prometheusRule: false }, { owned });
  assert.deepEqual(made(gone), []);
  assert.deepEqual(gone.deletions.map(({ uid }) => uid).toSorted(), ['a', 'b', 'c']);
});
