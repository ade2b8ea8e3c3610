import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { EIO, SOL_SOCKET, type Libc } from '../../../relay/datapath/libc.ts';
import { SocketOptions } from '../../../relay/datapath/socket-options.ts';
import { Trains } from '../../../relay/datapath/trains.ts';
import { Arena, libc, NativeSocket, newTrains, SendTally } from './native-sockets.ts';
import { runInNamespace } from './network-namespace.ts';

const SO_NO_CHECK = 11;
const sender = new NativeSocket('127.0.0.1', 4, false);
const receiver = new NativeSocket('127.0.0.1', 4, true);
after(() => {
  sender.close();
  receiver.close();
});

function send(trains: Trains, flow: number, sizes: readonly number[], nowMs: number): number[] {
  const arena = new Arena(65_536);
  for (const [i, size] of sizes.entries()) {
    const { low, high, length } = arena.put(Buffer.alloc(size, i + 1));
    trains.add(flow, low, high, length, receiver.address, 0, nowMs);
  }
  trains.flush(nowMs);
  return receiver.receiveAll().map(({ datagrams }) => {
    assert.ok(Array.isArray(datagrams));
    return (datagrams as Buffer[]).length;
  });
}

for (const [family, mtu] of [
  ['4', 600],
  // The least that IPv6 runs over.
  ['6', 1280],
] as const) {
  test(`IPv${family}: a train above the MTU goes packet by packet, fragmented, and is not tried again for a minute`, () => {
    const report = runInNamespace('small-mtu.ts', [
      `ip link set lo mtu ${mtu} up`,
      `export FAMILY=${family}`,
    ]);
    const whole = (messages: number, refused: number): unknown => ({ whole: true, messages, refused });
    assert.deepEqual(report, {
      firstTrain: whole(4, 1),
      sameSizeWithinTheMinute: whole(4, 1),
      largerWithinTheMinute: whole(2, 1),
      smallerWithinTheMinute: whole(1, 1),
      otherPeer: whole(1, 1),
      afterTheMinute: whole(4, 2),
      tally: { packets: 22, bytes: 4 * 4220 - 4220 + 2802 + 2 * 1220, failed: 0 },
    });
  });
}

test('EINVAL: packet by packet, and this size is left alone for a minute', () => {
  const options = new SocketOptions(libc);
  // The kernel doesn't segment for a socket that sends no checksums.
  options.setInt(sender.fd, SOL_SOCKET, SO_NO_CHECK, 1);
  const tally = new SendTally();
  const trains = newTrains(sender, 1, tally);
  assert.deepEqual(send(trains, 0, [200, 200, 100], 0), [1, 1, 1]);
  assert.deepEqual([trains.refused, trains.segmenting], [1, true]);
  options.setInt(sender.fd, SOL_SOCKET, SO_NO_CHECK, 0);
  assert.deepEqual(send(trains, 0, [200, 200, 100], 59_999), [1, 1, 1]);
  assert.deepEqual(send(trains, 0, [200, 200, 100], 60_000), [3]);
  assert.deepEqual(tally.counts, { packets: 9, bytes: 1500, failed: 0 });
});

test('EIO: packet by packet, and that socket segments no more', () => {
  // Kernels before 6.11 say so for devices without checksum offload, all do for IPsec; neither can be had here.
  let refused = false;
  const offline: Libc = {
    ...libc,
    sendmmsg: (fd, messages, count, flags) => {
      if (refused) return libc.sendmmsg(fd, messages, count, flags);
      refused = true;
      return -1;
    },
    errno: () => EIO,
  };
  const tally = new SendTally();
  const trains = new Trains(offline, sender.fd, 4, 2, true, tally);
  assert.deepEqual(send(trains, 0, [200, 200, 100], 0), [1, 1, 1]);
  assert.equal(trains.segmenting, false);
  assert.deepEqual(send(trains, 1, [300, 300], 1e9), [1, 1]);
  assert.deepEqual(tally.counts, { packets: 5, bytes: 1100, failed: 0 });
});

test('packets of a refused train that can’t be sent alone either are failures', () => {
  let calls = 0;
  const failing: Libc = {
    ...libc,
    sendmmsg: (fd, messages, count, flags) => {
      calls++;
      // The train, then the second of its packets.
      if (calls === 1 || calls === 3) return -1;
      return libc.sendmmsg(fd, messages, calls === 2 ? 1 : count, flags);
    },
    errno: () => EIO,
  };
  const tally = new SendTally();
  const trains = new Trains(failing, sender.fd, 4, 1, true, tally);
  assert.deepEqual(send(trains, 0, [200, 200, 200], 0), [1, 1]);
  assert.deepEqual(tally.counts, { packets: 2, bytes: 400, failed: 1 });
});

test('no room: the rest of the batch is given up and counted', () => {
  let room = 2;
  const full: Libc = {
    ...libc,
    sendmmsg: (fd, messages, count, flags) => {
      const now = Math.min(room, count);
      room -= now;
      return now === 0 ? -1 : libc.sendmmsg(fd, messages, now, flags);
    },
    errno: () => 11,
  };
  const tally = new SendTally();
  const trains = new Trains(full, sender.fd, 4, 4, true, tally);
  const arena = new Arena(65_536);
  for (let flow = 0; flow < 4; flow++) {
    for (let i = 0; i < 2; i++) {
      const { low, high, length } = arena.put(Buffer.alloc(100));
      trains.add(flow, low, high, length, receiver.address, 0, 0);
    }
  }
  trains.flush(0);
  assert.equal(receiver.receiveDatagrams().length, 4);
  assert.deepEqual(tally.counts, { packets: 4, bytes: 400, failed: 4 });
});
