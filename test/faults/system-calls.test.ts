import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';

import type { Libc } from '../../relay/datapath/libc.ts';
import { MmsgLoop } from '../../relay/datapath/mmsg-loop.ts';
import { NativeBlock } from '../../relay/datapath/native-block.ts';
import { ReceiveBatch } from '../../relay/datapath/receive.ts';
import { SharedState } from '../../relay/datapath/shared-state.ts';
import { openSockets } from '../../relay/datapath/sockets.ts';
import { Trains } from '../../relay/datapath/trains.ts';
import { assembleWorker } from '../../relay/datapath/worker-assembly.ts';
import { bookImbalance, Counter } from '../../relay/pipeline/counters.ts';
import { HELD_BYTES } from '../../relay/pipeline/held-forwards.ts';
import { Role } from '../../relay/protocol/role.ts';
import { RELAY } from '../relay/lease/leases.ts';
import {
  configOf,
  forwardOf,
  KEYS,
  newSessionId,
  presentOf,
  startRig,
} from '../relay/datapath/datapath-rig.ts';
import { libc, NativeSocket, sendTrain } from '../relay/datapath/native-sockets.ts';

const PACKETS = 24;
const SESSIONS = 3;

/** A worker on this thread, which turns when it is told to, and how often it calls the kernel for packets. */
class CountedWorker {
  readonly calls = { receive: 0, send: 0 };
  readonly address: Int32Array;
  readonly #fd: number;
  readonly #channel = new MessageChannel();
  readonly #state = SharedState.allocate(1);
  readonly #loop: MmsgLoop;

  constructor() {
    const { calls } = this;
    const counted: Libc = {
      ...libc,
      recvmmsg: (...call) => {
        calls.receive++;
        return libc.recvmmsg(...call);
      },
      sendmmsg: (...call) => {
        calls.send++;
        return libc.sendmmsg(...call);
      },
    };
    const config = configOf({ maxSessions: 10 });
    const { fds, address } = openSockets(libc, config.listen, 1);
    const fd = fds[0]!;
    this.#fd = fd;
    this.address = Int32Array.of(0, 0, 0xffff, (127 << 24) | 1, address.port, 0);
    const held = new NativeBlock(HELD_BYTES);
    const { pipeline, counters, state, duties } = assembleWorker(
      {
        index: 0,
        workers: 1,
        relayId: RELAY,
        insecure: false,
        maxSessions: 10,
        shedThresholdPct: 100,
        packetQueueCapacity: 100,
        limits: config,
        keys: KEYS,
        restored: [],
        ownEndpoints: new Int32Array(0),
        seed: new Uint32Array(4),
        logPackets: false,
        state: this.#state.buffer,
        records: undefined,
        socket: { kind: 'mmsg', fd, bound: address, coalescing: false, segmenting: true, others: undefined },
      },
      this.#channel.port1,
      () => trains,
      held.bytes,
    );
    const trains: Trains = new Trains(counted, fd, 4, 20, true, pipeline);
    const batch = new ReceiveBatch(counted, fd, 4, false);
    this.#loop = new MmsgLoop({
      libc: counted,
      index: 0,
      pipeline,
      counters,
      state,
      duties,
      batch,
      trains,
      held,
      others: undefined,
    });
  }

  turn(): void {
    assert.equal(this.#loop.turn(), true);
  }

  count(name: keyof typeof Counter): number {
    return this.#state.counters(0)[Counter[name]]!;
  }

  close(): void {
    assert.equal(bookImbalance(this.#state.counters(0)), undefined);
    libc.close(this.#fd);
    this.#channel.port1.close();
  }
}

test('fault 9: packets of several sessions that wait together cost one receive call and one send call', async () => {
  const worker = new CountedWorker();
  const pairs = Array.from({ length: SESSIONS }, () => ({
    id: newSessionId(),
    client: new NativeSocket('127.0.0.1', 4, false),
    server: new NativeSocket('127.0.0.1', 4, false),
  }));
  for (const { id, client, server } of pairs) {
    sendTrain(client, worker.address, [Buffer.from(presentOf(id, Role.Client))]);
    sendTrain(server, worker.address, [Buffer.from(presentOf(id, Role.Server))]);
  }
  while (worker.count('lease_accepted_packets') < 2 * SESSIONS) {
    worker.turn();
    await sleep(0);
  }
  for (const { client, server } of pairs) {
    client.receiveAll();
    server.receiveAll();
  }

  for (let sequence = 1; sequence <= PACKETS; sequence++) {
    const { id, client } = pairs[sequence % SESSIONS]!;
    sendTrain(client, worker.address, [Buffer.from(forwardOf(id, sequence, 200))]);
  }
  Object.assign(worker.calls, { receive: 0, send: 0 });
  worker.turn();
  assert.deepEqual(worker.calls, { receive: 1, send: 1 });
  assert.equal(worker.count('packets_forwarded'), PACKETS);
  const arrived = pairs.map(({ server }) => server.receiveDatagrams().length);
  assert.deepEqual(arrived, Array(SESSIONS).fill(PACKETS / SESSIONS), 'every packet came out as one');
  for (const { client, server } of pairs) {
    client.close();
    server.close();
  }
  worker.close();
});

test('fault 9: more than one thread forwards, each with a socket of its own on the one port', async () => {
  const rig = await startRig({ workers: 3 });
  assert.equal(rig.datapath.kind, 'mmsg');
  assert.equal(rig.datapath.workers, 3);
  assert.equal(rig.datapath.busyRatios().length, 3);
  const port = rig.datapath.address.port.toString(16).toUpperCase().padStart(4, '0');
  const sockets = readFileSync('/proc/net/udp', 'utf8').match(new RegExp(` 0100007F:${port} `, 'g'));
  assert.equal(sockets?.length, 3);
  await rig.stop();
});
