import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { EventRecorder, type EventSubject } from '../../../operator/kube/events.ts';
import { json, refuse, type SeenRequest, StandInApiServer } from './stand-in-api-server.ts';

const FLEET: EventSubject = {
  apiVersion: 'wavry.dev/v1alpha1',
  kind: 'WavryRelay',
  name: 'games',
  namespace: 'default',
  uid: 'uid-1',
};

interface Site {
  readonly server: StandInApiServer;
  readonly recorder: EventRecorder;
  readonly problems: string[];
  readonly clock: { nowMs: number };
}

async function start(t: TestContext): Promise<Site> {
  const server = await StandInApiServer.start((_, response) => json(response, { kind: 'Event' }));
  const problems: string[] = [];
  const clock = { nowMs: 1_700_000_000_000 };
  const recorder = new EventRecorder({
    client: server.client,
    component: 'wavry-relay-operator',
    instance: 'host-1',
    wallMs: () => clock.nowMs,
    onProblem: (message) => problems.push(message),
    retryMs: 5,
  });
  t.after(async () => {
    await recorder.stop();
    await server.stop();
  });
  return { server, recorder, problems, clock };
}

const written = ({ server }: Site): string[] => server.requests.map(({ method }) => method);
const bodyOf = (request: SeenRequest | undefined): Record<string, unknown> =>
  JSON.parse(request!.body) as Record<string, unknown>;

test('an event tells about whom, by whom and when; a repetition only raises its count', async (t) => {
  const site = await start(t);
  site.recorder.record(FLEET, 'Warning', 'PortsUsedUp', 'every port is taken');
  site.clock.nowMs += 5000;
  site.recorder.record(FLEET, 'Warning', 'PortsUsedUp', 'every port is taken');
  site.recorder.record(FLEET, 'Warning', 'PortsUsedUp', 'another message');
  await site.recorder.stop();
  assert.deepEqual(written(site), ['POST', 'PATCH', 'POST']);
  const [made, raised] = site.server.requests;
  const event = bodyOf(made);
  assert.deepEqual(event['involvedObject'], FLEET);
  assert.deepEqual(
    [event['type'], event['reason'], event['message'], event['count'], event['source']],
    ['Warning', 'PortsUsedUp', 'every port is taken', 1, { component: 'wavry-relay-operator' }],
  );
  const { name } = event['metadata'] as { name: string };
  assert.match(name, /^games\.[0-9a-f]{16,}$/);
  assert.equal(raised!.path, `/api/v1/namespaces/default/events/${name}`);
  assert.equal(bodyOf(raised)['count'], 2);
});

test('an event that the API server has forgotten is made anew', async (t) => {
  const site = await start(t);
  site.server.answer = ({ method }, response) => {
    if (method === 'PATCH') refuse(response, 404, 'NotFound');
    else json(response, {});
  };
  for (let time = 0; time < 2; time += 1)
    site.recorder.record(FLEET, 'Normal', 'RelayCreated', 'one is added');
  await site.recorder.stop();
  assert.deepEqual(written(site), ['POST', 'PATCH', 'POST']);
  assert.deepEqual(site.problems, []);
});

test('no warning floods the API server: 25 at once, then one in five minutes; others are not kept waiting', async (t) => {
  const site = await start(t);
  for (let n = 0; n < 60; n += 1) site.recorder.record(FLEET, 'Warning', 'Noise', `message ${n}`);
  site.recorder.record({ ...FLEET, uid: 'uid-2' }, 'Warning', 'Noise', 'of another');
  site.recorder.record(FLEET, 'Warning', 'Another', 'of another reason');
  site.clock.nowMs += 300_000;
  site.recorder.record(FLEET, 'Warning', 'Noise', 'five minutes later');
  site.recorder.record(FLEET, 'Warning', 'Noise', 'one too many');
  await site.recorder.stop();
  assert.equal(site.server.requests.length, 25 + 1 + 1 + 1);
});

test('a message is cut to what the API server takes', async (t) => {
  const site = await start(t);
  site.recorder.record(FLEET, 'Normal', 'Long', 'x'.repeat(5000));
  await site.recorder.stop();
  assert.equal((bodyOf(site.server.requests[0])['message'] as string).length, 1024);
});

test('while the API server fails an event is tried again; what it refuses is told once and given up', async (t) => {
  const site = await start(t);
  site.server.answer = (_, response) => {
    if (site.server.requests.length < 3) refuse(response, 500, 'InternalError');
    else if (site.server.requests.length === 3) json(response, {});
    else refuse(response, 403, 'Forbidden');
  };
  site.recorder.record(FLEET, 'Normal', 'First', 'is tried three times');
  site.recorder.record(FLEET, 'Normal', 'Second', 'is forbidden');
  while (site.problems.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await site.recorder.stop();
  assert.equal(site.server.requests.length, 4);
  assert.equal(site.problems.length, 1);
  assert.match(site.problems[0]!, /^event Second of WavryRelay default\/games: /);
});
