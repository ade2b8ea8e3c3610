import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { Crowd, isHeard, relaysInNeed } from '../../../local/demo/crowd/crowd.ts';
import type { RelayListing } from '../../../local/master/dev-master.ts';
import { RELAY_STATES } from '../../../local/master/registry.ts';

const listing = (relay_id: string, state: RelayListing['state'] = 'Active', unheard = 0): RelayListing => ({
  relay_id,
  state,
  endpoints: ['198.18.1.100:4000'],
  load_pct: 0,
  last_seen_ms_ago: unheard,
  max_bitrate_kbps: 10_000,
});

test('every relay that takes sessions gets its number of them, and no other', () => {
  const relay = fc.record({
    id: fc.stringMatching(/^[a-f]{1,3}$/),
    state: fc.constantFrom(...RELAY_STATES),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(relay, { selector: ({ id }) => id, maxLength: 8 }),
      fc.array(fc.stringMatching(/^[a-f]{1,3}$/), { maxLength: 20 }),
      fc.integer({ min: 0, max: 4 }),
      (relays, busy, perRelay) => {
        const needed = relaysInNeed(
          relays.map(({ id, state }) => listing(id, state)),
          busy,
          perRelay,
        );
        for (const { id, state } of relays) {
          const before = busy.filter((one) => one === id).length;
          const after = before + needed.filter((one) => one === id).length;
          const open = !['Draining', 'Quarantined', 'Banned'].includes(state);
          assert.equal(after, open ? Math.max(before, perRelay) : before);
        }
        for (const id of needed) assert.ok(relays.some((one) => one.id === id));
      },
    ),
  );
});

test('nobody is sent to a relay that Master has not heard for a while', () => {
  assert.ok(isHeard(listing('a', 'Active', 5000)));
  assert.ok(!isHeard(listing('a', 'Active', 30_000)));
});

test('a Master that does not answer is trouble, not the end', async () => {
  const crowd = new Crowd({
    leases: () => Promise.reject(new Error('never asked')),
    relays: () => Promise.reject(new Error('no answer from Master')),
    perRelay: 2,
    rate: 1,
    size: 100,
    lifeSeconds: { least: 1, most: 1 },
    random: () => 0,
  });
  const report = await crowd.second();
  assert.equal(report.trouble, 'no answer from Master');
  assert.equal(report.registered, 0);
  await crowd.stop();
});

test('sessions that get no lease are counted with the reason', async () => {
  const crowd = new Crowd({
    leases: () => Promise.reject(new Error('the relay is Draining')),
    relays: () => Promise.resolve([listing('a')]),
    perRelay: 2,
    rate: 1,
    size: 100,
    lifeSeconds: { least: 1, most: 1 },
    random: () => 0,
  });
  await crowd.second();
  let failures = {};
  while (Object.keys(failures).length === 0) {
    ({ failures } = await crowd.second());
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(Object.keys(failures), ['the relay is Draining']);
  const end = await crowd.stop();
  assert.deepEqual(end.total, { sessions: 0, sent: 0, received: 0, receivedBytes: 0, lost: 0, wrong: 0 });
});
