import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Condition } from '../../../operator/api/status.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { ObservedAutoscaler, ObservedObject, Plan } from '../../../operator/plan/world.ts';
import { ModelCluster } from './model-cluster.ts';

const base = {
  master: { url: 'https://master.example.com' },
  replicas: 2,
  autoscaling: { minReplicas: 2, maxReplicas: 5 },
};
const own: ObservedAutoscaler = autoscaler({ by: 'us', name: 'fleet-relay' });
const ours: ObservedObject = { uid: 'hpa-uid', ours: true, earlier: false, ownerText: '' };

test('a fleet with autoscaling gets an autoscaler, and the operator never writes replicas', () => {
  const cluster = new ModelCluster(base);
  const { apply, create } = cluster.step();
  assert.deepEqual(kinds(apply), ['HorizontalPodAutoscaler']);
  assert.equal(create.length, 2);
  assert.ok(apply.every(({ kind }) => kind !== 'WavryRelay'));
});

test('the autoscaler goes with the field', () => {
  const cluster = new ModelCluster({ ...base, autoscaling: undefined });
  const { apply, deletions } = plan({
    ...cluster.world(),
    owned: new Map([['HorizontalPodAutoscaler/fleet-relay', ours]]),
  });
  assert.deepEqual(kinds(apply), []);
  assert.deepEqual(deletions, [
    {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      name: 'fleet-relay',
      uid: 'hpa-uid',
    },
  ]);
});

test('beside the autoscaler of somebody else there is none of ours, and the condition names it', () => {
  for (const foreign of [
    [autoscaler({ by: 'another', name: 'theirs' })],
    [
      autoscaler({ by: 'another', kind: 'ScaledObject', name: 'theirs' }),
      autoscaler({ by: 'another', name: 'keda-hpa-theirs', madeFor: 'ScaledObject/theirs' }),
    ],
  ]) {
    const cluster = new ModelCluster(base);
    cluster.autoscalers = [own, ...foreign];
    const decided = plan({
      ...cluster.world(),
      owned: new Map([['HorizontalPodAutoscaler/fleet-relay', ours]]),
    });
    assert.deepEqual(kinds(decided.apply), []);
    assert.deepEqual(
      decided.deletions.map(({ name }) => name),
      ['fleet-relay'],
    );
    assertCondition(decided, {
      status: 'False',
      reason: 'ForeignAutoscaler',
      message: new RegExp(
        `^${foreign[0]!.kind} theirs targets this resource as well.*delete ${foreign[0]!.kind} theirs, or leave spec.autoscaling out$`,
      ),
    });
  }
});

test('an autoscaler of an earlier fleet of this name is no stranger: it goes by itself', () => {
  const cluster = new ModelCluster(base);
  cluster.autoscalers = [autoscaler({ by: 'an earlier fleet', name: 'fleet-relay' })];
  assert.deepEqual(kinds(cluster.step().apply), ['HorizontalPodAutoscaler']);
});

test('without spec.autoscaling the autoscaler of a person counts, and two of them are too many', () => {
  const cluster = new ModelCluster({ ...base, autoscaling: undefined });
  assertCondition(cluster.step(), { status: 'False', reason: 'NotConfigured' });
  cluster.autoscalers = [autoscaler({ by: 'another', name: 'theirs' })];
  assertCondition(cluster.step(), {
    status: 'True',
    reason: 'Active',
    message: /HorizontalPodAutoscaler theirs sets spec.replicas/,
  });
  cluster.autoscalers.push(autoscaler({ by: 'another', kind: 'ScaledObject', name: 'too' }));
  assertCondition(cluster.step(), {
    status: 'False',
    reason: 'ForeignAutoscaler',
    message: /HorizontalPodAutoscaler theirs and ScaledObject too target this resource.*delete all but one/,
  });
});

test('the condition says what the autoscaler says of itself, with what to do', () => {
  const cluster = new ModelCluster(base);
  assertCondition(cluster.step(), { status: 'Unknown', reason: 'Starting' });
  cluster.autoscalers = [{ ...own, conditions: [] }];
  assertCondition(cluster.step(), { status: 'Unknown', reason: 'Starting', message: /hasn't judged yet/ });
  cluster.autoscalers = [own];
  cluster.settle();
  assertCondition(cluster.step(), {
    status: 'True',
    reason: 'Active',
    message: /fleet-relay holds 2 to 5 relays at 70 % of 100 sessions each/,
  });
  cluster.autoscalers = [saying('ScalingLimited', 'True', 'TooManyReplicas')];
  cluster.edit({ replicas: 5 });
  cluster.settle();
  assertCondition(cluster.step(), { status: 'True', reason: 'AtMaximum', message: /more than 5: raise/ });
  cluster.autoscalers = [saying('ScalingActive', 'False', 'FailedGetObjectMetric', 'unable to get metric')];
  assertCondition(cluster.step(), {
    status: 'False',
    reason: 'FailedGetObjectMetric',
    message: /unable to get metric\. Until it can, the fleet keeps its size.*kubectl get apiservice/,
  });
  cluster.autoscalers = [saying('AbleToScale', 'False', 'FailedGetScale', 'no such thing')];
  assertCondition(cluster.step(), { status: 'False', reason: 'FailedGetScale', message: /no such thing/ });
});

test('replicas out of bounds, or none at all, are told', () => {
  const cluster = new ModelCluster({ ...base, replicas: 9 });
  cluster.autoscalers = [own];
  assertCondition(cluster.step(), {
    status: 'False',
    reason: 'OutOfBounds',
    message: /spec.replicas is 9, outside 2 to 5 .*; the autoscaler sets it to 5$/,
  });
  cluster.edit({ replicas: 1 });
  assertCondition(cluster.step(), { reason: 'OutOfBounds', message: /sets it to 2$/ });
  cluster.edit({ replicas: 0 });
  assertCondition(cluster.step(), {
    status: 'False',
    reason: 'ScaledToZero',
    message: /"kubectl scale wr\/fleet --replicas=1" turns it on again/,
  });
});

test('relays that no node has room for are told by the autoscaler’s condition too', () => {
  const cluster = new ModelCluster(base);
  cluster.autoscalers = [own];
  cluster.settle();
  const model = [...cluster.relays.values()][0]!;
  model.pod = {
    ...model.pod!,
    phase: 'Pending',
    node: undefined,
    waiting: { reason: 'Unschedulable', message: '0/3 nodes are available: 3 Insufficient cpu' },
  };
  assertCondition(cluster.step(), {
    status: 'False',
    reason: 'Unschedulable',
    message: /2 relays are asked for, and no node has room for 1 of them: .*3 Insufficient cpu.*Add nodes/,
  });
});

function autoscaler(
  given: Partial<ObservedAutoscaler> & Pick<ObservedAutoscaler, 'by' | 'name'>,
): ObservedAutoscaler {
  return {
    kind: 'HorizontalPodAutoscaler',
    madeFor: undefined,
    conditions: [
      { type: 'AbleToScale', status: 'True', reason: 'ReadyForNewScale', message: '' },
      { type: 'ScalingActive', status: 'True', reason: 'ValidMetricFound', message: '' },
    ],
    ...given,
  };
}

function saying(type: string, status: string, reason: string, message = ''): ObservedAutoscaler {
  return {
    ...own,
    conditions: [
      ...own.conditions.filter((condition) => condition.type !== type),
      { type, status, reason, message },
    ],
  };
}

function kinds(objects: Plan['apply']): string[] {
  return objects.map(({ kind }) => kind).filter((kind) => kind === 'HorizontalPodAutoscaler');
}

function assertCondition(
  decided: Plan,
  wanted: {
    readonly status?: Condition['status'];
    readonly reason: string;
    readonly message?: RegExp;
  },
): void {
  const condition = decided.status.conditions?.find(({ type }) => type === 'Autoscaling');
  assert.ok(condition);
  assert.equal(condition.reason, wanted.reason, condition.message);
  if (wanted.status) assert.equal(condition.status, wanted.status);
  if (wanted.message) assert.match(condition.message, wanted.message);
}
