import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ADDRESS_PORT, parseAddress } from '../../../relay/protocol/address.ts';
import { HEADER_BYTES, MessageType, SESSION_ID_OFFSET, TYPE_OFFSET } from '../../../relay/protocol/header.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { eventually, forwardOf, presentOf, startRig } from './datapath-rig.ts';
import { NativeSocket, sendTrain } from './native-sockets.ts';

const ROUNDS = 20;
const SESSIONS = 6;
const PACKETS = [1, 2, 3];

/**
 * A deployed client waits for no LEASE_ACK. All that it sends here comes in one buffer, and with several workers most of that is
 * another's.
 */
for (const [datapath, workers] of [
  ['mmsg', 1],
  ['mmsg', 3],
  ['dgram', 1],
] as const) {
  test(`${datapath}, workers: ${workers}: what a peer sends right behind its present arrives, whole and in order`, async () => {
    const rig = await startRig({ datapath, workers, maxSessions: ROUNDS * SESSIONS });
    const client = new NativeSocket('127.0.0.2', 4, true);
    const server = new NativeSocket('127.0.0.3', 4, true);
    const to = parseAddress('127.0.0.1:1')!;
    to[ADDRESS_PORT] = rig.datapath.address.port;
    let received = 0;
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const [waits, comes] = round % 2 === 0 ? [server, client] : [client, server];
        const [first, second] = round % 2 === 0 ? [Role.Server, Role.Client] : [Role.Client, Role.Server];
        const ids = Array.from({ length: SESSIONS }, () => randomBytes(16));
        sendTrain(
          waits,
          to,
          ids.map((id) => presentOf(id, first)),
        );
        await rig.settled((received += SESSIONS));
        await acknowledged(waits);

        const presents = ids.map((id) => presentOf(id, second));
        const length = presents[0]!.length;
        const sent = ids.map((id) => PACKETS.map((sequence) => forwardOf(id, sequence, length)));
        sendTrain(
          comes,
          to,
          presents.flatMap((present, i) => [present, ...sent[i]!]),
        );
        await rig.settled((received += SESSIONS * (1 + PACKETS.length)));
        const arrived = waits.receiveDatagrams();

        for (const [i, id] of ids.entries()) {
          const own = arrived.filter((datagram) =>
            id.equals(datagram.subarray(SESSION_ID_OFFSET, HEADER_BYTES)),
          );
          assert.deepEqual(own, sent[i]);
        }
        await acknowledged(comes);
      }
      assert.equal(rig.count('dropped_packets'), 0);
    } finally {
      client.close();
      server.close();
      await rig.stop();
    }
  });
}

/** A lease is in the books a moment before its answer is sent. */
async function acknowledged(peer: NativeSocket): Promise<void> {
  const answers: Buffer[] = [];
  await eventually('all answers', () => answers.push(...peer.receiveDatagrams()) === SESSIONS);
  assert.ok(answers.every((answer) => answer[TYPE_OFFSET] === MessageType.LeaseAck));
}
