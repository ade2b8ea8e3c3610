import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';

import { type RunningDevMaster, startDevMaster } from '../../../local/master/server.ts';
import { readRegistry, updateState } from '../../../operator/master/admin-client.ts';

const TOKEN = 'admin-token-of-the-test';
const PATIENCE = new AbortController().signal;
const RELAY = '6f9f1c0e-9d6c-4f3e-8d57-3f3a1f0f3b6a';

async function masterOf(t: TestContext): Promise<RunningDevMaster> {
  const master = await startDevMaster({ adminToken: TOKEN });
  t.after(() => master.close());
  const answer = await fetch(`${master.url}/v1/relays/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      relay_id: RELAY,
      endpoints: ['203.0.113.7:4000'],
      max_sessions: 10,
      max_bitrate_kbps: 10_000,
      load_pct: 0,
      features: [],
    }),
  });
  assert.equal(answer.status, 200, await answer.text());
  return master;
}

/** A Master that says this to everything. */
async function saying(t: TestContext, status: number, text: string): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status).end(text));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('the registry is read by relay id, with when each was seen last', async (t) => {
  const master = await masterOf(t);
  const entries = await readRegistry(`${master.url}/`, undefined, 1_000_000);
  const entry = entries.get(RELAY)!;
  assert.deepEqual([entries.size, entry.relayId, entry.endpoints], [1, RELAY, ['203.0.113.7:4000']]);
  assert.ok(entry.lastSeenMs <= 1_000_000 && entry.lastSeenMs > 900_000);
});

test('a relay is marked as draining and taken back, and the registry says so', async (t) => {
  const master = await masterOf(t);
  for (const state of ['Draining', 'Active'] as const) {
    await updateState(master.url, TOKEN, { relayId: RELAY, state }, PATIENCE);
    assert.equal((await readRegistry(master.url, TOKEN, 0)).get(RELAY)?.state, state);
  }
});

test('a wrong token and an unknown relay are refused, with what to check and never with the token', async (t) => {
  const master = await masterOf(t);
  const call = { relayId: RELAY, state: 'Draining' } as const;
  await assert.rejects(updateState(master.url, 'wrong-token', call, PATIENCE), (error: Error) => {
    assert.match(error.message, /HTTP status 401; check the token in the Secret that spec\.master names/);
    assert.doesNotMatch(error.message, /wrong-token/);
    return true;
  });
  await assert.rejects(
    updateState(master.url, TOKEN, { ...call, relayId: 'nobody' }, PATIENCE),
    /HTTP status 404/,
  );
});

for (const [name, status, text, complaint] of [
  ['a page of a proxy', 502, '<html></html>', /HTTP status 502/],
  ['no JSON', 200, '<html></html>', /no JSON/],
  ['something else', 200, '{"relays":[]}', /wrong form: must be array/],
  ['a relay without a name', 200, '[{"endpoints":[],"last_seen_ms_ago":1,"state":"New"}]', /relay_id/],
  [
    'a time before the beginning',
    200,
    '[{"relay_id":"a","endpoints":[],"last_seen_ms_ago":-1,"state":"New"}]',
    /last_seen_ms_ago/,
  ],
  ['more than anybody needs', 200, ' '.repeat(5 * 2 ** 20), /too large/],
] as const) {
  test(`a Master that answers with ${name} is not believed`, async (t) => {
    await assert.rejects(readRegistry(await saying(t, status, text), undefined, 0), complaint);
  });
}
