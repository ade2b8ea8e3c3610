import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BackOff } from '../../../../local/cluster/node-agent/back-off.ts';
import { findImage } from '../../../../local/cluster/node-agent/images.ts';
import { podStatus, type PodObservation } from '../../../../local/cluster/node-agent/pod-status.ts';
import type { ContainerState, ContainerStatus, Pod } from '../../../../local/cluster/node-agent/resources.ts';

const pod: Pod = { metadata: { name: 'p', uid: 'u' }, spec: { containers: [] } };
const running: ContainerState = { running: { startedAt: 't' } };
const ended = (exitCode: number): ContainerState => ({
  terminated: { exitCode, reason: '', startedAt: 't', finishedAt: 't' },
});
const waiting: ContainerState = { waiting: { reason: 'ContainerCreating' } };

function container(state: ContainerState, fields: Partial<ContainerStatus> = {}): ContainerStatus {
  const ready = state.running !== undefined;
  return {
    name: 'c',
    image: 'i',
    imageID: '',
    ready,
    started: ready,
    restartCount: 0,
    state,
    lastState: {},
    ...fields,
  };
}

function observe(fields: Partial<PodObservation>): PodObservation {
  return {
    hostIP: '198.18.1.1',
    podIP: '198.18.1.100',
    startTime: 't0',
    initContainers: [],
    containers: [container(running)],
    initialized: true,
    ended: false,
    written: undefined,
    ...fields,
  };
}

suite('a pod’s phase', () => {
  const phase = (fields: Partial<PodObservation>): string | undefined =>
    podStatus(pod, observe(fields), 'now').phase;
  test('Pending until all containers have begun', () => {
    assert.equal(phase({ containers: [container(running), container(waiting)] }), 'Pending');
    assert.equal(phase({ initialized: false }), 'Pending');
  });
  test('Running from then on, also while one waits for its restart', () => {
    assert.equal(phase({}), 'Running');
    assert.equal(phase({ containers: [container(waiting, { lastState: ended(1) })] }), 'Running');
  });
  test('Succeeded or Failed at the end', () => {
    assert.equal(phase({ ended: true, containers: [container(ended(0))] }), 'Succeeded');
    assert.equal(phase({ ended: true, containers: [container(ended(0)), container(ended(1))] }), 'Failed');
    assert.equal(phase({ ended: true, containers: [container(waiting)] }), 'Failed');
  });
});

suite('a pod’s conditions', () => {
  const condition = (type: string, fields: Partial<PodObservation>, of: Pod = pod) =>
    podStatus(of, observe(fields), 'now').conditions!.find((candidate) => candidate.type === type)!;

  test('Ready follows the containers and names those that aren’t', () => {
    assert.equal(condition('Ready', {}).status, 'True');
    const unready = condition('Ready', { containers: [container(running, { ready: false })] });
    assert.equal(unready.status, 'False');
    assert.equal(unready.message, 'containers with unready status: [c]');
  });

  test('a readiness gate holds the pod back, not its containers', () => {
    const gated: Pod = { ...pod, spec: { containers: [], readinessGates: [{ conditionType: 'x/y' }] } };
    assert.equal(condition('Ready', {}, gated).reason, 'ReadinessGatesNotReady');
    assert.equal(condition('ContainersReady', {}, gated).status, 'True');
    const opened: Pod = { ...gated, status: { conditions: [{ type: 'x/y', status: 'True' }] } };
    assert.equal(condition('Ready', {}, opened).status, 'True');
  });

  test('the time of transition stays while the status does', () => {
    const written = podStatus(pod, observe({}), 'first');
    const again = podStatus(pod, observe({ written }), 'second');
    assert.deepEqual(again.conditions, written.conditions);
    const fallen = podStatus(pod, observe({ written, containers: [container(ended(1))] }), 'third');
    const times = Object.fromEntries(fallen.conditions!.map((one) => [one.type, one.lastTransitionTime]));
    assert.equal(times['Ready'], 'third');
    assert.equal(times['Initialized'], 'first');
  });
});

test('restarts: at once, then after the base, doubling up to the maximum, and from the start after a long run', () => {
  const backOff = new BackOff(10_000, 300_000);
  let now = 1_000_000;
  const waits: number[] = [];
  for (let crash = 0; crash < 8; crash++) {
    const wait = backOff.next(now, now);
    waits.push(wait / 1000);
    now += wait;
  }
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
  now += 600_001;
  assert.equal(backOff.next(now, now), 0);
});

test('images are found with their tag, or without one', () => {
  const any = { command: ['any'] };
  const one = { command: ['one'] };
  const images = { 'registry:5000/app': any, 'registry:5000/app:1': one };
  assert.equal(findImage(images, 'registry:5000/app:1'), one);
  for (const reference of [
    'registry:5000/app',
    'registry:5000/app:2',
    'registry:5000/app@sha256:00',
    'registry:5000/app:2@sha256:00',
  ])
    assert.equal(findImage(images, reference), any);
  for (const reference of ['registry:5000/app:broken', 'registry:5000/application', 'app', 'registry:5000'])
    assert.equal(findImage(images, reference), undefined);
});
