import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test, type TestContext } from 'node:test';

import { readRefusals } from '../../../operator/fleet/counters-answer.ts';
import { Poller, type PollerOptions } from '../../../operator/fleet/poller.ts';
import { directTransport, type PollTarget } from '../../../operator/fleet/transport.ts';
import { increaseOf } from '../../../operator/plan/counter-rate.ts';
import { until } from '../../e2e/operator/until.ts';

const HEALTH = {
  state: 'serving',
  registered_with_master: true,
  draining: false,
  total_sessions: 3,
  active_sessions: 2,
  max_sessions: 10,
  endpoints: ['192.0.2.1:4000'],
};

suite('the poller', () => {
  let server: Server;
  let refused = 0;
  let counters: (response: ServerResponse) => void;
  const asked = { health: 0, metrics: 0 };

  before(async () => {
    server = createServer((request, response) => {
      if (request.url === '/health') {
        asked.health += 1;
        response.end(JSON.stringify(HEALTH));
      } else {
        asked.metrics += 1;
        counters(response);
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  const startPoller = (t: TestContext, targets: readonly PollTarget[], timeoutMs = 10_000): Poller => {
    const direct = directTransport();
    const poller = new Poller({
      transport: direct.transport,
      targets: () => targets,
      wallMs: Date.now,
      intervalMs: 20,
      timeoutMs,
      concurrency: 4,
      onChange: () => {},
    });
    t.after(async () => {
      await poller.stop();
      await direct.close();
    });
    assert.equal(poller.complete, false);
    poller.start();
    return poller;
  };
  const target = (uid: string, port: number): PollTarget => ({
    uid,
    fleet: 'default/games',
    namespace: 'default',
    name: uid,
    ip: '127.0.0.1',
    port,
  });
  const here = (): PollTarget => target('here', (server.address() as AddressInfo).port);

  test('has asked everybody once, those that are silent included, before it says so', async (t) => {
    counters = (response) => void response.end('{}');
    const poller = startPoller(t, [here(), target('nobody', 1)]);
    await until('the first round', () => poller.complete);
    await until('its answer', () => poller.polls.get('here')?.totalSessions === 3);
    assert.match(poller.polls.get('nobody')?.error ?? '', /ECONNREFUSED/);
  });

  test('reads the counters at every fifth question only, and makes a rate of them', async (t) => {
    refused = 0;
    counters = (response) => {
      refused += 10;
      response.end(JSON.stringify({ overload_shed_packets: refused, session_full_rejects: 1, other: 'x' }));
    };
    Object.assign(asked, { health: 0, metrics: 0 });
    const poller = startPoller(t, [here()]);
    await until('some rounds', () => asked.health > 30);
    const poll = poller.polls.get('here')!;
    assert.ok((increaseOf(poll.refusals, Date.now())?.perSecond ?? 0) > 0);
    assert.ok(asked.metrics <= asked.health / 5 + 3, `${asked.metrics} of ${asked.health}`);
  });

  for (const [name, answer] of Object.entries({
    'answers nonsense': (response: ServerResponse): void => void response.end('{"overload_shed_packets":-1}'),
    'never ends': (response: ServerResponse): void => void response.write('{'),
  })) {
    test(`a relay whose /metrics ${name} is healthy all the same`, async (t) => {
      counters = answer;
      const poller = startPoller(t, [here()], 500);
      await until('a poll', () => poller.polls.get('here')?.state === 'serving');
      assert.deepEqual(poller.polls.get('here')?.refusals, []);
    });
  }
});

test('counters are whole numbers, or no answer at all', () => {
  assert.equal(readRefusals('{"overload_shed_packets":2,"session_full_rejects":3,"more":{}}'), 5);
  for (const text of [
    '',
    'null',
    '[]',
    '{"overload_shed_packets":2}',
    '{"overload_shed_packets":"2","session_full_rejects":3}',
    '{"overload_shed_packets":1e999,"session_full_rejects":3}',
    '{"overload_shed_packets":1.5,"session_full_rejects":3}',
  ]) {
    assert.throws(() => readRefusals(text), /\/metrics answered/, text);
  }
});

/** Asks pod `a`, all the time. */
function pollerOfOne(t: TestContext, options: Pick<PollerOptions, 'transport' | 'onChange'>): Poller {
  const target = {
    uid: 'a',
    fleet: 'default/games',
    namespace: 'default',
    name: 'a',
    ip: '192.0.2.1',
    port: 1,
  };
  const poller = new Poller({
    ...options,
    targets: () => [target],
    wallMs: Date.now,
    intervalMs: 10,
    timeoutMs: 500,
    concurrency: 1,
  });
  t.after(() => poller.stop());
  poller.start();
  return poller;
}

test('numbers that a relay tells are no reason to look at its fleet; what it is, is one', async (t) => {
  let answers = 0;
  let state = 'serving';
  let told = 0;
  pollerOfOne(t, {
    transport: async (_, page) => {
      if (page === 'metrics') return '{}';
      answers += 1;
      return JSON.stringify({ ...HEALTH, state, max_sessions: answers, total_sessions: answers });
    },
    onChange: () => (told += 1),
  });
  await until('some answers', () => answers >= 4);
  assert.equal(told, 1);
  state = 'draining';
  await until('the change to be told', () => told === 2);
});

test('a relay that answers at the address of another pod is not counted there, nor are its counters', async (t) => {
  let relayId = 'a';
  let sessions = 3;
  let failed = 0;
  const asked: string[] = [];
  const poller = pollerOfOne(t, {
    transport: async (_, page) => {
      asked.push(page);
      if (page === 'metrics') return '{"overload_shed_packets":0,"session_full_rejects":0}';
      failed += relayId === 'a' ? 0 : 1;
      return JSON.stringify({ ...HEALTH, relay_id: relayId, total_sessions: sessions });
    },
    onChange: () => {},
  });
  await until('its own answer', () => poller.polls.get('a')?.totalSessions === 3);
  [relayId, sessions] = ['b', 0];
  await until('the other’s answer', () => poller.polls.get('a')?.error !== undefined);
  const { answeredMs } = poller.polls.get('a')!;
  [asked.length, failed] = [0, 0];
  // More often than counters are asked for.
  await until('more of them', () => failed > 12);
  const poll = poller.polls.get('a')!;
  assert.equal(poll.error, 'another relay answers at its address: b');
  assert.deepEqual([poll.totalSessions, poll.answeredMs], [3, answeredMs]);
  assert.ok(!asked.includes('metrics'));
  relayId = 'a';
  await until('its own answer again', () => poller.polls.get('a')?.error === undefined);
  assert.equal(poller.polls.get('a')?.totalSessions, 0);
});
