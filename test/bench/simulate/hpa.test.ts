import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  HpaController,
  type HpaSpec,
  limitRate,
  proposedReplicas,
  type ScaleEvent,
  scaleDownLimit,
  scaleDownRules,
  scaleUpLimit,
  scaleUpRules,
  type ScalingPolicy,
  type ScalingRules,
  stabilized,
} from '../../../bench/simulate/hpa.ts';

// Cases and names are those of pkg/controller/podautoscaler/horizontal_test.go of Kubernetes 1.36.

const NOW = 10_000_000;

/** generateScalingRules of the upstream test. */
function rules(
  pods: number,
  podsPeriod: number,
  percent: number,
  percentPeriod: number,
  stabilizationWindowSeconds: number,
): ScalingRules {
  const policies: ScalingPolicy[] = [];
  if (pods !== 0) policies.push({ type: 'Pods', value: pods, periodSeconds: podsPeriod });
  if (percent !== 0) policies.push({ type: 'Percent', value: percent, periodSeconds: percentPeriod });
  return { selectPolicy: 'Max', stabilizationWindowSeconds, policies };
}

/** generateEventsUniformDistribution: each event in the middle of its part of the period. */
function events(changes: readonly number[], periodSeconds: number): ScaleEvent[] {
  const part = periodSeconds / changes.length;
  return changes.map((change, index) => ({
    change,
    atMs: NOW - 1000 * Math.trunc(periodSeconds - part * (index + 1) + part / 2),
  }));
}

interface RateCase {
  readonly name: string;
  readonly up?: ScalingRules;
  readonly down?: ScalingRules;
  readonly upEvents?: ScaleEvent[];
  readonly downEvents?: ScaleEvent[];
  readonly min: number;
  readonly max: number;
  readonly current: number;
  readonly desired: number;
  readonly expected: number;
}

const recent = events([1, 5, 9], 120);
const four = events([8, 12, 9, 11], 120);
const RATES: readonly RateCase[] = [
  {
    name: 'prenormalized desired replicas within range',
    current: 5,
    desired: 7,
    min: 3,
    max: 8,
    expected: 7,
  },
  {
    name: 'prenormalized desired replicas < minReplicas',
    current: 3,
    desired: 1,
    min: 2,
    max: 8,
    expected: 2,
  },
  { name: 'within range when minReplicas is 0', current: 1, desired: 0, min: 0, max: 10, expected: 0 },
  {
    name: 'maxReplicas is the limit because maxReplicas < scaleUpLimit',
    current: 20,
    desired: 1000,
    min: 1,
    max: 10,
    expected: 10,
  },
  {
    name: 'desired replica count is more than the maximum replica count',
    current: 100,
    desired: 1000,
    min: 100,
    max: 150,
    expected: 150,
  },
  {
    name: 'scaleUpLimit is the limit because scaleUpLimit < maxReplicas with user policies',
    up: rules(0, 0, 1, 60, 0),
    current: 3,
    desired: 1000,
    min: 1,
    max: 2000,
    expected: 4,
  },
  {
    name: 'scaleDownLimit is the limit because scaleDownLimit > minReplicas with user defined policies',
    down: rules(20, 60, 0, 0, 0),
    current: 1000,
    desired: 3,
    min: 3,
    max: 2000,
    expected: 980,
  },
  { name: 'scaleUp with default behavior', current: 10, desired: 50, min: 1, max: 1000, expected: 20 },
  {
    name: 'scaleUp with pods policy larger than percent policy',
    up: rules(100, 60, 100, 60, 0),
    current: 10,
    desired: 500,
    min: 1,
    max: 1000,
    expected: 110,
  },
  {
    name: 'scaleUp with percent policy larger than pods policy',
    up: rules(2, 60, 100, 60, 0),
    current: 10,
    desired: 500,
    min: 1,
    max: 1000,
    expected: 20,
  },
  {
    name: 'scaleUp with spec MaxReplicas limitation with large pod policy',
    up: rules(100, 60, 0, 0, 0),
    current: 10,
    desired: 50,
    min: 1,
    max: 1000,
    expected: 50,
  },
  {
    name: 'scaleUp with pod policy limitation',
    up: rules(30, 60, 0, 0, 0),
    current: 10,
    desired: 50,
    min: 1,
    max: 1000,
    expected: 40,
  },
  {
    name: 'scaleUp with percent policy limitation',
    up: rules(0, 0, 200, 60, 0),
    current: 10,
    desired: 50,
    min: 1,
    max: 1000,
    expected: 30,
  },
  {
    name: 'scaleDown with percent policy larger than pod policy',
    down: rules(20, 60, 1, 60, 300),
    current: 100,
    desired: 2,
    min: 1,
    max: 1000,
    expected: 80,
  },
  {
    name: 'scaleDown with pod policy larger than percent policy',
    down: rules(2, 60, 1, 60, 300),
    current: 100,
    desired: 2,
    min: 1,
    max: 1000,
    expected: 98,
  },
  {
    name: 'scaleDown with spec MinReplicas limitation with large pod policy',
    down: rules(100, 60, 0, 0, 300),
    current: 10,
    desired: 0,
    min: 1,
    max: 1000,
    expected: 1,
  },
  {
    name: 'scaleDown with spec MinReplicas limitation with large percent policy',
    down: rules(0, 0, 100, 60, 300),
    current: 10,
    desired: 2,
    min: 5,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleDown with pod policy limitation',
    down: rules(5, 60, 0, 0, 300),
    current: 10,
    desired: 2,
    min: 1,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleDown with percent policy limitation',
    down: rules(0, 0, 50, 60, 300),
    current: 10,
    desired: 5,
    min: 1,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleUp with spec MaxReplicas limitation with large pod policy and events',
    upEvents: recent,
    up: rules(300, 60, 0, 0, 0),
    current: 100,
    desired: 500,
    min: 1,
    max: 200,
    expected: 200,
  },
  {
    name: 'scaleUp with spec MaxReplicas limitation with large percent policy and events',
    upEvents: recent,
    up: rules(0, 0, 10_000, 60, 0),
    current: 100,
    desired: 500,
    min: 1,
    max: 200,
    expected: 200,
  },
  {
    name: 'scaleUp with currentReplicas limitation with rate.PeriodSeconds with a lot of recent scale up events',
    upEvents: recent,
    up: rules(5, 120, 0, 0, 0),
    current: 100,
    desired: 500,
    min: 1,
    max: 1000,
    expected: 100,
  },
  {
    name: 'scaleUp with pod policy and previous scale up events',
    upEvents: recent,
    up: rules(150, 120, 0, 0, 0),
    current: 100,
    desired: 500,
    min: 1,
    max: 1000,
    expected: 235,
  },
  {
    name: 'scaleUp with percent policy and previous scale up events',
    upEvents: recent,
    up: rules(0, 0, 200, 120, 0),
    current: 100,
    desired: 500,
    min: 1,
    max: 1000,
    expected: 255,
  },
  {
    name: 'scaleUp with percent policy and previous scale up and down events',
    upEvents: events([4], 120),
    downEvents: events([2], 120),
    up: rules(0, 0, 300, 300, 0),
    current: 6,
    desired: 24,
    min: 1,
    max: 1000,
    expected: 16,
  },
  {
    name: 'scaleDown with default policy and previous events',
    downEvents: recent,
    current: 10,
    desired: 5,
    min: 1,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleDown with spec MinReplicas=nil limitation with large pod policy and previous events',
    downEvents: recent,
    down: rules(115, 120, 0, 0, 300),
    current: 100,
    desired: 0,
    min: 1,
    max: 1000,
    expected: 1,
  },
  {
    name: 'scaleDown with spec MinReplicas limitation with large pod policy and previous events',
    downEvents: recent,
    down: rules(130, 120, 0, 0, 300),
    current: 100,
    desired: 0,
    min: 5,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleDown with spec MinReplicas limitation with large percent policy and previous events',
    downEvents: recent,
    down: rules(0, 0, 100, 120, 300),
    current: 100,
    desired: 2,
    min: 5,
    max: 1000,
    expected: 5,
  },
  {
    name: 'scaleDown with pod policy limitation and previous events',
    downEvents: recent,
    down: rules(5, 120, 0, 0, 300),
    current: 100,
    desired: 2,
    min: 1,
    max: 1000,
    expected: 100,
  },
  {
    name: 'scaleDown with percent policy limitation and previous events',
    downEvents: events([2, 4, 6], 120),
    down: rules(0, 0, 50, 120, 300),
    current: 100,
    desired: 0,
    min: 1,
    max: 1000,
    expected: 56,
  },
  {
    name: 'scaleDown with percent policy and previous scale up and down events',
    upEvents: events([2], 120),
    downEvents: events([4], 120),
    down: rules(0, 0, 50, 180, 0),
    current: 10,
    desired: 1,
    min: 1,
    max: 1000,
    expected: 6,
  },
  {
    name: 'scaleDown with previous events preventing further scale down',
    downEvents: events([10, 10, 10], 120),
    down: rules(0, 0, 10, 120, 300),
    current: 100,
    desired: 0,
    min: 1,
    max: 1000,
    expected: 100,
  },
  {
    name: 'scaleDown with previous events still allowing more scale down',
    downEvents: events([10, 10, 10], 120),
    down: rules(0, 0, 1000, 120, 300),
    current: 10,
    desired: 5,
    min: 1,
    max: 1000,
    expected: 5,
  },
  {
    name: 'events outside the period don’t count, for up',
    upEvents: four,
    up: rules(1000, 60, 0, 0, 0),
    current: 100,
    desired: 200,
    min: 1,
    max: 1000,
    expected: 200,
  },
  {
    name: 'two different policies in the behavior for up',
    upEvents: four,
    up: rules(1000, 30, 100, 60, 0),
    current: 100,
    desired: 200,
    min: 1,
    max: 1000,
    expected: 200,
  },
  {
    name: 'two different policies in the behavior for down',
    downEvents: four,
    down: rules(1000, 120, 100, 60, 300),
    current: 100,
    desired: 5,
    min: 1,
    max: 1000,
    expected: 5,
  },
];

for (const entry of RATES) {
  test(`rate: ${entry.name}`, () => {
    const replicas = limitRate({
      nowMs: NOW,
      current: entry.current,
      desired: entry.desired,
      minReplicas: entry.min,
      maxReplicas: entry.max,
      up: scaleUpRules(entry.up),
      down: scaleDownRules(entry.down),
      upEvents: entry.upEvents ?? [],
      downEvents: entry.downEvents ?? [],
    });
    assert.equal(replicas, entry.expected);
  });
}

test('selectPolicy Min takes the smallest change of two policies, Disabled none', () => {
  const policies: ScalingPolicy[] = [
    { type: 'Pods', value: 2, periodSeconds: 60 },
    { type: 'Percent', value: 50, periodSeconds: 60 },
  ];
  const least = { stabilizationWindowSeconds: 300, selectPolicy: 'Min', policies } as const;
  const none = { nowMs: NOW, upEvents: [], downEvents: [] };
  assert.equal(scaleUpLimit({ ...none, current: 1, up: least }), 2);
  assert.equal(scaleDownLimit({ ...none, current: 5, down: least }), 3);
  assert.equal(scaleUpLimit({ ...none, current: 9, up: { ...least, selectPolicy: 'Disabled' } }), 9);
  assert.equal(scaleDownLimit({ ...none, current: 9, down: { ...least, selectPolicy: 'Disabled' } }), 9);
});

interface StabilizeCase {
  readonly name: string;
  /** Replicas, and minutes ago. */
  readonly past: readonly (readonly [number, number])[];
  readonly current: number;
  readonly desired: number;
  readonly expected: number;
  readonly up?: number;
  readonly down?: number;
}

// TestNormalizeDesiredReplicasWithBehavior
const STABILIZE: readonly StabilizeCase[] = [
  { name: 'empty recommendations for scaling down', past: [], current: 100, desired: 5, expected: 5 },
  {
    name: 'simple scale down stabilization',
    past: [
      [4, 2],
      [5, 1],
    ],
    current: 100,
    desired: 3,
    expected: 5,
    down: 180,
  },
  {
    name: 'simple scale up stabilization',
    past: [
      [4, 2],
      [5, 1],
    ],
    current: 1,
    desired: 7,
    expected: 4,
    up: 300,
  },
  {
    name: 'no scale down stabilization',
    past: [
      [1, 2],
      [2, 1],
    ],
    current: 100,
    desired: 3,
    expected: 3,
    up: 300,
  },
  {
    name: 'no scale up stabilization',
    past: [
      [4, 2],
      [5, 1],
    ],
    current: 1,
    desired: 3,
    expected: 3,
    down: 300,
  },
  {
    name: 'obsolete recommendations, down',
    past: [
      [10, 10],
      [9, 9],
    ],
    current: 100,
    desired: 3,
    expected: 3,
  },
  {
    name: 'obsolete recommendations, up',
    past: [
      [10, 10],
      [9, 9],
    ],
    current: 1,
    desired: 100,
    expected: 100,
  },
  {
    name: 'scale down stabilization among obsolete ones',
    past: [
      [10, 10],
      [4, 1],
      [5, 2],
      [9, 9],
    ],
    current: 100,
    desired: 3,
    expected: 5,
    down: 180,
  },
  {
    name: 'scale up stabilization among obsolete ones',
    past: [
      [10, 100],
      [6, 1],
      [5, 2],
      [9, 3],
    ],
    current: 1,
    desired: 100,
    expected: 5,
    up: 300,
  },
  {
    name: 'do not scale up when prenormalized rec goes down',
    past: [
      [2, 100],
      [3, 3],
    ],
    current: 2,
    desired: 1,
    expected: 2,
    up: 300,
    down: 300,
  },
  {
    name: 'do not scale down when prenormalized rec goes up',
    past: [
      [2, 100],
      [1, 3],
    ],
    current: 2,
    desired: 3,
    expected: 2,
    up: 300,
    down: 300,
  },
];

for (const entry of STABILIZE) {
  test(`stabilization: ${entry.name}`, () => {
    const past = entry.past.map(([replicas, minutes]) => ({ replicas, atMs: NOW - minutes * 60_000 }));
    const { current, desired, up = 0, down = 0 } = entry;
    assert.equal(
      stabilized(past, { nowMs: NOW, current, desired, upSeconds: up, downSeconds: down }),
      entry.expected,
    );
  });
}

const average = (target: number) => [{ name: 'qps', type: 'AverageValue', target }] as const;
const value = (target: number) => [{ name: 'qps', type: 'Value', target }] as const;
const reading = (replicas: number, usage: number | undefined, readyPods = replicas) => ({
  specReplicas: replicas,
  statusReplicas: replicas,
  readyPods,
  metric: () => usage,
});

test('proposals of Object metrics', () => {
  // TestScaleUpPerPodCMObject, TestScaleDownPerPodCMObject, TestTolerancePerPodCMObject
  assert.equal(proposedReplicas(average(10), reading(3, 40)), 4);
  assert.equal(proposedReplicas(average(20), reading(5, 60)), 3);
  assert.equal(proposedReplicas(average(2.2), reading(4, 8.6)), 4);
  // TestScaleUpCMObject, TestScaleDownCMObject, TestToleranceCMObject
  assert.equal(proposedReplicas(value(15), reading(3, 20)), 4);
  assert.equal(proposedReplicas(value(20), reading(5, 12)), 3);
  assert.equal(proposedReplicas(value(0.0666), reading(4, 0.0666)), 4);
  // Only ready pods count: TestReplicaCalcScaleUpCMObjectIgnoresUnreadyPods, usage ratio 2.5 of 3 pods of 5.
  assert.equal(proposedReplicas(value(20), reading(5, 50, 3)), 8);
});

test('the larger of two metrics wins, and a missing one only forbids to shrink', () => {
  const both = [
    { name: 'sessions', type: 'AverageValue', target: 10 },
    { name: 'shed', type: 'Value', target: 1 },
  ] as const;
  const at = (sessions: number | undefined, shed: number | undefined): number | undefined =>
    proposedReplicas(both, {
      specReplicas: 5,
      statusReplicas: 5,
      readyPods: 5,
      metric: (name) => (name === 'sessions' ? sessions : shed),
    });
  assert.equal(at(70, 0), 7);
  assert.equal(at(70, 2), 10);
  assert.equal(at(70, undefined), 7);
  assert.equal(at(20, undefined), undefined);
  assert.equal(at(undefined, 2), 10);
  assert.equal(at(undefined, 0), undefined);
  assert.equal(at(undefined, undefined), undefined);
});

const SPEC: HpaSpec = {
  minReplicas: 1,
  maxReplicas: 100,
  metrics: average(10),
  behavior: {
    scaleUp: {
      stabilizationWindowSeconds: 0,
      policies: [{ type: 'Percent', value: 100, periodSeconds: 60 }],
    },
    scaleDown: { stabilizationWindowSeconds: 60 },
  },
};

test('a controller paces growth, waits before it shrinks, and holds when it is blind', () => {
  const hpa = new HpaController(SPEC);
  let replicas = 4;
  const sync = (seconds: number, usage: number | undefined): number => {
    replicas = hpa.sync(seconds * 1000, reading(replicas, usage)).replicas;
    return replicas;
  };
  assert.equal(sync(0, 200), 8);
  assert.equal(sync(15, 200), 8, 'no more than double within a minute');
  assert.equal(sync(45, 200), 8);
  assert.equal(sync(60.001, 200), 16);
  assert.equal(sync(75, 50), 16, 'the last minute asked for more');
  assert.equal(sync(90, undefined), 16);
  assert.equal(sync(105, undefined), 16);
  assert.equal(sync(119, 50), 16);
  assert.equal(sync(121, 50), 5);
});

test('out of bounds it goes back inside without asking metrics, and from 0 it does nothing', () => {
  const hpa = new HpaController({ ...SPEC, minReplicas: 2, maxReplicas: 6 });
  assert.deepEqual(hpa.sync(0, reading(9, undefined)), { replicas: 6, proposal: undefined });
  assert.deepEqual(hpa.sync(1, reading(1, undefined)), { replicas: 2, proposal: undefined });
  assert.deepEqual(hpa.sync(2, reading(0, 500)), { replicas: 0, proposal: undefined });
});
