import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../../relay/config/config.ts';
import { MessageType } from '../../../relay/protocol/header.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { forwardOf, newSessionId, presentBoth, presentOf, startRig, TestPeer } from './datapath-rig.ts';

const KINDS = ['mmsg', 'dgram'] as const;

interface Place {
  readonly name: string;
  readonly listen: Config['listen'];
  readonly client: string;
  readonly clientSees: string;
  readonly server: string;
  readonly serverSees: string;
}

const V4 = { client: '127.0.0.2', clientSees: '127.0.0.1', server: '127.0.0.3', serverSees: '127.0.0.1' };
const PLACES: readonly Place[] = [
  { name: 'IPv4', listen: { host: '127.0.0.1', port: 0, family: 4 }, ...V4 },
  { name: 'the IPv4 wildcard', listen: { host: '0.0.0.0', port: 0, family: 4 }, ...V4 },
  {
    name: 'IPv6',
    listen: { host: '::1', port: 0, family: 6 },
    client: '::1',
    clientSees: '::1',
    server: '::1',
    serverSees: '::1',
  },
  { name: 'the dual wildcard between IPv4 peers', listen: { host: '::', port: 0, family: 6 }, ...V4 },
  {
    name: 'the dual wildcard between an IPv4 and an IPv6 peer',
    listen: { host: '::', port: 0, family: 6 },
    client: '127.0.0.2',
    clientSees: '127.0.0.1',
    server: '::1',
    serverSees: '::1',
  },
];

for (const datapath of KINDS) {
  for (const { name, listen, client: at, clientSees, server: to, serverSees } of PLACES) {
    test(`${datapath} on ${name}: both peers get every byte of every packet, in order`, async () => {
      const rig = await startRig({ datapath, listen });
      assert.equal(rig.datapath.kind, datapath);
      const client = await TestPeer.open(rig.datapath, at, clientSees);
      const server = await TestPeer.open(rig.datapath, to, serverSees);
      try {
        const id = newSessionId();
        await presentBoth(client, server, id);
        const sizes = [28, 100, 100, 1200, 1452, 1453, 1472, 1473, 1500, 29];
        const sent = { up: [] as Buffer[], down: [] as Buffer[] };
        for (const [i, size] of sizes.entries()) {
          sent.up.push(forwardOf(id, i + 1, size));
          sent.down.push(forwardOf(id, 1000 + i, size));
          await client.send(sent.up[i]!);
          await server.send(sent.down[i]!);
        }
        await rig.settled(2 + 2 * sizes.length);
        for (const [peer, expected] of [
          [server, sent.up],
          [client, sent.down],
        ] as const) {
          const got: Buffer[] = [];
          while (got.length < expected.length) got.push(await peer.take(MessageType.Forward));
          assert.deepEqual(got, expected);
          assert.deepEqual(peer.received, []);
        }
        const bytes = 2 * sizes.reduce((sum, size) => sum + size, 0);
        assert.equal(rig.count('packets_forwarded'), 2 * sizes.length);
        assert.equal(rig.count('bytes_forwarded'), bytes);
        assert.equal(rig.count('lease_accepted_packets'), 2);
        assert.equal(rig.count('dropped_packets'), 0);
        assert.equal(rig.datapath.heldSessions(), 1);
      } finally {
        client.close();
        server.close();
        await rig.stop();
      }
    });
  }

  test(`${datapath}: datagrams of every hostile size are counted, answered by nothing and forwarded by nobody`, async () => {
    const rig = await startRig({ datapath });
    const client = await TestPeer.open(rig.datapath, '127.0.0.2', '127.0.0.1');
    const server = await TestPeer.open(rig.datapath, '127.0.0.3', '127.0.0.1');
    try {
      const id = newSessionId();
      await presentBoth(client, server, id);
      const good = forwardOf(id, 1, 65_507);
      const sizes = [0, 1, 19, 20, 27, 1501, 2047, 2048, 2049, 9000, 65_507];
      for (const size of sizes) await client.send(good.subarray(0, size));
      await client.send(forwardOf(id, 2, 1500));
      assert.deepEqual(await server.take(MessageType.Forward), forwardOf(id, 2, 1500));
      await rig.settled(2 + sizes.length + 1);
      assert.equal(rig.count('invalid_packets'), sizes.length);
      assert.equal(rig.count('dropped_packets'), sizes.length);
      assert.deepEqual([client.received, server.received], [[], []]);
    } finally {
      client.close();
      server.close();
      await rig.stop();
    }
  });

  test(`${datapath}: a refused lease gets its answer, and the counters say why`, async () => {
    const rig = await startRig({ datapath });
    const peer = await TestPeer.open(rig.datapath);
    try {
      await peer.send(presentOf(newSessionId(), Role.Client, { rid: 'another' }));
      assert.equal((await peer.take(MessageType.LeaseReject)).readUInt16BE(20), 3);
      await peer.send(forwardOf(newSessionId(), 1));
      await rig.settled(2);
      assert.equal(rig.count('wrong_relay_rejects'), 1);
      assert.equal(rig.count('session_not_found_packets'), 1);
    } finally {
      peer.close();
      await rig.stop();
    }
  });
}
