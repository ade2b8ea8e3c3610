import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { startDevMaster } from '../../../local/master/server.ts';
import { Annotation, Label } from '../../../operator/api/meta.ts';
import { Announcer } from '../../../operator/controller/announcer.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import { Controller } from '../../../operator/controller/controller.ts';
import { MasterWatch } from '../../../operator/controller/master-watch.ts';
import { Resolver } from '../../../operator/controller/resolver.ts';
import { ServedCrd } from '../../../operator/controller/served-crd.ts';
import { Poller } from '../../../operator/fleet/poller.ts';
import type { EventRecorder } from '../../../operator/kube/events.ts';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { readRegistry } from '../../../operator/master/admin-client.ts';
import { controlledBy, object } from './objects.ts';

const TOKEN = 'admin-token-of-the-test';
const KEY = 'games/fleet';

/** A controller whose writes go nowhere but are counted, and a Master that knows two relays of its fleet. */
async function stand(t: TestContext) {
  const master = await startDevMaster({ adminToken: TOKEN });
  t.after(() => master.close());
  for (const id of ['relay-0', 'relay-1']) {
    const answer = await fetch(`${master.url}/v1/relays/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        relay_id: id,
        endpoints: [`203.0.113.${id.at(-1)}:4000`],
        max_sessions: 10,
        max_bitrate_kbps: 10_000,
        load_pct: 0,
        features: [],
      }),
    });
    assert.equal(answer.status, 200);
  }

  const writes: string[] = [];
  const write = (what: string) => (): Promise<never> => {
    writes.push(what);
    return Promise.reject(new Error('nothing is written here'));
  };
  const client = {
    get: () => Promise.resolve({ data: { token: Buffer.from(TOKEN).toString('base64') } }),
    apply: write('apply'),
    patch: write('patch'),
    delete: write('delete'),
    call: write('call'),
  } as unknown as KubeClient;
  const nothing = (): void => {};
  const view = new ClusterView({
    client,
    namespaces: [],
    random: Math.random,
    onFleet: nothing,
    onNodes: nothing,
    onProblem: nothing,
  });
  const masters = new MasterWatch({ wallMs: Date.now, onChange: nothing });
  const looks: string[] = [];
  const controller = new Controller({
    client,
    writer: client,
    mayWrite: () => true,
    view,
    poller: new Poller({
      transport: () => Promise.reject(new Error('nobody is asked')),
      targets: () => [],
      wallMs: Date.now,
      intervalMs: 1000,
      timeoutMs: 1000,
      concurrency: 1,
      onChange: nothing,
    }),
    masters,
    resolver: new Resolver({ wallMs: Date.now, onChange: nothing }),
    announcer: new Announcer({ record: nothing } as unknown as EventRecorder, nothing),
    crd: new ServedCrd({ client, after: () => nothing, onProblem: nothing, onMended: nothing }),
    metricsApi: () => ({ state: 'ours', message: '' }),
    fieldManager: 'test',
    defaults: { defaultImage: 'relay:1', runbooks: '' },
    maxConcurrentRollouts: 1,
    wallMs: Date.now,
    again: (key) => looks.push(key),
    onStatus: nothing,
  });

  const fleet = object('fleet', {
    apiVersion: 'wavry.dev/v1alpha1',
    kind: 'WavryRelay',
    spec: {
      replicas: 2,
      image: 'relay:2',
      master: { url: master.url, adminTokenFrom: { secretKeyRef: { name: 'admin', key: 'token' } } },
    },
  });
  const pod = (id: string, ending: boolean) =>
    object(id, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        uid: id,
        labels: { [Label.fleet]: 'fleet', [Label.relay]: 'fleet-0123abcd-0' },
        annotations: { [Annotation.draining]: 'false' },
        ownerReferences: controlledBy('ReplicaSet', 'fleet-0123abcd-0-1a2b', 'uid'),
        ...(ending ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
      },
      status: { phase: 'Running' },
    });
  const states = async (): Promise<unknown[]> =>
    [...(await readRegistry(master.url, TOKEN, 0)).values()].map(({ relayId, state }) => [relayId, state]);
  const whenRead = async (): Promise<void> => {
    const spec = { master: { url: master.url } } as Parameters<MasterWatch['registry']>[0];
    while (masters.registry(spec) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { view, controller, writes, looks, fleet, pod, states, whenRead };
}

test('of a fleet that was deleted nothing is made, and Master hears which of its relays still drain', async (t) => {
  const { view, controller, writes, looks, fleet, pod, states, whenRead } = await stand(t);
  view.written(fleet);
  view.written(pod('relay-0', false));
  view.written(pod('relay-1', false));
  // Known from now on, though nothing can be written.
  await controller.reconcile(KEY).catch(() => undefined);
  await whenRead();
  assert.ok(writes.length > 0);

  writes.length = 0;
  view.fleets.remove(fleet);
  view.written({
    ...pod('relay-1', true),
    metadata: { ...pod('relay-1', true).metadata, resourceVersion: '2' },
  });
  await controller.reconcile(KEY);
  assert.deepEqual(writes, []);
  assert.deepEqual(await states(), [
    ['relay-0', 'New'],
    ['relay-1', 'Draining'],
  ]);

  // Until the last of them is gone.
  looks.length = 0;
  await controller.reconcile(KEY);
  assert.deepEqual(looks, [KEY]);
  looks.length = 0;
  view.removed('Pod', pod('relay-0', false));
  view.removed('Pod', pod('relay-1', true));
  await controller.reconcile(KEY);
  assert.deepEqual(looks, []);
});

test('of a fleet that is being deleted in the middle of a rollout nothing is made either', async (t) => {
  const { view, controller, writes, fleet, pod } = await stand(t);
  view.written({ ...fleet, metadata: { ...fleet.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  view.written(pod('relay-0', false));
  await controller.reconcile(KEY);
  assert.deepEqual(writes, []);
});
