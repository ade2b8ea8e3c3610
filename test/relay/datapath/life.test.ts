import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DatapathError } from '../../../relay/datapath/datapath-error.ts';
import { SO_RCVBUF, SOL_SOCKET } from '../../../relay/datapath/libc.ts';
import { SocketOptions } from '../../../relay/datapath/socket-options.ts';
import { MessageType } from '../../../relay/protocol/header.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { eventually, forwardOf, newSessionId, presentOf, startRig, TestPeer } from './datapath-rig.ts';
import { libc, NativeSocket, sendTrain } from './native-sockets.ts';

const KINDS = ['mmsg', 'dgram'] as const;

for (const datapath of KINDS) {
  for (const other of KINDS) {
    test(`${datapath}: a port that a relay on ${other} holds is an error with exit code 1`, async () => {
      const first = await startRig({ datapath: other, workers: 2 });
      const listen = { ...first.datapath.address };
      try {
        await assert.rejects(startRig({ datapath, listen, workers: 2 }), (error) => {
          assert.ok(error instanceof DatapathError);
          assert.equal(error.exitCode, 1);
          assert.match(
            error.message,
            /can't listen on 127\.0\.0\.1:\d+: another process holds this UDP port/,
          );
          return true;
        });
      } finally {
        await first.stop();
      }
      const second = await startRig({ datapath, listen });
      assert.equal(second.datapath.address.port, listen.port);
      await second.stop();
    });
  }

  test(`${datapath}: stops at once, with traffic or without, and only once`, async () => {
    const rig = await startRig({ datapath, workers: 2 });
    const peer = await TestPeer.open(rig.datapath);
    await peer.send(forwardOf(newSessionId(), 1));
    await rig.settled(1);
    for (let i = 0; i < 100; i++) void peer.send(forwardOf(newSessionId(), i));
    await Promise.all([rig.datapath.stop(), rig.datapath.stop()]);
    await rig.stop();
    // What recvmmsg returns after shutdown(SHUT_RD) are no packets.
    assert.ok(rig.count('packets_rx') <= 101);
    assert.equal(rig.count('invalid_packets'), 0);
    peer.close();
  });

  test(`${datapath}: a worker that dies is fatal, once, and says why`, async () => {
    const rig = await startRig({ datapath, workers: 2 });
    const reasons: string[] = [];
    rig.datapath.onFatal((reason) => reasons.push(reason));
    // No key ring is made of this: the worker that gets it throws.
    rig.datapath.setKeys({ pinned: [{ hex: 'no key', kid: undefined }], answers: [] });
    await eventually('the death of a worker', () => reasons.length > 0);
    assert.match(reasons[0]!, /^worker \d died: /);
    const late: string[] = [];
    rig.datapath.onFatal((reason) => late.push(reason));
    assert.deepEqual(late, [reasons[0]]);
    await rig.datapath.stop();
    assert.equal(reasons.length, 1);
  });

  test(`${datapath}: workers beat, so none is stalled, and their time is measured`, async () => {
    const rig = await startRig({ datapath, workers: 2 });
    for (let tick = 0; tick < 12; tick++) rig.datapath.stalledWorkers();
    // As many ticks in no time at all may well find them stalled; one beat of each clears it.
    await eventually('a beat of each worker', () => rig.datapath.stalledWorkers().length === 0);
    const ratios = rig.datapath.busyRatios();
    assert.equal(ratios.length, rig.datapath.workers);
    for (const ratio of rig.datapath.busyRatios()) assert.ok(ratio >= 0 && ratio <= 1, String(ratio));
    await rig.stop();
  });

  test(`${datapath}: a process with running workers ends by process.exit`, () => {
    const script = fileURLToPath(new URL('exits.ts', import.meta.url));
    const run = spawnSync(process.execPath, [script, datapath], { encoding: 'utf8', timeout: 30_000 });
    assert.equal(run.status, 3, `${run.error?.message} ${run.stderr}`);
  });

  test(`${datapath}: says what it is, and what it got`, async () => {
    const rig = await startRig({ datapath });
    const { description } = rig.datapath;
    assert.match(description, datapath === 'mmsg' ? /recvmmsg and sendmmsg/ : /node:dgram/);
    assert.match(description, /listening on 127\.0\.0\.1:\d+ .*1 worker, receive buffer \d+ KiB/);
    assert.ok(rig.lines.includes(`info ${description}`));
    assert.ok(rig.datapath.socketBufferBytes() >= 100_000);
    assert.equal(rig.datapath.kernelDrops(), 0);
    await rig.stop();
  });
}

test('a worker that stands still is found after ten ticks, and does not keep the relay from stopping', () => {
  const run = spawnSync(
    process.execPath,
    [
      '--import',
      new URL('stall-hook.ts', import.meta.url).href,
      fileURLToPath(new URL('stalls.ts', import.meta.url)),
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.equal(run.status, 0, `${run.error?.message} ${run.stderr}`);
  // The first call only learns the heartbeat; the tenth after it says so.
  assert.deepEqual(JSON.parse(run.stdout), { ticksBefore: 10, workers: [0] });
});

test('auto takes recvmmsg where it runs', async () => {
  const rig = await startRig({ datapath: 'auto', workers: 2 });
  assert.equal(rig.datapath.kind, 'mmsg');
  assert.equal(rig.datapath.workers, 2);
  await rig.stop();
});

test('what the kernel drops for want of room is counted by SO_MEMINFO', () => {
  const options = new SocketOptions(libc);
  const receiver = new NativeSocket('127.0.0.1', 4, false);
  const sender = new NativeSocket('127.0.0.1', 4, false);
  options.setInt(receiver.fd, SOL_SOCKET, SO_RCVBUF, 8192);
  for (let i = 0; i < 100; i++) sendTrain(sender, receiver.address, [Buffer.alloc(1000)]);
  const received = receiver.receiveDatagrams().length;
  assert.ok(received < 100);
  assert.equal(options.drops(receiver.fd), 100 - received);
  receiver.close();
  sender.close();
});

test('packets refused by rate leave lines that the guide’s grep and awk read, at level debug only', async () => {
  for (const [logLevel, expected] of [
    ['debug', ['127.0.0.9', '127.0.0.9']],
    ['info', []],
  ] as const) {
    const rig = await startRig({ ipRateLimitPps: 1, logLevel });
    const peer = await TestPeer.open(rig.datapath, '127.0.0.9', '127.0.0.1');
    try {
      // Within one second a source may send one packet; three more may fall into the next second, not more.
      let sent = 0;
      while (rig.count('rate_limited_packets') < 2) {
        await peer.send(forwardOf(newSessionId(), 1));
        await rig.settled(++sent);
      }
      const limited = (): string[] => rig.lines.filter((line) => line.includes('rate limited'));
      if (logLevel === 'debug') await eventually('the lines', () => limited().length >= 2);
      assert.deepEqual(
        limited().map((line) => line.split(' ').at(-1)),
        expected,
      );
    } finally {
      peer.close();
      await rig.stop();
    }
  }
});

test('a session that is gone from one start to the next is not there', async () => {
  const rig = await startRig();
  const peer = await TestPeer.open(rig.datapath);
  await peer.send(presentOf(newSessionId(), Role.Client));
  await peer.take(MessageType.LeaseAck);
  assert.equal(rig.datapath.heldSessions(), 1);
  await rig.stop();
  peer.close();
  const again = await startRig();
  assert.equal(again.datapath.heldSessions(), 0);
  await again.stop();
});
