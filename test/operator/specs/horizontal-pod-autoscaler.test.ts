import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hpaSpecOf } from '../../../bench/simulate/hpa-object.ts';
import { spec as specType } from '../../../operator/api/spec.ts';
import { horizontalPodAutoscaler } from '../../../operator/specs/horizontal-pod-autoscaler.ts';

for (const [maxSessions, written, sessions] of [
  [100, '"70"', 70],
  [2500, '"1750"', 1750],
  [10_000, '"7k"', 7000],
  [100_000, '"70k"', 70_000],
] as const) {
  test(`a target of ${sessions} sessions is written as the API server hands it out`, () => {
    const spec = specType.parse({
      master: { url: 'https://master.example.com' },
      limits: { maxSessions },
      autoscaling: { maxReplicas: 2 },
    });
    const fleet = {
      name: 'fleet',
      namespace: 'games',
      uid: 'uid',
      spec,
      defaultImage: 'relay:1',
      runbooks: '',
    };
    assert.ok(JSON.stringify(horizontalPodAutoscaler(fleet)).includes(`"averageValue":${written}`));
    assert.equal(hpaSpecOf(spec).metrics[0]!.target, sessions);
  });
}
