import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { Annotation, Label } from '../../../operator/api/meta.ts';
import { observeRelay } from '../../../operator/controller/observe-relay.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { plan } from '../../../operator/plan/plan.ts';
import type { ObservedRelay } from '../../../operator/plan/world.ts';
import { ModelCluster } from '../plan/model-cluster.ts';
import { object } from './objects.ts';

const US = 'wavry-relay-operator';
const SPEC = { replicas: 1, template: { spec: { containers: [{ name: 'relay', image: 'relay:1' }] } } };

/** A relay's Deployment with these annotations and, of its spec, what is live. */
function deployment(annotations: Readonly<Record<string, string>> = {}, spec: unknown = SPEC): KubeObject {
  return object('games-0123abcd-0', {
    metadata: { annotations, labels: { [Label.revision]: '0123abcd' } },
    spec,
  });
}

function relay(annotations?: Readonly<Record<string, string>>, spec?: unknown): ObservedRelay {
  return observeRelay(deployment(annotations, spec), US);
}

suite('what is observed of a relay', () => {
  test('all of it', () => {
    const live = {
      replicas: 1,
      template: {
        spec: { containers: [{ name: 'relay', ports: [{ name: 'relay', containerPort: 4007 }] }] },
      },
    };
    const annotations = {
      [Annotation.drainingSince]: '2026-01-01T01:00:00.000Z',
      [Annotation.drainReason]: 'Rollout',
      [Annotation.drainRequested]: 'true',
      [Annotation.appliedSpec]: JSON.stringify(live),
      [Annotation.exposure]: '{"type":"NodePort","addressType":"InternalIP"}',
    };
    assert.deepEqual(relay(annotations, live), {
      name: 'games-0123abcd-0',
      uid: 'uid-of-games-0123abcd-0',
      revision: '0123abcd',
      port: 4007,
      exposure: { type: 'NodePort', addressType: 'InternalIP' },
      createdMs: Date.UTC(2026, 0, 1),
      deleting: false,
      drainingSinceMs: Date.UTC(2026, 0, 1, 1),
      drainReason: 'Rollout',
      drainRequested: true,
      foreignManagers: [],
      appliedSpec: undefined,
      replicaFailure: undefined,
    });
  });

  test('one that nobody has written anything on', () => {
    const bare = observeRelay(object('bare'), US);
    assert.deepEqual(
      [bare.revision, bare.port, bare.exposure, bare.drainingSinceMs, bare.drainReason, bare.drainRequested],
      ['', 4000, undefined, undefined, undefined, false],
    );
    assert.deepEqual([bare.foreignManagers, bare.replicaFailure], [[], undefined]);
  });

  test('the exposure that it was made for, as far as its template bears that out', () => {
    const exposureOf = (written: string | undefined, pod: object): unknown => {
      const annotations = written === undefined ? undefined : { [Annotation.exposure]: written };
      return relay(annotations, { template: { spec: pod } }).exposure;
    };
    const inPod = { containers: [{ name: 'relay', ports: [{ name: 'relay', containerPort: 4000 }] }] };
    const onPort = {
      containers: [{ name: 'relay', ports: [{ name: 'relay', containerPort: 4003, hostPort: 4003 }] }],
    };
    const onNetwork = { ...inPod, hostNetwork: true };
    assert.deepEqual(exposureOf('{"type":"PodIP"}', inPod), { type: 'PodIP' });
    const written = '{"type":"HostPort","addressType":"InternalIP"}';
    assert.deepEqual(exposureOf(written, onPort), { type: 'HostPort', addressType: 'InternalIP' });
    for (const none of [undefined, '', 'HostPort', '[]', 'null', '{"type":"Carrier"}', '{"type":"PodIP"}']) {
      assert.deepEqual(exposureOf(none, onPort), { type: 'HostPort' }, none ?? 'nothing');
      assert.deepEqual(exposureOf(none, onNetwork), { type: 'HostNetwork' }, none ?? 'nothing');
    }
    for (const none of [undefined, '', '{"type":"Carrier"}', written])
      assert.equal(exposureOf(none, inPod), undefined, none ?? 'nothing');
  });

  test('why its ReplicaSet makes no pod', () => {
    const failure = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' };
    const of = (condition: object): string | undefined =>
      observeRelay(object('a', { status: { conditions: [condition] } }), US).replicaFailure;
    assert.equal(of(failure), 'quota');
    assert.equal(of({ ...failure, message: undefined }), 'FailedCreate');
    assert.equal(of({ ...failure, status: 'False' }), undefined);
  });

  for (const text of [
    '',
    'yesterday',
    '1',
    '2026-13-01T00:00:00Z',
    '+123456-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
  ])
    test(`"${text}" is no time since when it drains`, () => {
      assert.equal(relay({ [Annotation.drainingSince]: text }).drainingSinceMs, undefined);
    });

  test('a reason that is none, and a wish that says anything but true, are nothing', () => {
    assert.equal(relay({ [Annotation.drainReason]: 'Spite' }).drainReason, undefined);
    for (const wish of ['', 'false', 'True', ' true', '1'])
      assert.equal(relay({ [Annotation.drainRequested]: wish }).drainRequested, false, wish);
  });
});

suite('what others changed of a relay', () => {
  const applied = { [Annotation.appliedSpec]: JSON.stringify(SPEC) };
  const changed = {
    ...SPEC,
    template: { spec: { containers: [{ name: 'relay', image: 'elsewhere:1' }] } },
  };

  /** The relay with those who own fields of its spec. */
  function owned(spec: unknown, ...managers: readonly object[]): ObservedRelay {
    const { metadata, ...body } = deployment(applied, spec);
    return observeRelay({ ...body, metadata: { ...metadata, managedFields: managers } }, US);
  }

  test('nothing, whatever the API server filled in', () => {
    const filled = { ...SPEC, strategy: { type: 'Recreate' }, paused: false };
    const ours = { manager: US, operation: 'Apply', fieldsV1: { 'f:spec': { 'f:replicas': {} } } };
    assert.deepEqual(owned(filled, ours).foreignManagers, []);
  });

  test('another image: who did it, and what it was', () => {
    const kubectl = { manager: 'kubectl-set', fieldsV1: { 'f:spec': { 'f:template': {} } } };
    const seen = owned(changed, kubectl, kubectl);
    assert.deepEqual([seen.foreignManagers, seen.appliedSpec], [['kubectl-set'], SPEC]);
  });

  test('nobody left a name', () => {
    assert.deepEqual(owned(changed).foreignManagers, ['somebody']);
    assert.deepEqual(owned(changed, { fieldsV1: { 'f:spec': {} } }).foreignManagers, ['somebody']);
  });

  test('a field more, such as the time of a rollout restart', () => {
    const restart = {
      manager: 'kubectl-rollout',
      fieldsV1: {
        'f:spec': { 'f:template': { 'f:metadata': { 'f:annotations': { 'f:restartedAt': {} } } } },
      },
    };
    assert.deepEqual(owned(SPEC, restart).foreignManagers, ['kubectl-rollout']);
  });

  test('what its controller writes in the status is no change, a foreign scale is', () => {
    const status = { manager: 'kube-controller-manager', subresource: 'status', fieldsV1: { 'f:spec': {} } };
    assert.deepEqual(owned(SPEC, status).foreignManagers, []);
    const scale = {
      manager: 'kubectl',
      subresource: 'scale',
      fieldsV1: { 'f:spec': { 'f:replicas': {} } },
    };
    assert.deepEqual(owned({ ...SPEC, replicas: 2 }, scale).foreignManagers, ['kubectl']);
  });

  for (const text of ['', 'null', '7', '"spec"', '[]', '{"template":'])
    test(`what it was made as can’t be told from ${text || 'nothing'}`, () => {
      const seen = relay({ [Annotation.appliedSpec]: text }, changed);
      assert.deepEqual([seen.foreignManagers, seen.appliedSpec], [[], undefined]);
    });
});

test('whatever somebody writes in the annotations of a relay, there is a plan, and a status that can be written', () => {
  const names = [
    Annotation.drainingSince,
    Annotation.drainReason,
    Annotation.drainRequested,
    Annotation.appliedSpec,
    Annotation.exposure,
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    fc.constantFrom('true', 'Requested', 'ScaleDown', 'Rollout'),
  );
  const annotations = fc.record(Object.fromEntries(names.map((name) => [name, text])), { requiredKeys: [] });
  fc.assert(
    fc.property(annotations, fc.jsonValue(), (written, spec) => {
      const seen = relay(written as Record<string, string>, { template: spec });
      const cluster = new ModelCluster({ master: { url: 'https://master.example.com' } });
      cluster.step();
      const model = [...cluster.relays.values()][0]!;
      model.relay = { ...seen, name: model.relay.name, revision: model.relay.revision };
      const { status } = plan(cluster.world());
      for (const { drainingSince } of status.relays!)
        if (drainingSince !== undefined) assert.match(drainingSince, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    }),
  );
});
