import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { newKeyRing } from '../../../relay/lease/key-ring.ts';
import { bookImbalance } from '../../../relay/pipeline/counters.ts';
import { ADDRESS_PORT, parseAddress } from '../../../relay/protocol/address.ts';
import { MessageType } from '../../../relay/protocol/header.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { RECORD_BYTES, RECORD_SESSION_ID_OFFSET } from '../../../relay/session/record.ts';
import { BETA, keyOf } from '../lease/leases.ts';
import {
  eventually,
  forwardOf,
  KEYS,
  newSessionId,
  presentBoth,
  presentOf,
  startRig,
  TestPeer,
  type Rig,
} from './datapath-rig.ts';
import { NativeSocket, sendTrain } from './native-sockets.ts';

const KINDS = ['mmsg', 'dgram'] as const;

/** A state file in memory: what takeDirty said last of each slot. */
class Journal {
  readonly slots = new Map<string, Uint8Array>();
  readonly #rig: Rig;

  constructor(rig: Rig) {
    this.#rig = rig;
  }

  take(): void {
    this.#rig.datapath.takeDirty((worker, slot, record) => {
      const key = `${worker}/${slot}`;
      if (record) {
        assert.equal(record.length, RECORD_BYTES);
        this.slots.set(key, record.slice());
      } else this.slots.delete(key);
    });
  }

  /** After the relay has stopped: the sessions whose records there are. */
  last(): string[] {
    this.take();
    return [...this.slots.values()]
      .map((record) =>
        Buffer.from(record.subarray(RECORD_SESSION_ID_OFFSET, RECORD_SESSION_ID_OFFSET + 16)).toString('hex'),
      )
      .toSorted();
  }
}

for (const datapath of KINDS) {
  test(`${datapath}: sessions outlive the relay by their records, whatever the number of workers`, async () => {
    const stateDir = '/nowhere';
    let rig = await startRig({ datapath, workers: 2, stateDir, maxSessions: 20 });
    const client = await TestPeer.open(rig.datapath, '127.0.0.2', '127.0.0.1');
    const server = await TestPeer.open(rig.datapath, '127.0.0.3', '127.0.0.1');
    const listen = rig.datapath.address;
    try {
      const ids = Array.from({ length: 8 }, newSessionId);
      for (const id of ids) await presentBoth(client, server, id);
      const all = ids.map((id) => id.toString('hex')).toSorted();
      let journal = new Journal(rig);
      await rig.stop();
      assert.deepEqual(journal.last(), all);

      for (const workers of [3, 1]) {
        rig = await startRig(
          { datapath, workers, stateDir, maxSessions: 20, listen },
          { restored: [...journal.slots.values()] },
        );
        assert.equal(rig.datapath.heldSessions(), ids.length);
        await eventually('all to be active', () => rig.datapath.activeSessions() === ids.length);
        for (const [i, id] of ids.entries()) {
          await client.send(forwardOf(id, workers * 1000 + i));
          assert.deepEqual(await server.take(MessageType.Forward), forwardOf(id, workers * 1000 + i));
          await server.send(forwardOf(id, workers * 1000 + i));
          await client.take(MessageType.Forward);
        }
        // Every restored session is told again, so that its place in the file is known.
        journal = new Journal(rig);
        await rig.stop();
        assert.deepEqual(journal.last(), all);
      }
    } finally {
      await rig.stop();
      client.close();
      server.close();
    }
  });

  test(`${datapath}: the record of a session that ends is removed`, async () => {
    const rig = await startRig({
      datapath,
      stateDir: '/nowhere',
      // Of a record that has come and gone only the removal would be seen.
      idleTimeoutMs: 2000,
      cleanupIntervalMs: 100,
    });
    const peer = await TestPeer.open(rig.datapath);
    try {
      const present = presentOf(newSessionId(), Role.Client);
      await peer.send(present);
      await peer.take(MessageType.LeaseAck);
      const journal = new Journal(rig);
      await eventually('the record', () => {
        journal.take();
        if (journal.slots.size === 0) void peer.send(present);
        return journal.slots.size === 1;
      });
      await eventually('its removal', () => {
        journal.take();
        return journal.slots.size === 0 && rig.datapath.heldSessions() === 0;
      });
      assert.ok(rig.count('cleanup_idle_sessions') >= 1);
    } finally {
      peer.close();
      await rig.stop();
    }
  });

  test(`${datapath}: keys, drain and shedding reach the workers while they run`, async () => {
    const rig = await startRig({ datapath, workers: 2 }, { keys: newKeyRing([keyOf(BETA)]) });
    const peer = await TestPeer.open(rig.datapath);
    /** The reason of the rejection, or 0 for an acknowledgement. */
    const outcome = async (): Promise<number> => {
      await peer.send(presentOf(newSessionId(), Role.Client));
      await eventually('an answer', () => peer.received.length > 0);
      const answer = peer.received.shift()!;
      return answer[2] === MessageType.LeaseAck ? 0 : answer.readUInt16BE(20);
    };
    const becomes = async (reason: number): Promise<void> => {
      let last = -1;
      // Mail is read between two turns: until then the old rule holds.
      for (let tries = 0; last !== reason && tries < 100; tries++) last = await outcome();
      assert.equal(last, reason);
    };
    try {
      assert.equal(await outcome(), 2, 'signed by another key');
      rig.datapath.setKeys(KEYS);
      await becomes(0);
      rig.datapath.setShedding(true);
      assert.equal(await outcome(), 4);
      assert.equal(rig.count('overload_shed_packets'), 1);
      rig.datapath.setShedding(false);
      assert.equal(await outcome(), 0);
      // Long ago, so that the ten seconds for what Master had handed out are over.
      const nowMs = Number(process.hrtime.bigint()) / 1e6;
      rig.datapath.setDraining(nowMs - 60_000, Date.now() - 60_000);
      assert.equal(await outcome(), 4);
      assert.equal(rig.count('drain_refused_packets'), 1);
      rig.datapath.setDraining(undefined, 0);
      assert.equal(await outcome(), 0);
    } finally {
      peer.close();
      await rig.stop();
    }
  });

  test(`${datapath}: STUN is asked from the data socket, by one worker of several, and gets that worker's answer`, async () => {
    const rig = await startRig({ datapath, workers: 3 });
    const server = createSocket('udp4');
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${server.address().port}`;
    try {
      let seen = 0;
      server.on('message', (request, from) => {
        seen = from.port;
        const answer = Buffer.concat([request, Buffer.from('0020000800010000', 'hex'), Buffer.alloc(4)]);
        answer.writeUInt16BE(0x0101, 0);
        answer.writeUInt16BE(12, 2);
        // 203.0.113.5:4321, XORed with the magic cookie.
        answer.writeUInt16BE(4321 ^ 0x2112, 26);
        answer.writeUInt32BE((0xcb007105 ^ 0x2112a442) >>> 0, 28);
        server.send(answer, from.port, from.address);
      });
      for (let i = 0; i < 5; i++) {
        assert.equal(await rig.datapath.askStun(address, 20_000), '203.0.113.5:4321');
      }
      assert.equal(seen, rig.datapath.address.port);
      await rig.settled(5);
      assert.equal(rig.count('stun_answer_packets'), 5);
      assert.equal(bookImbalance(rig.datapath.totals()), undefined);

      server.removeAllListeners('message');
      await assert.rejects(
        rig.datapath.askStun(address, 50),
        /no answer from the STUN server 127\.0\.0\.1:\d+/,
      );
      await assert.rejects(rig.datapath.askStun('stun.example:3478', 50), /no ip:port/);
      await assert.rejects(rig.datapath.askStun('[::1]:3478', 50), /an IPv4 socket can reach/);
      const first = rig.datapath.askStun(address, 20_000);
      await assert.rejects(rig.datapath.askStun(address, 50), /being waited for/);
      const ended = assert.rejects(first, /the relay stops/);
      await rig.datapath.stop();
      await ended;
    } finally {
      server.close();
      await rig.stop();
    }
  });

  test(`${datapath}: nobody may present from the relay's own address`, async () => {
    const rig = await startRig({ datapath, listen: { host: '0.0.0.0', port: 0, family: 4 } });
    const peer = await TestPeer.open(rig.datapath, '127.0.0.5', '127.0.0.1');
    const advertised = `127.0.0.5:${peer.socket.address().port}`;
    try {
      await peer.send(presentOf(newSessionId(), Role.Client));
      await peer.take(MessageType.LeaseAck);
      rig.datapath.setOwnEndpoints(['nonsense', advertised]);
      let sent = 1;
      await eventually('the present to be invalid', () => {
        if (rig.count('packets_rx') === sent) {
          sent++;
          void peer.send(presentOf(newSessionId(), Role.Client));
        }
        return rig.count('invalid_packets') > 0;
      });
      await rig.settled(sent);
    } finally {
      peer.close();
      await rig.stop();
    }
  });
}

for (const datapath of KINDS) {
  test(`${datapath}: an address that had to wait for the old one's silence gets its answer when the time has come`, async () => {
    const rig = await startRig({ datapath });
    const before = await TestPeer.open(rig.datapath, '127.0.0.2', '127.0.0.1');
    const after = await TestPeer.open(rig.datapath, '127.0.0.4', '127.0.0.1');
    try {
      const present = presentOf(newSessionId(), Role.Client);
      await before.send(present);
      await before.take(MessageType.LeaseAck);
      // The same token from elsewhere may be a copy: it moves the peer once the old address has been silent for 2 s.
      await after.send(present);
      const answer = await after.take(MessageType.LeaseAck);
      assert.equal(answer.length, 36);
      await rig.settled(2);
      assert.equal(rig.count('nat_rebind_events'), 1);
    } finally {
      before.close();
      after.close();
      await rig.stop();
    }
  });
}

test('leases beyond the queue are dropped and counted, and half of it is for sessions that exist', async () => {
  const rig = await startRig({ datapath: 'mmsg', packetQueueCapacity: 4 });
  const client = new NativeSocket('127.0.0.2', 4, true);
  const server = new NativeSocket('127.0.0.3', 4, true);
  const to = parseAddress('127.0.0.1:1')!;
  to[ADDRESS_PORT] = rig.datapath.address.port;
  try {
    const known = Array.from({ length: 3 }, newSessionId);
    for (const [i, id] of known.entries()) {
      sendTrain(client, to, [presentOf(id, Role.Client)]);
      await rig.settled(i + 1);
    }
    client.receiveDatagrams();
    // In one buffer, so that all of them are queued before any is verified.
    const strangers = Array.from({ length: 20 }, () => presentOf(newSessionId(), Role.Client));
    const peers = known.map((id) => presentOf(id, Role.Server));
    const size = strangers[0]!.length;
    assert.ok([...strangers, ...peers].every(({ length }) => length === size));
    sendTrain(server, to, [...strangers, ...peers]);
    await rig.settled(3 + 23);
    // Of 4 places strangers get 2, second peers the rest.
    assert.equal(rig.count('backpressure_dropped_packets'), 18 + 1);
    assert.equal(rig.count('lease_accepted_packets'), 3 + 2 + 2);
    await eventually('two active sessions', () => rig.datapath.activeSessions() === 2);
  } finally {
    client.close();
    server.close();
    await rig.stop();
  }
});

test('ten thousand sessions, each with packets both ways', async () => {
  const sessions = 10_000;
  const rig = await startRig({
    datapath: 'mmsg',
    workers: 2,
    maxSessions: sessions,
    packetQueueCapacity: 20_000,
  });
  const client = new NativeSocket('127.0.0.2', 4, true);
  const server = new NativeSocket('127.0.0.3', 4, true);
  const to = parseAddress('127.0.0.1:1')!;
  to[ADDRESS_PORT] = rig.datapath.address.port;
  try {
    const ids = Array.from({ length: sessions }, newSessionId);
    let expected = 0;
    for (const [i, id] of ids.entries()) {
      sendTrain(client, to, [presentOf(id, Role.Client)]);
      sendTrain(server, to, [presentOf(id, Role.Server)]);
      expected += 2;
      if (i % 500 === 499) {
        await rig.settled(expected);
        client.receiveDatagrams();
        server.receiveDatagrams();
      }
    }
    assert.equal(rig.count('lease_accepted_packets'), 2 * sessions);
    await eventually('all to be active', () => rig.datapath.activeSessions() === sessions);
    let forwarded = 0;
    for (let start = 0; start < sessions; start += 40) {
      for (const from of [client, server]) {
        sendTrain(
          from,
          to,
          ids.slice(start, start + 40).map((id) => forwardOf(id, 1, 200)),
        );
        expected += 40;
      }
      // No more than fits the rings at once.
      await rig.settled(expected);
      forwarded += client.receiveDatagrams().length + server.receiveDatagrams().length;
    }
    assert.equal(rig.count('packets_forwarded'), 2 * sessions);
    assert.equal(forwarded, 2 * sessions);
  } finally {
    client.close();
    server.close();
    await rig.stop();
  }
});
