import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { observeAutoscaler, targetedFleet } from '../../../operator/controller/observe-autoscaler.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { plan } from '../../../operator/plan/plan.ts';
import { ModelCluster } from '../plan/model-cluster.ts';
import { controlledBy, object } from './objects.ts';

const HPA = 'HorizontalPodAutoscaler';

function targeting(target: unknown, rest: object = {}): KubeObject {
  return object('scaler', { spec: { scaleTargetRef: target }, ...rest });
}

suite('what an autoscaler targets', () => {
  const target = { apiVersion: 'wavry.dev/v1alpha1', kind: 'WavryRelay', name: 'games' };

  test('a fleet, of whatever version', () => {
    assert.equal(targetedFleet(targeting(target)), 'games/games');
    assert.equal(targetedFleet(targeting({ ...target, apiVersion: 'wavry.dev/v2' })), 'games/games');
  });

  test('something else', () => {
    for (const other of [
      { ...target, kind: 'Deployment' },
      { ...target, apiVersion: 'example.com/v1' },
      { ...target, apiVersion: 'v1' },
      { ...target, apiVersion: undefined },
      { ...target, name: 7 },
      'games',
      null,
      undefined,
    ])
      assert.equal(targetedFleet(targeting(other)), undefined, JSON.stringify(other));
    assert.equal(targetedFleet(object('scaler')), undefined);
  });
});

suite('what is observed of an autoscaler', () => {
  const target = { apiVersion: 'wavry.dev/v1alpha1', kind: 'WavryRelay', name: 'games' };

  function by(kind: string, name: string, uid: string): string {
    const made = targeting(target, { metadata: { ownerReferences: controlledBy(kind, name, uid) } });
    return observeAutoscaler(made, HPA, 'fleet-uid').by;
  }

  test('whose it is', () => {
    assert.equal(by('WavryRelay', 'games', 'fleet-uid'), 'us');
    assert.equal(by('WavryRelay', 'games', 'gone-uid'), 'an earlier fleet');
    assert.equal(by('WavryRelay', 'other', 'other-uid'), 'another');
    assert.equal(by('ScaledObject', 'games', 'keda-uid'), 'another');
    assert.equal(observeAutoscaler(targeting(target), HPA, 'fleet-uid').by, 'another');
  });

  test('for whom it was made', () => {
    const ownerReferences = controlledBy('ScaledObject', 'games', 'keda-uid');
    const made = targeting(target, { metadata: { ownerReferences } });
    assert.equal(observeAutoscaler(made, HPA, 'fleet-uid').madeFor, 'ScaledObject/games');
  });

  test('its conditions, bounded; a reason of several words is none', () => {
    const conditions = [
      { type: 'ScalingActive', status: 'False', reason: 'FailedGetObjectMetric', message: ' no answer\n' },
      { type: 'AbleToScale', status: 'True', reason: 'two words', message: 'x'.repeat(5000) },
      null,
    ];
    const seen = observeAutoscaler(targeting(target, { status: { conditions } }), HPA, 'fleet-uid');
    assert.deepEqual(seen.conditions, [
      { type: 'ScalingActive', status: 'False', reason: 'FailedGetObjectMetric', message: 'no answer' },
      { type: 'AbleToScale', status: 'True', reason: 'Unknown', message: 'x'.repeat(1024) },
      { type: '', status: '', reason: 'Unknown', message: '' },
    ]);
  });
});

test('whatever the spec and status of a foreign autoscaler are, there is a plan for the fleet', () => {
  const condition = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        type: fc.oneof(fc.constantFrom('AbleToScale', 'ScalingActive', 'ScalingLimited'), fc.jsonValue()),
        status: fc.oneof(fc.constantFrom('True', 'False'), fc.jsonValue()),
        reason: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
        message: fc.oneof(fc.string({ unit: 'binary', size: 'large' }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    ),
  );
  const status = fc.oneof(fc.jsonValue(), fc.record({ conditions: fc.array(condition) }));
  fc.assert(
    fc.property(status, fc.jsonValue(), fc.boolean(), (status, spec, ours) => {
      const ownerReferences = ours ? controlledBy('WavryRelay', 'fleet', 'fleet-uid') : [];
      const scaler = object('scaler', { metadata: { ownerReferences }, status, spec });
      assert.doesNotThrow(() => targetedFleet(scaler));
      const cluster = new ModelCluster({
        master: { url: 'https://master.example.com' },
        autoscaling: { maxReplicas: 3 },
      });
      cluster.autoscalers = [observeAutoscaler(scaler, HPA, 'fleet-uid')];
      for (const { message, reason } of plan(cluster.world()).status.conditions!) {
        // As the CRD has it, and as it comes back from the API server.
        assert.ok(message.length <= 32_768 && message.isWellFormed());
        assert.match(reason, /^[A-Za-z][A-Za-z0-9_,:]*$/);
      }
    }),
  );
});
