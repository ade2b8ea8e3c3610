import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../../relay/protocol/address.ts';
import { Arena, NativeSocket, newTrains, SendTally } from './native-sockets.ts';

const sender = new NativeSocket('127.0.0.1', 4, false);
const coalescing = new NativeSocket('127.0.0.1', 4, true);
const plain = new NativeSocket('127.0.0.1', 4, false);
const sender6 = new NativeSocket('::', 6, false);
const receiver6 = new NativeSocket('::1', 6, true);
after(() => {
  for (const socket of [sender, coalescing, plain, sender6, receiver6]) socket.close();
});

/** Flow and number within the flow in the first bytes. */
function packet(flow: number, number: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, flow * 16 + (number % 16));
  bytes.writeUInt16BE(flow, 0);
  bytes.writeUInt32BE(number, 2);
  return bytes;
}

function byFlow(datagrams: readonly Buffer[]): Map<number, string[]> {
  const flows = new Map<number, string[]>();
  for (const datagram of datagrams) {
    const flow = datagram.readUInt16BE(0);
    flows.set(flow, [...(flows.get(flow) ?? []), datagram.toString('hex')]);
  }
  return flows;
}

test('every flow arrives whole and in order, however flows and sizes are mixed', () => {
  const aPacket = fc.record({
    flow: fc.integer({ min: 0, max: 4 }),
    length: fc.oneof(
      fc.constantFrom(20, 100, 100, 100, 1200, 1200, 1472, 1473, 1500),
      fc.integer({ min: 6, max: 1500 }),
    ),
    gap: fc.constantFrom(0, 0, 0, 16),
  });
  fc.assert(
    fc.property(
      fc.array(aPacket, { maxLength: 300 }),
      fc.boolean(),
      fc.boolean(),
      (packets, toCoalescing, v6) => {
        const from = v6 ? sender6 : sender;
        const to = v6 ? receiver6 : toCoalescing ? coalescing : plain;
        const tally = new SendTally();
        const trains = newTrains(from, 5, tally);
        const arena = new Arena(512 * 1024);
        const sent: Buffer[] = [];
        for (const [number, { flow, length, gap }] of packets.entries()) {
          const datagram = packet(flow, number, length);
          sent.push(datagram);
          const { low, high } = arena.put(datagram, gap);
          trains.add(flow, low, high, length, to.address, 0, 0);
        }
        trains.flush(0);
        assert.deepEqual(byFlow(to.receiveDatagrams()), byFlow(sent));
        assert.deepEqual(tally.counts, {
          packets: sent.length,
          bytes: sent.reduce((sum, { length }) => sum + length, 0),
          failed: 0,
        });
        assert.equal(trains.refused, 0);
      },
    ),
    { numRuns: 60 },
  );
});

/** The sizes in each buffer that came in: what was sent as one message. */
function buffers(to: NativeSocket): string[] {
  return to.receiveAll().map(({ datagrams }) => {
    assert.ok(Array.isArray(datagrams));
    return (datagrams as Buffer[]).map(({ length }) => length).join(' ');
  });
}

function sendSizes(sizes: readonly (readonly [flow: number, size: number])[], segmenting = true): string[] {
  const tally = new SendTally();
  const trains = newTrains(sender, 3, tally, segmenting);
  const arena = new Arena(1024 * 1024);
  for (const [number, [flow, size]] of sizes.entries()) {
    const { low, high, length } = arena.put(packet(flow, number, size));
    trains.add(flow, low, high, length, coalescing.address, 0, 0);
  }
  trains.flush(0);
  assert.equal(tally.counts.packets, sizes.length);
  return buffers(coalescing);
}

test('interleaved flows make one train each', () => {
  assert.deepEqual(
    sendSizes([
      [0, 200],
      [1, 300],
      [0, 200],
      [1, 300],
      [0, 200],
      [1, 300],
    ]),
    ['200 200 200', '300 300 300'],
  );
});

test('a shorter packet ends a train, a longer one starts another', () => {
  assert.deepEqual(
    sendSizes([
      [0, 200],
      [0, 200],
      [0, 50],
      [0, 50],
      [0, 200],
    ]),
    ['200 200 50', '50', '200'],
  );
});

test('a train has at most 64 packets and 65,000 bytes', () => {
  assert.deepEqual(sendSizes(Array.from({ length: 65 }, () => [0, 100] as const)), [
    Array.from({ length: 64 }, () => 100).join(' '),
    '100',
  ]);
  assert.deepEqual(sendSizes(Array.from({ length: 55 }, () => [0, 1200] as const)), [
    Array.from({ length: 54 }, () => 1200).join(' '),
    '1200',
  ]);
});

test('nothing above 1472 bytes is segmented', () => {
  assert.deepEqual(
    sendSizes([
      [0, 1472],
      [0, 1472],
      [1, 1473],
      [1, 1473],
      [2, 1500],
      [2, 100],
    ]),
    ['1472 1472', '1473', '1473', '1500', '100'],
  );
});

test('nothing above 1452 bytes is segmented towards an IPv6 peer, and 1472 towards a v4-mapped one', () => {
  const tally = new SendTally();
  const trains = newTrains(sender6, 4, tally);
  const arena = new Arena(65_536);
  const add = (flow: number, size: number, to: NativeSocket): void => {
    const { low, high, length } = arena.put(packet(flow, 0, size));
    trains.add(flow, low, high, length, to.address, 0, 0);
  };
  for (let i = 0; i < 2; i++) {
    add(0, 1452, receiver6);
    add(1, 1453, receiver6);
    add(2, 1472, coalescing);
    add(3, 1473, coalescing);
  }
  trains.flush(0);
  assert.deepEqual(buffers(receiver6), ['1452 1452', '1453', '1453']);
  assert.deepEqual(buffers(coalescing), ['1472 1472', '1473', '1473']);
});

test('where the kernel has no segmentation every packet goes alone', () => {
  assert.deepEqual(
    sendSizes(
      [
        [0, 200],
        [0, 200],
      ],
      false,
    ),
    ['200', '200'],
  );
});

test('a reply goes out with the batch, is copied and reported to nobody', () => {
  const tally = new SendTally();
  const trains = newTrains(sender, 1, tally);
  const arena = new Arena(4096);
  const { low, high, length } = arena.put(packet(0, 1, 40));
  const reply = Buffer.alloc(36, 7);
  trains.reply(reply, 36, coalescing.address, 0, 0);
  trains.add(0, low, high, length, coalescing.address, 0, 0);
  reply.fill(8);
  trains.flush(0);
  assert.deepEqual(
    coalescing.receiveDatagrams().map((datagram) => [datagram.length, datagram[35]]),
    [
      [36, 7],
      [40, 1],
    ],
  );
  assert.deepEqual(tally.counts, { packets: 1, bytes: 40, failed: 0 });
});

test('a message that the kernel refuses is counted, and those behind it go out', () => {
  const tally = new SendTally();
  const trains = newTrains(sender, 4, tally);
  const arena = new Arena(8192);
  const nowhere = parseAddress('127.0.0.1:0')!;
  for (const [flow, to] of [
    [0, coalescing.address],
    [1, nowhere],
    [2, nowhere],
    [3, coalescing.address],
  ] as const) {
    for (let i = 0; i < 2; i++) {
      const { low, high, length } = arena.put(packet(flow, i, 100));
      trains.add(flow, low, high, length, to, 0, 0);
    }
  }
  trains.reply(Buffer.alloc(36), 36, nowhere, 0, 0);
  trains.flush(0);
  assert.deepEqual(
    [...byFlow(coalescing.receiveDatagrams())].map(([flow, { length }]) => [flow, length]),
    [
      [0, 2],
      [3, 2],
    ],
  );
  assert.deepEqual(tally.counts, { packets: 4, bytes: 400, failed: 4 });
});

test('an IPv4 socket sends nothing to an IPv6 peer', () => {
  const tally = new SendTally();
  const trains = newTrains(sender, 1, tally);
  const { low, high, length } = new Arena(1024).put(packet(0, 1, 40));
  trains.add(0, low, high, length, parseAddress(`[::7f00:1]:${coalescing.address[4]}`)!, 0, 0);
  trains.flush(0);
  assert.deepEqual(coalescing.receiveDatagrams(), []);
  assert.deepEqual(tally.counts, { packets: 0, bytes: 0, failed: 1 });
});

test('more trains than there is room for are sent in between, and all are reported', () => {
  const tally = new SendTally();
  const flows = 1000;
  const trains = newTrains(sender, flows, tally);
  const arena = new Arena(512 * 1024);
  const arrived: Buffer[] = [];
  for (let flow = 0; flow < flows; flow++) {
    const { low, high, length } = arena.put(packet(flow, 0, 100));
    trains.add(flow, low, high, length, coalescing.address, 0, 0);
    if (flow % 100 === 99) arrived.push(...coalescing.receiveDatagrams());
  }
  trains.flush(0);
  arrived.push(...coalescing.receiveDatagrams());
  assert.deepEqual(
    arrived.map((datagram) => datagram.readUInt16BE(0)),
    Array.from({ length: flows }, (_, flow) => flow),
  );
  assert.deepEqual(tally.counts, { packets: flows, bytes: flows * 100, failed: 0 });
});
