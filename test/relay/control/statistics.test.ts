import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { startStatistics } from '../../../relay/control/statistics.ts';
import { Counter } from '../../../relay/pipeline/counters.ts';
import { cellOf, RELAY_ID, servingRelay } from './health-fixture.ts';

/** Of the line that today's relay logs, each of which scripts may read. */
const TODAYS_KEYS =
  'relay_id active_sessions total_sessions packets_rx bytes_rx forwarded_packets forwarded_bytes lease_present lease_renew dropped rate_limited invalid auth_rejects session_not_found session_not_active unknown_peer replay_drops session_full wrong_relay expired_leases cleanup_expired cleanup_idle overload_shed nat_rebinds'.split(
    ' ',
  );

test('a line of totals and rates each interval, and a last one at the end', (context) => {
  mock.timers.enable({ apis: ['setInterval'] });
  context.after(() => mock.timers.reset());
  const relay = servingRelay();
  relay.cells.fill(0);
  const lines: [string, Record<string, unknown>][] = [];
  const statistics = startStatistics(30_000, relay.sources, (_level, message, fields) =>
    lines.push([message, { ...fields }]),
  );
  const tick = (): void => {
    relay.uptimeMs += 30_000;
    mock.timers.tick(30_000);
  };

  relay.cells[Counter.packets_forwarded] = 60_000;
  relay.cells[Counter.bytes_forwarded] = 75_000_000;
  tick();
  relay.cells[cellOf('dropped_packets')] = 3;
  tick();
  statistics.finish();
  tick();

  assert.deepEqual(
    lines.map(([message]) => message),
    ['relay metrics', 'relay metrics', 'final relay metrics'],
  );
  const [first, second, last] = lines.map(([, fields]) => fields);
  for (const key of TODAYS_KEYS) assert.ok(key in first!, key);
  assert.equal(first!['relay_id'], RELAY_ID);
  assert.equal(first!['forwarded_packets'], 60_000);
  assert.equal(first!['forwarded_pps'], 2000);
  assert.equal(first!['forwarded_mbps'], 20);
  assert.equal(second!['forwarded_pps'], 0);
  assert.equal(second!['dropped'], 3);
  assert.equal(last!['forwarded_packets'], 60_000);
  assert.ok(!('forwarded_pps' in last!));
});
