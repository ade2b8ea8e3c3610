import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ADDRESS_PORT, parseIp } from '../../../relay/protocol/address.ts';
import { INVALID, ReceiveBatch } from '../../../relay/datapath/receive.ts';
import { MSG_DONTWAIT } from '../../../relay/datapath/libc.ts';
import { Nudge, NUDGE_BYTES } from '../../../relay/datapath/nudge.ts';
import { openSockets } from '../../../relay/datapath/sockets.ts';
import { workerOf, workerOfSession } from '../../../relay/datapath/steering.ts';
import { Arena, libc, NativeSocket, newTrains, SendTally } from './native-sockets.ts';

/** What each of a port's sockets received: the datagrams of each, in order. */
function collect(batches: readonly ReceiveBatch[]): Buffer[][] {
  return batches.map((batch) => {
    const got: Buffer[] = [];
    for (let count = batch.receive(MSG_DONTWAIT); count > 0; count = batch.receive(MSG_DONTWAIT)) {
      for (let i = 0; i < count; i++) {
        assert.notEqual(batch.segmentSize(i), INVALID);
        const start = batch.offset(i);
        got.push(Buffer.from(batch.block.bytes.subarray(start, start + batch.length(i))));
      }
    }
    return got;
  });
}

for (const [host, senderHost, family, workers] of [
  ['127.0.0.1', '127.0.0.1', 4, 2],
  ['127.0.0.1', '127.0.0.1', 4, 3],
  ['127.0.0.1', '127.0.0.1', 4, 4],
  ['::', '::1', 6, 3],
  // A program on an IPv6 socket steers what comes in by IPv4, too.
  ['::', '127.0.0.1', 6, 3],
] as const) {
  test(`the kernel gives each of ${workers} workers on ${host} what workerOf says, from ${senderHost}`, () => {
    const { fds, address } = openSockets(libc, { host, port: 0, family }, workers);
    const batches = fds.map((fd) => new ReceiveBatch(libc, fd, family, false));
    const sender = new NativeSocket(senderHost, senderHost.includes(':') ? 6 : 4, false);
    const to = sender.address.slice();
    parseIp(senderHost, to, 0);
    to[ADDRESS_PORT] = address.port;
    try {
      fc.assert(
        fc.property(
          fc.array(fc.uint8Array({ minLength: 20, maxLength: 60 }), { minLength: 1, maxLength: 50 }),
          (datagrams) => {
            const tally = new SendTally();
            const trains = newTrains(sender, datagrams.length, tally);
            const arena = new Arena(4096);
            for (const [flow, datagram] of datagrams.entries()) {
              const { low, high, length } = arena.put(datagram);
              trains.add(flow, low, high, length, to, 0, 0);
            }
            trains.flush(0);
            const expected = fds.map((_, worker) =>
              datagrams
                .filter((datagram) => workerOf(datagram, 0, workers) === worker)
                .map((datagram) => Buffer.from(datagram)),
            );
            assert.deepEqual(collect(batches), expected);
          },
        ),
        { numRuns: 30 },
      );
    } finally {
      sender.close();
      for (const fd of fds) libc.close(fd);
    }
  });
}

test('datagrams too short to have a session id are not all the first worker’s', () => {
  const { fds, address } = openSockets(libc, { host: '127.0.0.1', port: 0, family: 4 }, 2);
  const batches = fds.map((fd) => new ReceiveBatch(libc, fd, 4, false));
  const counts = [0, 0];
  // The kernel's hash goes by addresses and ports: of 32 senders all on one side has a chance of 1 in 2 billion.
  for (let i = 0; i < 32; i++) {
    const sender = new NativeSocket('127.0.0.1', 4, false);
    const to = sender.address.slice();
    to[ADDRESS_PORT] = address.port;
    const trains = newTrains(sender, 1, new SendTally());
    const { low, high, length } = new Arena(64).put(Buffer.alloc(19, 255));
    trains.add(0, low, high, length, to, 0, 0);
    trains.flush(0);
    sender.close();
  }
  for (const [worker, got] of collect(batches).entries()) counts[worker] = got.length;
  assert.equal(counts[0]! + counts[1]!, 32);
  assert.ok(counts[0]! > 0 && counts[1]! > 0, String(counts));
  for (const fd of fds) libc.close(fd);
});

test('a session’s id says the same as its datagrams', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.integer({ min: 1, max: 64 }),
      (id, workers) => {
        const datagram = Buffer.concat([Buffer.alloc(4), id]);
        assert.equal(workerOf(datagram, 0, workers), workerOfSession(id, 0, workers));
      },
    ),
  );
});

for (const [host, family] of [
  ['127.0.0.1', 4],
  ['0.0.0.0', 4],
  ['::1', 6],
  ['::', 6],
] as const) {
  test(`a nudge finds its worker on ${host}, and nobody else can make one`, () => {
    const workers = 3;
    const { fds, address } = openSockets(libc, { host, port: 0, family }, workers);
    const batches = fds.map((fd) => new ReceiveBatch(libc, fd, family, false));
    const cookie = Int32Array.of(0x12345678, -2, 3, 4);
    const nudge = new Nudge(libc, fds[0]!, address, cookie);
    const stranger = new Nudge(libc, fds[0]!, address, Int32Array.of(0x12345678, -2, 3, 5));
    for (let worker = 0; worker < workers; worker++) {
      nudge.send(worker);
      const got = collect(batches);
      assert.deepEqual(
        got.map(({ length }) => length),
        fds.map((_, i) => (i === worker ? 1 : 0)),
      );
      const datagram = got[worker]![0]!;
      assert.equal(datagram.length, NUDGE_BYTES);
      assert.equal(nudge.isNudge(datagram, 0), true);
      assert.equal(stranger.isNudge(datagram, 0), false);
    }
    for (const fd of fds) libc.close(fd);
  });
}
