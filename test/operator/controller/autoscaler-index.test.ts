import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AutoscalerIndex } from '../../../operator/controller/autoscaler-index.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { object } from './objects.ts';

const HPA = 'HorizontalPodAutoscaler';
const KEY = 'games/scaler';

function scaler(name: string, rest: object = {}, kind = 'WavryRelay'): KubeObject {
  return object('scaler', {
    spec: { scaleTargetRef: { apiVersion: 'wavry.dev/v1alpha1', kind, name } },
    ...rest,
  });
}

function rig(): { readonly index: AutoscalerIndex; readonly told: string[] } {
  const told: string[] = [];
  return { index: new AutoscalerIndex((fleet) => told.push(fleet)), told };
}

test('autoscalers are found by the fleet that they target, whatever its labels', () => {
  const { index, told } = rig();
  const eu = scaler('eu');
  index.changed(HPA, KEY, eu, undefined);
  index.changed('ScaledObject', KEY, eu, undefined);
  index.changed(HPA, 'games/web', scaler('eu', {}, 'Deployment'), undefined);
  assert.deepEqual(index.of('games/eu'), [
    { kind: HPA, object: eu },
    { kind: 'ScaledObject', object: eu },
  ]);
  assert.deepEqual(index.of('games/web'), []);
  assert.deepEqual(told, ['games/eu', 'games/eu']);
});

test('one that turns to another fleet is news for both, and one that goes for its last', () => {
  const { index, told } = rig();
  const [eu, us] = [scaler('eu'), scaler('us')];
  index.changed(HPA, KEY, eu, undefined);
  index.changed(HPA, KEY, us, eu);
  assert.deepEqual(told, ['games/eu', 'games/eu', 'games/us']);
  assert.deepEqual([index.of('games/eu'), index.of('games/us').length], [[], 1]);
  index.changed(HPA, KEY, undefined, us);
  assert.deepEqual([told.at(-1), index.of('games/us')], ['games/us', []]);
});

test('its metrics are no news, its conditions are', () => {
  const { index, told } = rig();
  const first = scaler('eu', { status: { currentMetrics: [1], conditions: [] } });
  const second = scaler('eu', { status: { currentMetrics: [2], conditions: [] } });
  const third = scaler('eu', { status: { currentMetrics: [2], conditions: [{ type: 'AbleToScale' }] } });
  index.changed(HPA, KEY, first, undefined);
  index.changed(HPA, KEY, second, first);
  assert.equal(told.length, 1);
  assert.equal(index.of('games/eu')[0]!.object, second);
  index.changed(HPA, KEY, third, second);
  assert.equal(told.length, 2);
});
