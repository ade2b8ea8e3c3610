import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';

import { readRecord, RECORD_BYTES } from '../../../relay/session/record.ts';
import { startRelay, until } from './relay-process.ts';
import {
  balancedMetrics,
  devMaster,
  received,
  stopWithoutLoss,
  talking,
  temporaryDirectory,
} from './traffic.ts';

// Each test is mostly waiting for a process of its own.
suite('what sessions survive', { concurrency: 4 }, () => {
  test('fault 2: kill -9 and a restart with --state-dir keep the id and the sessions of peers that present once', async (context) => {
    const master = await devMaster(context);
    const directory = temporaryDirectory(context);
    const args = ['--master-url', master.url, '--state-dir', directory];
    // A port that nobody else takes meanwhile.
    const first = startRelay(context, [...args, '--listen', '127.0.0.17:0']);
    await first.ready();
    const listen = await first.address();
    const { relay_id } = await first.json('/health');
    const peers = talking(context, master, 3);
    await received(peers, 30);
    await until('3 whole sessions on disk', () =>
      wholeSessions(join(directory, 'sessions'), String(relay_id)) === 3 ? true : undefined,
    );

    first.signal('SIGKILL');
    await first.ended;
    const second = startRelay(context, [...args, '--listen', listen]);
    await second.ready();
    await received(peers, 60);

    const health = await second.json('/health');
    assert.deepEqual([health['relay_id'], health['active_sessions']], [relay_id, 3]);
    const end = await peers.stop();
    assert.deepEqual([end.tally.corrupted, end.tally.duplicated], [0, 0]);
    const metrics = await balancedMetrics(second);
    assert.equal(metrics['state_restored_sessions'], 3);
    assert.equal(metrics['lease_present_packets'], 0, 'nobody presented again');
  });

  test('fault 7: SIGTERM drains: not ready, load 100 at Master, sessions go on, the end comes when the last is gone', async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, [
      '--master-url',
      master.url,
      '--idle-timeout',
      '8',
      '--cleanup-interval-secs',
      '1',
    ]);
    await relay.ready();
    const peers = talking(context, master, 2);
    await received(peers, 20);

    relay.signal('SIGTERM');
    await relay.line(/INFO SIGTERM: draining 2 sessions/);
    const { status, body } = await relay.get('/ready');
    assert.deepEqual([status, JSON.parse(body).state], [503, 'draining']);
    await until('load 100', () => (master.relays()[0]?.loadPct === 100 ? true : undefined));
    await received(peers, 100);
    await stopWithoutLoss(peers);
    await balancedMetrics(relay);
    assert.deepEqual(await relay.ended, { code: 0, signal: null });
    assert.match(relay.stdout(), /Drained: no session is held/);
    assert.match(relay.stdout(), /INFO final relay metrics .*state=drained .*cleanup_idle=2/);
  });

  test('a second signal ends a drain at once, and --drain-timeout-secs ends it in time, both with exit 0', async (context) => {
    const master = await devMaster(context);
    const impatient = startRelay(context, ['--master-url', master.url]);
    const timed = startRelay(context, ['--master-url', master.url, '--drain-timeout-secs', '1']);
    await Promise.all([impatient.ready(), timed.ready()]);
    for (const relay of [impatient, timed]) {
      const { relay_id } = await relay.json('/health');
      const session = master.session({ relay_id: relay_id as string });
      await received(
        talking(context, () => Promise.resolve(session), 1),
        5,
      );
      relay.signal('SIGTERM');
      await relay.line(/SIGTERM: draining 1 sessions/);
    }
    const { reason } = await impatient.json('/ready');
    assert.equal(reason, 'draining');
    // Signals that come together count as one wish.
    await new Promise((resolve) => setTimeout(resolve, 300));
    impatient.signal('SIGTERM');
    assert.deepEqual(await impatient.ended, { code: 0, signal: null });
    assert.match(impatient.stdout(), /WARN .*second signal.* with 1 sessions held/);
    assert.deepEqual(await timed.ended, { code: 0, signal: null });
    assert.match(timed.stdout(), /WARN .*--drain-timeout-secs.* with 1 sessions held/);
  });

  test('the control directory drains and takes back, and gives the endpoints', async (context) => {
    const master = await devMaster(context);
    const controlDir = join(temporaryDirectory(context), 'podinfo');
    mkdirSync(controlDir);
    const relay = startRelay(context, ['--master-url', master.url, '--control-dir', controlDir]);
    await relay.ready();
    writeFileSync(join(controlDir, 'draining'), 'true');
    await until('draining', async () =>
      (await relay.json('/health'))['draining'] === true ? true : undefined,
    );
    assert.equal((await relay.get('/ready')).status, 503);
    assert.equal((await relay.get('/health')).status, 200);
    writeFileSync(join(controlDir, 'draining'), 'false');
    await relay.ready();
    writeFileSync(join(controlDir, 'endpoints'), '127.0.0.1:4321\n');
    await until('the endpoint', async () =>
      String((await relay.json('/health'))['endpoints']) === '127.0.0.1:4321' ? true : undefined,
    );
  });

  test('a relay that is killed outright and one that ends leave their state directory to the next', async (context) => {
    const master = await devMaster(context);
    const args = ['--master-url', master.url, '--state-dir', temporaryDirectory(context)];
    const ids = [];
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM'] as const) {
      const relay = startRelay(context, args);
      await relay.address();
      ids.push((await relay.json('/health'))['relay_id']);
      relay.signal(signal);
      if (signal === 'SIGTERM') relay.signal('SIGKILL');
      await relay.ended;
    }
    assert.equal(new Set(ids).size, 1);
  });
});

/** How many records of the state file have both peers (design-relay 6). */
function wholeSessions(path: string, relayId: string): number {
  const bytes = readFileSync(path);
  let count = 0;
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const peers = readRecord(bytes, at, relayId)?.peers;
    if (peers?.[0] && peers[1]) count++;
  }
  return count;
}
