import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';

import type { DevMasterOptions, RunningDevMaster } from '../../../local/master/server.ts';
import { startDevMaster } from '../../../local/master/server.ts';
import type { Config } from '../../../relay/config/config.ts';
import { parseCommandLine } from '../../../relay/config/parse.ts';
import type { ControlPlane } from '../../../relay/control/control-plane.ts';
import { startControlPlane } from '../../../relay/control/control-plane.ts';
import { ControlError, layGroundwork } from '../../../relay/control/groundwork.ts';
import { KeyRing } from '../../../relay/lease/key-ring.ts';
import { FakeDatapath } from './fake-datapath.ts';
import { LogLines } from './log-lines.ts';
import { recordOf } from './state-records.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { VirtualClock } from './virtual-clock.ts';
import { waitUntil } from './wait-until.ts';

function configOf(...flags: string[]): Config {
  const commandLine = parseCommandLine(
    ['--listen', '127.0.0.1:4000', ...flags],
    {},
    { workers: 1, memoryMib: 0 },
  );
  assert.ok(commandLine.kind === 'run');
  return commandLine.config;
}

async function devMaster(t: TestContext, options: DevMasterOptions = {}): Promise<RunningDevMaster> {
  const master = await startDevMaster({ heartbeatIntervalMs: 500, ...options });
  t.after(() => master.close());
  return master;
}

interface Started {
  readonly plane: ControlPlane;
  readonly datapath: FakeDatapath;
  readonly lines: LogLines;
}

async function start(
  t: TestContext,
  config: Config,
  datapath: FakeDatapath = new FakeDatapath(),
): Promise<Started> {
  const lines = new LogLines();
  const groundwork = await layGroundwork(config, lines.log);
  const plane = startControlPlane({ config, groundwork, datapath, log: lines.log });
  t.after(() => plane.stop());
  return { plane, datapath, lines };
}

test('a relay registers, is ready, and Master sees its load', async (t) => {
  const master = await devMaster(t);
  const { plane, datapath } = await start(
    t,
    configOf('--master-url', `${master.url}/`, '--max-sessions', '50', '--region', 'eu'),
  );
  assert.equal(plane.status().state, 'starting');
  assert.equal(plane.status().ready, false);
  await waitUntil('it is ready', () => plane.status().ready);
  assert.equal(plane.status().state, 'serving');
  assert.deepEqual(plane.status().endpoints, ['127.0.0.1:4000']);
  assert.deepEqual(datapath.ownEndpoints, ['127.0.0.1:4000']);
  datapath.active = 20;
  await waitUntil('Master sees the load', () => master.relays()[0]?.loadPct === 40);
  assert.equal(master.relays()[0]!.relayId, plane.status().relayId);
  assert.equal(master.relays()[0]!.region, 'eu');
});

test('fault 2: the relay id is the same after a restart', async (t) => {
  const stateDir = join(temporaryFolder(t), 'state');
  const config = configOf('--state-dir', stateDir);
  const first = await layGroundwork(config, () => {});
  await first.close();
  const second = await layGroundwork(config, () => {});
  await second.close();
  assert.match(first.relayId, /^[0-9a-f-]{36}$/);
  assert.equal(second.relayId, first.relayId);
  const other = await layGroundwork(configOf(), () => {});
  assert.notEqual(other.relayId, first.relayId);
});

test('fault 13: a rotated key is learned when Master has forgotten the relay, and the one before is kept', async (t) => {
  // A port that nobody else takes meanwhile.
  const master = await devMaster(t, { listen: '127.0.0.16:0' });
  const { plane, datapath } = await start(t, configOf('--master-url', master.url));
  await waitUntil('the first key is there', () => datapath.keys !== undefined);
  const before = master.keyId;
  const { url } = master;
  await master.close();
  const restarted = await devMaster(t, { listen: url.slice('http://'.length) });
  await waitUntil('it has registered again', () => plane.status().gauges.registrationsTotal === 2);
  const ring = new KeyRing(datapath.keys!);
  for (const kid of [restarted.keyId, before]) {
    assert.equal(ring.keysFor(kid, Date.now())[0]!.id, kid);
  }
  assert.equal(plane.status().ready, true);
});

test('fault 16: Master away, hanging or lying: the relay stays ready and registered', async (t) => {
  const master = await devMaster(t);
  const { plane } = await start(t, configOf('--master-url', master.url));
  await waitUntil('it is ready', () => plane.status().ready);
  for (const kind of ['status-503', 'bad-json', 'close', 'huge-body', 'wrong-types', 'redirect'] as const) {
    const failures = plane.status().gauges.masterFailuresTotal;
    master.misbehave({ kind });
    await waitUntil(`a heartbeat meets ${kind}`, () => plane.status().gauges.masterFailuresTotal > failures);
    assert.equal(plane.status().ready, true);
    assert.equal(plane.status().registered, true);
    await waitUntil('an outage is told of', () => plane.status().gauges.masterOutageSecs > 0);
  }
  master.misbehave(undefined);
  const { heartbeat } = master.calls();
  await waitUntil('heartbeats come again', () => master.calls().heartbeat > heartbeat);
});

test('a key that is not pinned: not ready, with both ids, while heartbeats go on', async (t) => {
  const master = await devMaster(t);
  const pinned = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
  const { plane, datapath, lines } = await start(
    t,
    configOf('--master-url', master.url, '--master-public-key', `mine=${pinned}`),
  );
  await waitUntil('it is registered', () => plane.status().registered);
  assert.equal(plane.status().ready, false);
  assert.match(
    plane.status().notReadyReason!,
    new RegExp(`${master.keyId}, which is not pinned \\(pinned: mine\\)`),
  );
  assert.equal(lines.matching(/^error: Master signs with key/).length, 1);
  assert.equal(new KeyRing(datapath.keys!).keysFor('mine', 0)[0]!.id, 'mine');
  const { heartbeat } = master.calls();
  await waitUntil('heartbeats go on', () => master.calls().heartbeat > heartbeat + 1);
});

test('fault 1: without an address that peers can be sent to, nothing is registered and /ready says why', async (t) => {
  const master = await devMaster(t);
  const datapath = new FakeDatapath();
  datapath.address = { host: '0.0.0.0', port: 4000, family: 4 };
  const folder = temporaryFolder(t);
  const config = configOf('--master-url', master.url, '--control-dir', folder);
  const { plane } = await start(t, { ...config, listen: datapath.address }, datapath);
  await waitUntil('it says why', () => /give --advertise/.test(plane.status().notReadyReason ?? ''));
  assert.deepEqual(master.calls(), { register: 0, heartbeat: 0 });
  writeFileSync(join(folder, 'endpoints'), '[2001:db8::7]:4000\n203.0.113.7:4000');
  await waitUntil('it is ready', () => plane.status().ready);
  assert.deepEqual(master.relays()[0]!.endpoints, ['203.0.113.7:4000', '[2001:db8::7]:4000']);
  writeFileSync(join(folder, 'endpoints'), '203.0.113.8:4000');
  await waitUntil('the new address is registered', () => plane.status().endpoints[0] === '203.0.113.8:4000');
  assert.deepEqual(master.relays()[0]!.endpoints, ['203.0.113.8:4000']);
  assert.deepEqual(datapath.ownEndpoints, ['0.0.0.0:4000', '203.0.113.8:4000']);
});

test('fault 1: behind NAT the address that a STUN server sees is registered', async (t) => {
  const master = await devMaster(t);
  const datapath = new FakeDatapath();
  datapath.address = { host: '0.0.0.0', port: 4000, family: 4 };
  const config = configOf('--master-url', master.url, '--stun-server', '127.0.0.1:3478');
  const { plane } = await start(t, { ...config, listen: datapath.address }, datapath);
  await waitUntil('it is ready', () => plane.status().ready);
  assert.deepEqual(datapath.asked, ['127.0.0.1:3478']);
  assert.deepEqual(master.relays()[0]!.endpoints, ['203.0.113.9:61000']);
});

test('fault 7: a signal drains: load 100 at once, not ready, and the end when the last session goes', async (t) => {
  const master = await devMaster(t, { heartbeatIntervalMs: 50_000 });
  const config = configOf('--master-url', master.url, '--drain-timeout-secs', '600');
  const datapath = new FakeDatapath();
  datapath.held = 2;
  const { plane, lines } = await start(t, config, datapath);
  await waitUntil('Master heard it', () => master.calls().heartbeat > 0);
  plane.signal('SIGTERM');
  await waitUntil('Master hears of the drain', () => master.relays()[0]!.loadPct === 100);
  const status = plane.status();
  assert.equal(status.state, 'draining');
  assert.equal(status.draining, true);
  assert.equal(status.ready, false);
  assert.equal(status.notReadyReason, 'draining');
  assert.equal(status.registered, true);
  assert.ok(datapath.draining);
  assert.ok(Math.abs(datapath.draining.startedWallMs - Date.now()) < 60_000);
  assert.equal(lines.matching(/SIGTERM: draining 2 sessions/).length, 1);
  plane.signal('SIGINT');
  assert.equal(await plane.finished, 0);
  assert.equal(lines.matching(/Ending \(second signal\) with 2 sessions held/).length, 1);
});

test('fault 7: by the clock, a drain ends when it is empty and 10 s old, or at its timeout', async (t) => {
  for (const [sessions, atMs] of [
    [0, 10_000],
    [1, 60_000],
  ] as const) {
    const master = await devMaster(t);
    const clock = new VirtualClock();
    const config = configOf('--master-url', master.url, '--drain-timeout-secs', '60');
    const groundwork = await layGroundwork(config, () => {}, clock);
    const datapath = new FakeDatapath();
    const plane = startControlPlane({ config, groundwork, datapath, log: () => {}, clock, random: () => 0 });
    t.after(() => plane.stop());
    await waitUntil('it is registered', () => plane.status().registered);
    datapath.held = sessions;
    let code: number | undefined;
    void plane.finished.then((value) => (code = value));
    plane.signal('SIGTERM');
    await clock.advance(atMs - 1);
    assert.equal(code, undefined);
    assert.equal(plane.status().state, 'draining');
    await clock.advance(101);
    assert.equal(code, 0);
    assert.equal(plane.status().state, sessions === 0 ? 'drained' : 'draining');
  }
});

test('fault 7: a relay that never reached Master ends at once', async (t) => {
  const master = await startDevMaster();
  await master.close();
  const { plane } = await start(t, configOf('--master-url', master.url));
  await waitUntil('it has tried', () => plane.status().gauges.masterFailuresTotal > 0);
  plane.signal('SIGINT');
  assert.equal(await plane.finished, 0);
});

test('the file "draining" drains, ends nothing, and serving comes back when it is taken back', async (t) => {
  const master = await devMaster(t);
  const folder = temporaryFolder(t);
  const { plane, datapath } = await start(t, configOf('--master-url', master.url, '--control-dir', folder));
  await waitUntil('it is ready', () => plane.status().ready);
  writeFileSync(join(folder, 'draining'), 'true');
  await waitUntil('it drains', () => plane.status().state === 'draining');
  assert.ok(datapath.draining);
  await waitUntil('Master heard', () => master.relays()[0]!.loadPct === 100);
  writeFileSync(join(folder, 'draining'), 'false');
  await waitUntil('it serves', () => plane.status().state === 'serving');
  assert.equal(datapath.draining, undefined);
  assert.equal(plane.status().ready, true);
  await waitUntil('Master heard', () => master.relays()[0]!.loadPct === 0);
  assert.equal(master.calls().register, 1);
});

test('a relay that starts with the wish to drain never registers', async (t) => {
  const master = await devMaster(t);
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'draining'), 'true\n');
  const { plane } = await start(t, configOf('--master-url', master.url, '--control-dir', folder));
  await waitUntil('it is drained', () => plane.status().state === 'drained');
  await waitUntil('Master was asked', () => master.calls().heartbeat === 1 || master.calls().register > 0);
  assert.deepEqual(master.relays(), []);
  writeFileSync(join(folder, 'draining'), 'false\n');
  await waitUntil('it serves', () => plane.status().ready);
});

test('a worker that dies or stalls ends the process with 1', async (t) => {
  const master = await devMaster(t);
  const died = await start(t, configOf('--master-url', master.url));
  died.datapath.die('packet worker 0 died: boom');
  assert.equal(await died.plane.finished, 1);
  assert.equal(died.plane.status().healthy, false);
  assert.match(died.plane.status().unhealthyReason!, /boom/);
  const stalled = await start(t, configOf('--master-url', master.url));
  stalled.datapath.stalled = [0];
  assert.equal(await stalled.plane.finished, 1);
});

test('too busy or at its throughput, new sessions are refused until that is over', async (t) => {
  const master = await devMaster(t);
  const clock = new VirtualClock();
  const config = configOf('--master-url', master.url, '--max-throughput-mbps', '100');
  const groundwork = await layGroundwork(config, () => {}, clock);
  const datapath = new FakeDatapath();
  const plane = startControlPlane({ config, groundwork, datapath, log: () => {}, clock });
  t.after(() => plane.stop());
  datapath.busy = 0.97;
  await clock.advance(15_000);
  assert.equal(datapath.shedding, true);
  assert.equal(plane.status().gauges.overloaded, true);
  assert.ok(Math.abs(plane.status().gauges.workerBusyRatio - 0.97) < 1e-9);
  await waitUntil('it is ready', () => plane.status().ready);
  datapath.busy = 0.1;
  await clock.advance(15_000);
  assert.equal(datapath.shedding, false);
  datapath.bytesForwarded = 15 * 1e8;
  await clock.advance(1000);
  assert.equal(datapath.shedding, true);
});

test('sessions go to the state file and come back, and stopping frees the directory', async (t) => {
  const master = await devMaster(t);
  const stateDir = temporaryFolder(t);
  const config = { ...configOf('--master-url', master.url, '--state-dir', stateDir), relayId: 'relay-7' };
  const first = await start(t, config);
  first.datapath.dirty.push({ slot: 3, record: recordOf(1, 1, 'relay-7') });
  await waitUntil('it is taken', () => first.datapath.dirty.length === 0);
  await assert.rejects(
    layGroundwork(config, () => {}),
    (error: ControlError) => error.exitCode === 1 && /in use by another relay process/.test(error.message),
  );
  await first.plane.stop();
  const groundwork = await layGroundwork(config, () => {});
  assert.deepEqual(
    groundwork.restored.map((record) => Buffer.from(record)),
    [Buffer.from(recordOf(1, 1, 'relay-7'))],
  );
  await groundwork.close();
  await groundwork.close();
});

test('a start that can not go on says why, with 64 for what has to be changed and 1 for the rest', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'state', 'sessions'), { recursive: true });
  const keys = join(folder, 'keys');
  writeFileSync(keys, 'abc');
  const cases: [Config, number, RegExp][] = [
    [
      { ...configOf(), advertise: ['127.0.0.1:4000'], listen: { host: '0.0.0.0', port: 4000, family: 4 } },
      64,
      /--advertise: 127\.0\.0\.1:4000 is a loopback/,
    ],
    [{ ...configOf(), masterKeysFile: keys }, 64, /keys, line 1/],
    [{ ...configOf(), masterKeysFile: join(folder, 'none') }, 64, /none does not exist/],
    [{ ...configOf(), stateDir: join(folder, 'file') }, 1, /--state-dir .*file can't be used/],
    [{ ...configOf(), stateDir: join(folder, 'state') }, 1, /--state-dir .*state can't be used: .*sessions/],
  ];
  for (const [config, exitCode, why] of cases) {
    await assert.rejects(
      layGroundwork(config, () => {}),
      (error: Error) =>
        error instanceof ControlError && error.exitCode === exitCode && why.test(error.message),
      String(why),
    );
  }
  // The lock of the last one is free again.
  await assert.rejects(
    layGroundwork(cases[4]![0], () => {}),
    /sessions/,
  );
});
