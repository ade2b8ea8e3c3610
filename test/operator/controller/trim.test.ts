import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { Annotation } from '../../../operator/api/meta.ts';
import { observePod } from '../../../operator/controller/observe-pod.ts';
import { observeRelay } from '../../../operator/controller/observe-relay.ts';
import { trimmerOf } from '../../../operator/controller/trim.ts';
import type { ManagedFields } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { MANAGED_BY } from '../../../operator/specs/object.ts';
import { object } from './objects.ts';

const some = <T>(values: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<T> =>
  fc.record(values, { requiredKeys: [] }) as fc.Arbitrary<T>;

const port = some({
  name: fc.constantFrom('relay', 'health'),
  containerPort: fc.integer({ min: 1, max: 65_535 }),
  hostPort: fc.integer({ min: 1, max: 65_535 }),
});
const container = some({
  name: fc.constantFrom('relay', 'sidecar'),
  image: fc.constantFrom('relay:1', 'relay:2'),
  args: fc.array(fc.constantFrom('--max-sessions=50', '--region=eu', '--max-sessions=')),
  ports: fc.array(port, { maxLength: 3 }),
  env: fc.constant([{ name: 'A', value: 'b' }]),
});
const podSpec = some({
  nodeName: fc.constantFrom('node-a', 'node-b'),
  hostNetwork: fc.boolean(),
  containers: fc.array(container, { maxLength: 2 }),
  volumes: fc.constant([{ name: 'state', emptyDir: {} }]),
});
const managers = fc.array(
  some<ManagedFields>({
    manager: fc.constantFrom(MANAGED_BY, 'kubectl-set', 'kube-controller-manager'),
    operation: fc.constantFrom('Apply', 'Update'),
    subresource: fc.constantFrom('status', 'scale'),
    fieldsV1: fc.constantFrom<Readonly<Record<string, unknown>>[]>(
      { 'f:spec': { 'f:replicas': {} } },
      { 'f:spec': { 'f:template': { 'f:spec': { 'f:priority': {} } } } },
      { 'f:metadata': {} },
    ),
  }),
  { maxLength: 4 },
);

suite('what is kept in memory', () => {
  test('of a pod: all that is observed of it', () => {
    const status = some({
      phase: fc.constantFrom('Pending', 'Running'),
      podIP: fc.constant('10.0.0.1'),
      containerStatuses: fc.constant([
        { name: 'proxy', image: 'proxy:1', restartCount: 0 },
        {
          name: 'relay',
          image: 'relay:2',
          state: { waiting: { reason: 'ErrImagePull', message: 'no' } },
          restartCount: 2,
        },
      ]),
    });
    fc.assert(
      fc.property(podSpec, status, managers, (spec, status, managedFields) => {
        const pod = object('pod', { metadata: { managedFields }, spec, status });
        const kept = trimmerOf(Resources.pods)(pod);
        assert.deepEqual(observePod(kept), observePod(pod));
        assert.equal(kept.metadata.managedFields, undefined);
        assert.ok(!JSON.stringify(kept['spec'] ?? '').includes('emptyDir'));
      }),
    );
  });

  test('of a relay: all that is observed of it, who changed it included', () => {
    fc.assert(
      fc.property(podSpec, podSpec, managers, (applied, live, managedFields) => {
        const spec = { replicas: 1, template: { spec: live } };
        const annotations = {
          [Annotation.appliedSpec]: JSON.stringify({ replicas: 1, template: { spec: applied } }),
        };
        const relay = object('relay', { metadata: { managedFields, annotations }, spec });
        const kept = trimmerOf(Resources.deployments)(relay);
        assert.deepEqual(observeRelay(kept, MANAGED_BY), observeRelay(relay, MANAGED_BY));
      }),
    );
  });

  test('what names and dates an object stays, and so does what was applied', () => {
    const applied: ManagedFields = {
      manager: MANAGED_BY,
      operation: 'Apply',
      fieldsV1: { 'f:metadata': { 'f:labels': {} } },
    };
    const status: ManagedFields = { manager: 'kube-controller-manager', subresource: 'status', fieldsV1: {} };
    const service = object('service', {
      metadata: { managedFields: [applied, status] },
      spec: { ports: [] },
    });
    const kept = trimmerOf(Resources.services)(service);
    assert.deepEqual(kept, { ...service, metadata: { ...service.metadata, managedFields: [applied] } });
  });
});
