import assert from 'node:assert/strict';
import { randomBytes, randomFillSync } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { HandOver } from '../../../relay/datapath/hand-over.ts';
import { MSG_DONTWAIT, type Libc } from '../../../relay/datapath/libc.ts';
import { MmsgLoop } from '../../../relay/datapath/mmsg-loop.ts';
import { NativeBlock } from '../../../relay/datapath/native-block.ts';
import { Nudge } from '../../../relay/datapath/nudge.ts';
import { ReceiveBatch } from '../../../relay/datapath/receive.ts';
import { SharedState } from '../../../relay/datapath/shared-state.ts';
import { SocketOptions } from '../../../relay/datapath/socket-options.ts';
import { openSockets } from '../../../relay/datapath/sockets.ts';
import { Trains } from '../../../relay/datapath/trains.ts';
import { assembleWorker } from '../../../relay/datapath/worker-assembly.ts';
import { bookImbalance, Counter, type CounterName } from '../../../relay/pipeline/counters.ts';
import { HELD_BYTES } from '../../../relay/pipeline/held-forwards.ts';
import { HEADER_BYTES, MessageType, writeHeader } from '../../../relay/protocol/header.ts';
import { writeRiftTransport } from '../../../relay/protocol/rift.ts';
import { Role } from '../../../relay/protocol/role.ts';
import { RELAY } from '../lease/leases.ts';
import { configOf, forwardOf, KEYS, newSessionId, presentOf } from './datapath-rig.ts';
import { libc, NativeSocket, sendTrain } from './native-sockets.ts';

/** Worker 0 of several, on this thread: it moves only when a test turns it, and the others never do. */
class Worker0 {
  readonly #fds: readonly number[];
  readonly #channel = new MessageChannel();
  readonly #state: SharedState;
  readonly #loop: MmsgLoop;
  readonly address: Int32Array;

  constructor(workers: number, kernel: Libc = libc) {
    const config = configOf({ maxSessions: 10 });
    const { fds, address } = openSockets(libc, config.listen, workers);
    this.#fds = fds;
    this.address = Int32Array.of(0, 0, 0xffff, (127 << 24) | 1, address.port, 0);
    const coalescing = new SocketOptions(libc).coalesce(fds[0]!);
    this.#state = SharedState.allocate(workers);
    const rings = HandOver.allocate(Math.max(2, workers));
    const cookie = new Int32Array(4);
    const held = new NativeBlock(HELD_BYTES);
    const socket = { kind: 'mmsg', fd: fds[0]!, bound: address, coalescing, segmenting: true } as const;
    const { pipeline, counters, state, duties } = assembleWorker(
      {
        index: 0,
        workers,
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
        socket: { ...socket, others: undefined },
      },
      this.#channel.port1,
      () => trains,
      held.bytes,
    );
    const trains: Trains = new Trains(libc, fds[0]!, 4, 20, true, pipeline);
    this.#loop = new MmsgLoop({
      libc: kernel,
      index: 0,
      pipeline,
      counters,
      state,
      duties,
      batch: new ReceiveBatch(kernel, fds[0]!, 4, coalescing),
      trains,
      held,
      others:
        workers === 1
          ? undefined
          : {
              handOver: new HandOver(libc, rings, 0, workers),
              nudge: new Nudge(kernel, fds[0]!, address, cookie),
            },
    });
  }

  turn(): void {
    assert.equal(this.#loop.turn(), true);
  }

  /** Turns until so many leases were accepted. */
  async accept(leases: number): Promise<void> {
    while (this.count('lease_accepted_packets') < leases) {
      this.turn();
      await sleep(0);
    }
  }

  count(name: CounterName): number {
    return this.#state.counters(0)[Counter[name]]!;
  }

  /** As when the main thread says stop. */
  end(): void {
    this.#state.stop();
    this.#loop.run();
  }

  /** Milliseconds so far, as the overload judge is told. */
  get busyMs(): number {
    return this.#state.busyMs(0);
  }

  /** Ends it, as the main thread would, and checks the books. */
  close(): void {
    assert.equal(bookImbalance(this.#state.counters(0)), undefined);
    this.#state.stop();
    for (const fd of this.#fds) libc.shutdown(fd, 0);
    const before = this.count('packets_rx');
    assert.equal(this.#loop.turn(), false);
    assert.equal(this.count('packets_rx'), before, 'phantom messages are not counted');
    for (const fd of this.#fds) libc.close(fd);
    this.#channel.port1.close();
  }
}

test('what finds no room in the ring to its worker is received and dropped: backpressure', () => {
  let nudges = 0;
  const relay = new Worker0(2, {
    ...libc,
    sendto: (...parameters) => {
      nudges++;
      return libc.sendto(...parameters);
    },
  });
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const id = randomBytes(16);
  id.writeUInt32BE(2, 12);
  const foreign = randomBytes(16);
  foreign.writeUInt32BE(3, 12);
  // The first datagram is worker 0's, so the whole buffer comes to it; the rest is of a worker that takes nothing.
  const packets = 8 * 50;
  for (let n = 0; n < 8; n++) {
    sendTrain(sender, relay.address, [
      forwardOf(id, n),
      ...Array.from({ length: 50 }, (_, i) => forwardOf(foreign, n * 50 + i)),
    ]);
  }
  while (relay.count('packets_rx') < 8 + packets - 256) relay.turn();
  assert.equal(relay.count('handed_over_packets'), 256);
  assert.equal(nudges, 1, 'the first finds the other worker asleep');
  assert.equal(relay.count('backpressure_dropped_packets'), packets - 256);
  assert.equal(relay.count('session_not_found_packets'), 8);
  assert.equal(relay.count('packets_rx'), 8 + packets - 256);
  assert.equal(relay.count('bytes_rx'), 100 * (8 + packets - 256));
  sender.close();
  relay.close();
});

test('leases that still wait when a worker ends, and packets that wait for them, are in the books', () => {
  const relay = new Worker0(1);
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const ids = Array.from({ length: 10 }, newSessionId);
  const presents = ids.map((id) => presentOf(id, Role.Client));
  const length = presents[0]!.length;
  sendTrain(sender, relay.address, [...presents, ...ids.map((id) => forwardOf(id, 1, length))]);
  while (relay.count('packets_rx') < 20) relay.turn();
  const accepted = relay.count('lease_accepted_packets');
  assert.ok(accepted < 10, 'a turn verifies no more than four');
  relay.end();
  assert.equal(relay.count('backpressure_dropped_packets'), 2 * (10 - accepted));
  assert.equal(relay.count('session_not_active_packets'), accepted);
  sender.close();
  relay.close();
});

test('runts are nobody’s: they are judged where they arrive', () => {
  const relay = new Worker0(1);
  const sender = new NativeSocket('127.0.0.2', 4, false);
  sendTrain(sender, relay.address, [Buffer.alloc(19), Buffer.alloc(19), Buffer.alloc(3)]);
  while (relay.count('packets_rx') < 3) relay.turn();
  assert.equal(relay.count('invalid_packets'), 3);
  sender.close();
  relay.close();
});

test('when a peer’s port changes in the middle of a batch, what comes after goes to the new one', async () => {
  const relay = new Worker0(1);
  const server = new NativeSocket('127.0.0.3', 4, false);
  const before = new NativeSocket('127.0.0.2', 4, false);
  const after = new NativeSocket('127.0.0.2', 4, false);
  const id = newSessionId();
  const frame = (sequence: number): Buffer => {
    const datagram = Buffer.alloc(HEADER_BYTES + 60, sequence);
    writeHeader(datagram, 0, MessageType.Forward, id, 0);
    writeRiftTransport(datagram, HEADER_BYTES, 77, 0, sequence);
    return datagram;
  };
  try {
    sendTrain(before, relay.address, [presentOf(id, Role.Client)]);
    sendTrain(server, relay.address, [presentOf(id, Role.Server)]);
    await relay.accept(2);
    sendTrain(before, relay.address, [frame(1)]);
    sendTrain(server, relay.address, [frame(1)]);
    while (relay.count('packets_forwarded') < 2) relay.turn();
    before.receiveDatagrams();
    server.receiveDatagrams();

    // A peer may move once its stored address has been silent for two seconds (design-relay 3).
    await sleep(2100);
    sendTrain(server, relay.address, [frame(2), frame(3)]);
    sendTrain(after, relay.address, [frame(2)]);
    sendTrain(server, relay.address, [frame(4), frame(5)]);
    relay.turn();
    assert.equal(relay.count('nat_rebind_events'), 1);
    assert.equal(relay.count('packets_forwarded'), 7, 'all came in one batch');
    assert.deepEqual(before.receiveDatagrams(), [frame(2), frame(3)]);
    assert.deepEqual(after.receiveDatagrams(), [frame(4), frame(5)]);
    assert.deepEqual(server.receiveDatagrams(), [frame(2)]);
  } finally {
    for (const socket of [server, before, after]) socket.close();
  }
  relay.close();
});

/** A clock on which every look at it takes ten milliseconds, and a thread that gets no CPU time at all. */
function slowClock(context: TestContext): () => number {
  let nowMs = performance.now();
  context.mock.method(performance, 'now', () => (nowMs += 10));
  context.mock.method(process, 'threadCpuUsage', () => ({ user: 0, system: 0 }));
  return () => nowMs;
}

/** Sleeps for nobody, and keeps count of the calls that may sleep. */
function sleepless(calls: { waiting: number; looking: number }): Libc {
  return {
    ...libc,
    recvmmsg: (fd, messages, count, flags, timeout) => {
      if ((flags & MSG_DONTWAIT) === 0) calls.waiting++;
      else calls.looking++;
      return libc.recvmmsg(fd, messages, count, flags | MSG_DONTWAIT, timeout);
    },
  };
}

test('a worker with full batches before it is busy, however little CPU it gets, and one that waits is not', (t) => {
  const calls = { waiting: 0, looking: 0 };
  const relay = new Worker0(1, sleepless(calls));
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const clock = slowClock(t);
  const spend = (turns: number, feed: () => void): number => {
    const [busyMs, atMs] = [relay.busyMs, clock()];
    for (let i = 0; i < turns; i++) {
      feed();
      relay.turn();
    }
    return (relay.busyMs - busyMs) / (clock() - atMs);
  };
  spend(20, () => {});
  const idle = spend(60, () => {});
  assert.equal(calls.looking, 0);
  calls.waiting = 0;
  const full = spend(60, () => {
    for (let i = 0; i < 33; i++) sendTrain(sender, relay.address, [Buffer.alloc(3)]);
  });
  assert.equal(calls.waiting, 1, 'the first did not know yet');
  assert.ok(idle < 0.6 && full > 0.8, `${idle} ${full}`);
  while (calls.waiting < 3) relay.turn();
  sender.close();
  relay.close();
});

test('strangers’ leases that are verified while nothing else waits do not make a worker busy', (t) => {
  const relay = new Worker0(1, sleepless({ waiting: 0, looking: 0 }));
  const sender = new NativeSocket('127.0.0.2', 4, false);
  const forged = presentOf(newSessionId(), Role.Client);
  forged[forged.length - 1]! ^= 1;
  const clock = slowClock(t);
  const [busyMs, atMs] = [relay.busyMs, clock()];
  for (let rejected = 0; rejected < 200;) {
    for (let i = 0; i < 40; i++) {
      randomFillSync(forged, 4, 16);
      sendTrain(sender, relay.address, [forged]);
    }
    rejected += 40;
    while (relay.count('auth_reject_packets') + relay.count('rate_limited_packets') < rejected) relay.turn();
  }
  const share = (relay.busyMs - busyMs) / (clock() - atMs);
  assert.ok(share < 0.8, `${share}: never asleep, but a third of it with time to spare`);
  sender.close();
  relay.close();
});
