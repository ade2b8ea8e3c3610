import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';

import { until } from '../../e2e/operator/until.ts';
import { refuse } from '../kube/stand-in-api-server.ts';
import { ControllerRig, NODE } from './controller-rig.ts';
import { controlledBy } from './objects.ts';

const secretRef = (name: string, key: string): object => ({ secretKeyRef: { name, key } });

/** A Master that takes connections and says nothing; with how many there were. */
async function silentMaster(t: TestContext): Promise<{ readonly url: string; readonly asked: () => number }> {
  let asked = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (data.toString().startsWith('POST')) asked += 1;
    });
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

/** The pods of a fleet's Deployments, each with a relay that serves. */
function runPods(rig: ControllerRig, fleet: string): string[] {
  const relays = [...rig.objects.values()].filter(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.labels?.['wavry.dev/fleet'] === fleet,
  );
  return relays.map(({ metadata: { name } }) => {
    const pod = rig.put('Pod', name, {
      metadata: {
        labels: { 'wavry.dev/fleet': fleet, 'wavry.dev/relay': name },
        ownerReferences: controlledBy('ReplicaSet', `${name}-x`, 'uid'),
      },
      spec: { nodeName: NODE, containers: [{}] },
      status: { phase: 'Running', podIP: '10.0.0.1' },
    });
    rig.polls.set(pod.metadata.uid, {
      answeredMs: rig.nowMs,
      error: undefined,
      state: 'serving',
      registered: true,
      draining: false,
      totalSessions: 1,
      activeSessions: 1,
      maxSessions: 100,
      endpoints: ['10.0.0.1:4000'],
      notReadyReason: undefined,
      refusals: [],
    });
    return name;
  });
}

function drains(rig: ControllerRig, fleet: string): number {
  return [...rig.objects.values()].filter(
    ({ kind, metadata }) =>
      kind === 'Pod' &&
      metadata.labels?.['wavry.dev/fleet'] === fleet &&
      metadata.annotations?.['wavry.dev/draining'] === 'true',
  ).length;
}

test('a silent Master is waited for once, for all relays together, and every drain begins', async (t) => {
  const rig = await ControllerRig.start(t);
  const master = await silentMaster(t);
  rig.put('Secret', 'master', { data: { token: Buffer.from('t').toString('base64') } });
  const spec = {
    exposure: { type: 'PodIP' },
    master: { url: master.url, adminTokenFrom: secretRef('master', 'token') },
  };
  for (const fleet of ['first', 'second']) {
    rig.fleet(fleet, { ...spec, replicas: 4 });
    await rig.reconcile(fleet);
    assert.equal(runPods(rig, fleet).length, 4);
    rig.fleet(fleet, { ...spec, replicas: 0 });
  }
  const emptied = rig.reconcile('first').then(
    () => assert.fail('what Master was not told has to be tried again'),
    (error: Error) => error,
  );
  await until('all four to be told of at the same time', () => master.asked() === 4);
  assert.match((await emptied).message, /Master gave no answer/);
  assert.equal(drains(rig, 'first'), 4);

  await assert.rejects(rig.reconcile('second'), /Master gave no answer/);
  assert.equal(drains(rig, 'second'), 4);
  assert.equal(master.asked(), 4, 'it is left alone for a while');
});

test('a write that fails in other words each time waits for its back-off, and they make no news', async (t) => {
  const rig = await ControllerRig.start(t);
  let port = 40_000;
  rig.instead = ({ path }, response) => {
    if (!path.includes('/networkpolicies/')) return false;
    port += 1;
    refuse(response, 500, 'InternalError', {}, `read tcp 10.0.0.2:${port}->10.96.0.7:443: connection reset`);
    return true;
  };
  rig.fleet('fleet', { exposure: { type: 'PodIP' }, master: { url: 'https://master.example.com' } });
  // The first finds it out, the second tells.
  await assert.rejects(rig.reconcile('fleet'), /connection reset/);
  await assert.rejects(rig.reconcile('fleet'), /connection reset/);
  const told = rig.condition('fleet', 'Degraded')!;
  assert.match(told.message, /read tcp 10\.0\.0\.2->10\.96\.0\.7:443: connection reset$/);

  rig.again.length = 0;
  rig.lookedFor.length = 0;
  rig.server.requests.length = 0;
  await assert.rejects(rig.reconcile('fleet'), /connection reset/);
  assert.ok(
    rig.again.every((atMs) => atMs > rig.nowMs),
    'no look beside the back-off',
  );
  assert.deepEqual(rig.lookedFor, []);
  const statuses = rig.server.requests.filter(({ path }) => path.endsWith('/status'));
  assert.deepEqual(statuses, []);
});

test('a failure that is over is told at once', async (t) => {
  const rig = await ControllerRig.start(t);
  let refusing = true;
  rig.instead = ({ path }, response) => {
    if (!refusing || !path.includes('/networkpolicies/')) return false;
    refuse(response, 403, 'Forbidden');
    return true;
  };
  rig.fleet('fleet', { exposure: { type: 'PodIP' }, master: { url: 'https://master.example.com' } });
  await assert.rejects(rig.reconcile('fleet'), /Forbidden/);
  await assert.rejects(rig.reconcile('fleet'), /Forbidden/);
  assert.equal(rig.condition('fleet', 'Degraded')?.reason, 'ApplyFailed');
  refusing = false;
  rig.again.length = 0;
  await rig.reconcile('fleet');
  assert.ok(rig.again.includes(rig.nowMs));
  await rig.reconcile('fleet');
  assert.notEqual(rig.condition('fleet', 'Degraded')?.reason, 'ApplyFailed');
});

test('a status that the operator wrote is no reason to look at the fleet again', async (t) => {
  const rig = await ControllerRig.start(t);
  rig.fleet('fleet', { exposure: { type: 'PodIP' }, master: { url: 'https://master.example.com' } });
  rig.lookedFor.length = 0;
  rig.put('WavryRelay', 'fleet', { spec: {}, status: { replicas: 1 } });
  assert.deepEqual(rig.lookedFor, []);
  rig.put('WavryRelay', 'fleet', { spec: {}, metadata: { generation: 2 } });
  rig.put('WavryRelay', 'fleet', { spec: {}, metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
  assert.deepEqual(rig.lookedFor, ['games/fleet', 'games/fleet']);
});

test('a Secret that can’t be read for a moment is no mistake of the spec: what it held stays in force', async (t) => {
  const rig = await ControllerRig.start(t);
  const told: (string | undefined)[] = [];
  const server = createHttpServer(({ method, headers }, response) => {
    if (method === 'POST') told.push(headers.authorization);
    response.writeHead(method === 'POST' ? 200 : 503).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const spec = {
    exposure: { type: 'PodIP' },
    master: {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      adminTokenFrom: secretRef('master', 'token'),
    },
  };
  rig.put('Secret', 'master', { data: { token: Buffer.from('t').toString('base64') } });
  rig.fleet('fleet', spec);
  await rig.reconcile('fleet');
  runPods(rig, 'fleet');

  let away = true;
  rig.instead = ({ path }, response) => {
    if (!away || !path.includes('/secrets/')) return false;
    refuse(response, 503, 'ServiceUnavailable');
    return true;
  };
  rig.nowMs += 60_000;
  rig.fleet('fleet', { ...spec, replicas: 0 });
  await assert.rejects(rig.reconcile('fleet'), /Secret master could not be read: ServiceUnavailable/);
  assert.deepEqual(told, ['Bearer t']);
  assert.notEqual(rig.condition('fleet', 'Degraded')?.reason, 'ReferenceMissing');
  away = false;
  await rig.reconcile('fleet');
  assert.equal(rig.condition('fleet', 'Degraded')?.reason, 'AsExpected');
});

test('Master isn’t passed over in silence while the token for it can’t be read', async (t) => {
  const rig = await ControllerRig.start(t);
  const spec = {
    exposure: { type: 'PodIP' },
    master: { url: 'https://master.example.com', adminTokenFrom: secretRef('master', 'token') },
  };
  rig.instead = ({ path }, response) => {
    if (!path.includes('/secrets/')) return false;
    refuse(response, 503, 'ServiceUnavailable');
    return true;
  };
  rig.fleet('fleet', spec);
  await assert.rejects(rig.reconcile('fleet'), /could not be read/);
  runPods(rig, 'fleet');
  rig.fleet('fleet', { ...spec, replicas: 0 });
  await assert.rejects(rig.reconcile('fleet'), /could not be read/);
  await assert.rejects(rig.reconcile('fleet'), /could not be read/);
  const { reason, message } = rig.condition('fleet', 'Degraded')!;
  assert.equal(reason, 'MasterUnreachable');
  assert.match(message, /Secret master could not be read: ServiceUnavailable/);
  assert.equal(drains(rig, 'fleet'), 1);
});

test('a new leader goes on with the rollout that it finds, whichever fleet it looks at first', async (t) => {
  const rig = await ControllerRig.start(t);
  const fleet = (name: string, image: string): Promise<void> => {
    rig.fleet(name, { exposure: { type: 'PodIP' }, master: { url: 'https://master.example.com' }, image });
    return rig.reconcile(name);
  };
  for (const name of ['a', 'b']) {
    await fleet(name, 'relay:1');
    runPods(rig, name);
    await rig.reconcile(name);
  }
  const progress = (of: ControllerRig): (string | undefined)[] =>
    ['a', 'b'].map((name) => of.condition(name, 'Progressing')?.reason);
  await fleet('b', 'relay:2');
  await fleet('a', 'relay:2');
  assert.deepEqual(progress(rig), ['Waiting', 'RollingOut']);

  const next = await rig.handOver(t);
  for (const name of ['a', 'b', 'a']) {
    await next.reconcile(name);
    assert.deepEqual(progress(next), ['Waiting', 'RollingOut']);
  }
});
