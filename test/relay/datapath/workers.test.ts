import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { workerOfSession } from '../../../relay/datapath/steering.ts';
import { ADDRESS_PORT } from '../../../relay/protocol/address.ts';
import { HEADER_BYTES, MessageType, SESSION_ID_OFFSET, TYPE_OFFSET } from '../../../relay/protocol/header.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { eventually, forwardOf, presentOf, startRig, type Rig } from './datapath-rig.ts';
import { Arena, NativeSocket, newTrains, sendSegments, SendTally, sendTrain } from './native-sockets.ts';

const SESSIONS = 24;

/** All clients behind one address and all servers behind another, as behind one NAT, sending with segmentation offload. */
interface Crowd {
  readonly client: NativeSocket;
  readonly server: NativeSocket;
  readonly relay: Int32Array;
  readonly ids: readonly Buffer[];
  readonly close: () => void;
}

async function crowd(rig: Rig, workers: number): Promise<Crowd> {
  const client = new NativeSocket('127.0.0.2', 4, true);
  const server = new NativeSocket('127.0.0.3', 4, true);
  const relay = new NativeSocket('127.0.0.1', 4, false);
  const to = relay.address.slice();
  relay.close();
  to[ADDRESS_PORT] = rig.datapath.address.port;
  // As many sessions for each worker.
  const ids = Array.from({ length: SESSIONS }, (_, i) => {
    const id = randomBytes(16);
    id.writeUInt32BE(Math.floor(id.readUInt32BE(12) / 2 / workers) * workers + (i % workers), 12);
    return id;
  });
  for (const [i, id] of ids.entries()) {
    sendTrain(client, to, [presentOf(id, Role.Client)]);
    sendTrain(server, to, [presentOf(id, Role.Server)]);
    await rig.settled(2 * (i + 1));
  }
  for (const socket of [client, server]) {
    const answers: Buffer[] = [];
    // A lease is in the books a moment before its answer is sent.
    await eventually('all answers', () => answers.push(...socket.receiveDatagrams()) === SESSIONS);
    assert.ok(answers.every((answer) => answer[TYPE_OFFSET] === MessageType.LeaseAck));
  }
  return {
    client,
    server,
    relay: to,
    ids,
    close: () => [client, server].forEach((socket) => socket.close()),
  };
}

/** The sequences of each session, in the order of arrival. */
function sequences(datagrams: readonly Buffer[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const datagram of datagrams) {
    const id = datagram.toString('hex', SESSION_ID_OFFSET, HEADER_BYTES);
    const sequence = Number(datagram.readBigUInt64BE(HEADER_BYTES));
    assert.deepEqual(
      datagram,
      forwardOf(Buffer.from(id, 'hex'), sequence, datagram.length),
      'not a byte may change',
    );
    found.set(id, [...(found.get(id) ?? []), sequence]);
  }
  return found;
}

for (const workers of [1, 2, 3, 4]) {
  test(`${workers} workers: coalesced buffers of many sessions reach their peers whole, and in order within a buffer`, async () => {
    const rig = await startRig({ workers, datapath: 'mmsg', maxSessions: SESSIONS });
    const { client, server, relay, ids, close } = await crowd(rig, workers);
    try {
      // Each buffer holds packets of all sessions and goes whole to one worker, so most have to be handed over.
      const rounds = 20;
      let sent = 0;
      for (let round = 0; round < rounds; round++) {
        const length = [100, 500, 1200, 1472][round % 4]!;
        const batch = ids.slice(round % SESSIONS).concat(ids.slice(0, round % SESSIONS));
        const perBuffer = Math.min(SESSIONS, Math.floor(65_000 / length / 2));
        for (const [from, base] of [
          [client, 1],
          [server, 100_000],
        ] as const) {
          const train = batch
            .slice(0, perBuffer)
            .flatMap((id) => [
              forwardOf(id, base + 2 * round, length),
              forwardOf(id, base + 2 * round + 1, length),
            ]);
          sendTrain(from, relay, train);
          sent += train.length;
        }
        // No more than fits the rings at once, however long a worker waits for a core.
        await rig.settled(2 * SESSIONS + sent);
      }
      assert.equal(rig.count('packets_forwarded'), sent);
      for (const [to, base] of [
        [server, 1],
        [client, 100_000],
      ] as const) {
        const got = sequences(to.receiveDatagrams());
        assert.equal(got.size, SESSIONS);
        let total = 0;
        for (const order of got.values()) {
          total += order.length;
          assert.equal(new Set(order).size, order.length, 'nothing comes twice');
          for (const [i, sequence] of order.entries()) {
            // Two packets of a session in one buffer keep their order, whoever forwards them.
            if ((sequence - base) % 2 === 1) assert.ok(order.indexOf(sequence - 1) < i);
          }
        }
        assert.equal(total, sent / 2);
      }
      if (workers === 1) assert.equal(rig.count('handed_over_packets'), 0);
      else assert.ok(rig.count('handed_over_packets') >= sent / 4, String(rig.count('handed_over_packets')));
    } finally {
      close();
      await rig.stop();
    }
  });
}

test('a train of one session comes out as a train', async () => {
  const rig = await startRig({ workers: 2, datapath: 'mmsg', maxSessions: SESSIONS });
  const { client, server, relay, ids, close } = await crowd(rig, 2);
  try {
    for (const [round, id] of ids.entries()) {
      const train = Array.from({ length: 16 }, (_, i) => forwardOf(id, i + 1, i === 15 ? 700 : 1200));
      sendTrain(client, relay, train);
      await rig.settled(2 * SESSIONS + 16 * (round + 1));
      const arrivals = server.receiveAll();
      assert.deepEqual(
        arrivals.map(({ datagrams }) => datagrams),
        [train],
      );
    }
    assert.equal(
      rig.count('handed_over_packets'),
      0,
      'whole trains of one session are steered by the kernel',
    );
  } finally {
    close();
    await rig.stop();
  }
});

test('interleaved sessions between the same two addresses come out as one train each', async () => {
  const rig = await startRig({ workers: 1, datapath: 'mmsg', maxSessions: SESSIONS });
  const { client, server, relay, ids, close } = await crowd(rig, 1);
  try {
    const four = ids.slice(0, 4);
    sendTrain(
      client,
      relay,
      Array.from({ length: 40 }, (_, i) => forwardOf(four[i % 4]!, 1 + Math.floor(i / 4), 300)),
    );
    await rig.settled(2 * SESSIONS + 40);
    assert.deepEqual(
      server.receiveAll().map(({ datagrams }) => [...sequences(datagrams as Buffer[]).values()]),
      four.map(() => [Array.from({ length: 10 }, (_, i) => i + 1)]),
    );
  } finally {
    close();
    await rig.stop();
  }
});

test('every session is held by the worker that its id says, and they count together', async () => {
  const rig = await startRig({ workers: 3, datapath: 'mmsg', maxSessions: 10 });
  const client = new NativeSocket('127.0.0.2', 4, false);
  const to = client.address.slice();
  to[ADDRESS_PORT] = rig.datapath.address.port;
  to[3] = (127 << 24) | 1;
  try {
    const ids = Array.from({ length: 12 }, () => randomBytes(16));
    for (const [i, id] of ids.entries()) {
      sendTrain(client, to, [presentOf(id, Role.Client, { sub: `peer-${i}` })]);
      await rig.settled(i + 1);
    }
    assert.equal(rig.datapath.heldSessions(), 10, 'the cap holds over all workers');
    assert.equal(rig.count('session_full_rejects'), 2);
    assert.ok(new Set(ids.map((id) => workerOfSession(id, 0, 3))).size > 1);
  } finally {
    client.close();
    await rig.stop();
  }
});

test('segments that no relay packet can be are one packet received and one invalid', async () => {
  const rig = await startRig({ workers: 1, datapath: 'mmsg' });
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const to = sender.address.slice();
  to[ADDRESS_PORT] = rig.datapath.address.port;
  to[3] = (127 << 24) | 1;
  try {
    sendSegments(sender, to, 6000, 1501);
    await rig.settled(1);
    assert.equal(rig.count('invalid_packets'), 1);
    assert.equal(rig.count('bytes_rx'), 6000);
  } finally {
    sender.close();
    await rig.stop();
  }
});

test('a stranger’s imitation of a nudge is a packet like any other', async () => {
  const rig = await startRig({ workers: 2, datapath: 'mmsg' });
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const to = sender.address.slice();
  to[ADDRESS_PORT] = rig.datapath.address.port;
  to[3] = (127 << 24) | 1;
  try {
    const tally = new SendTally();
    const trains = newTrains(sender, 1, tally, false);
    const arena = new Arena(4096);
    for (let i = 0; i < 10; i++) {
      const { low, high, length } = arena.put(randomBytes(36).fill(0, 0, 16));
      trains.add(0, low, high, length, to, 0, 0);
    }
    trains.flush(0);
    await rig.settled(10);
    assert.equal(rig.count('invalid_packets'), 10);
  } finally {
    sender.close();
    await rig.stop();
  }
});

test('nobody waits for a worker that sleeps: what is handed over wakes it', async () => {
  const rig = await startRig({ workers: 2, datapath: 'mmsg', maxSessions: SESSIONS });
  const { client, server, relay, ids, close } = await crowd(rig, 2);
  try {
    const foreign = ids.find((id) => workerOfSession(id, 0, 2) === 1)!;
    const own = ids.find((id) => workerOfSession(id, 0, 2) === 0)!;
    for (let round = 1; round <= 5; round++) {
      const before = rig.count('packets_rx');
      sendTrain(client, relay, [forwardOf(own, round), forwardOf(foreign, round)]);
      await eventually('both forwarded', () => rig.count('packets_forwarded') === 2 * round);
      assert.equal(rig.count('packets_rx') - before, 2, 'a nudge is no packet');
      assert.equal(rig.count('handed_over_packets'), round);
    }
    assert.equal(server.receiveDatagrams().length, 10);
  } finally {
    close();
    await rig.stop();
  }
});
