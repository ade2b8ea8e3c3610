import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { ADDRESS_PORT, formatAddress, parseAddress } from '../../../relay/protocol/address.ts';
import { INVALID } from '../../../relay/datapath/receive.ts';
import { NativeSocket, sendSegments, sendTrain } from './native-sockets.ts';

const coalescing = new NativeSocket('127.0.0.1', 4, true);
const plain = new NativeSocket('127.0.0.1', 4, false);
const dual = new NativeSocket('::', 6, true);
const sender = new NativeSocket('127.0.0.1', 4, false);
after(() => {
  for (const socket of [coalescing, plain, dual, sender]) socket.close();
});

async function send(to: NativeSocket, datagrams: readonly Buffer[], host = '127.0.0.1'): Promise<string> {
  const type = host.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket(type);
  socket.bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  for (const datagram of datagrams) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, to.address[ADDRESS_PORT], host, (error) => (error ? reject(error) : resolve()));
    });
  }
  socket.close();
  return type === 'udp6' ? `[${host}]:${port}` : `${host}:${port}`;
}

test('datagrams come one by one with their source, those of no bytes too', async () => {
  for (const to of [coalescing, plain]) {
    const source = await send(to, [Buffer.from('abc'), Buffer.alloc(0), Buffer.from('d')]);
    const arrivals = to.receiveAll();
    assert.deepEqual(
      arrivals.map(({ datagrams }) => String(datagrams)),
      ['abc', '', 'd'],
    );
    for (const arrival of arrivals) assert.deepEqual(arrival.source, parseAddress(source));
  }
});

test('a segmenting sender’s train comes as one buffer where datagrams are coalesced, and one by one elsewhere', () => {
  const train = [1, 2, 3, 4].map((n) => Buffer.alloc(n === 4 ? 70 : 100, n));
  for (const [to, slots] of [
    [coalescing, 1],
    [plain, 4],
  ] as const) {
    sendTrain(sender, to.address, train);
    const arrivals = to.receiveAll();
    assert.equal(arrivals.length, slots);
    assert.deepEqual(
      arrivals.flatMap(({ datagrams }) => (datagrams === INVALID ? [] : [...datagrams])),
      train,
    );
  }
});

test('after a buffer of one kind every slot takes any other', async () => {
  for (let round = 0; round < 3; round++) {
    sendTrain(sender, coalescing.address, [Buffer.alloc(100, 1), Buffer.alloc(100, 2)]);
    await send(coalescing, [Buffer.alloc(30, 3)]);
    assert.deepEqual(
      coalescing.receiveDatagrams().map(({ length }) => length),
      [100, 100, 30],
    );
  }
});

test('the largest datagram there is comes whole where slots are large, and is invalid where it was cut off', async () => {
  const largest = Buffer.alloc(65_507, 1);
  await send(coalescing, [largest, Buffer.from('next')]);
  assert.deepEqual(coalescing.receiveDatagrams(), [largest, Buffer.from('next')]);
  await send(plain, [largest, Buffer.alloc(2049, 1), Buffer.alloc(2048, 1), Buffer.from('next')]);
  assert.deepEqual(
    plain.receiveAll().map(({ datagrams }) => (datagrams === INVALID ? INVALID : datagrams[0]!.length)),
    [INVALID, INVALID, 2048, 4],
  );
});

test('segments that no relay packet can be make the buffer invalid', () => {
  sendSegments(sender, coalescing.address, 3002, 1501);
  sendSegments(sender, coalescing.address, 3000, 1500);
  sendSegments(sender, coalescing.address, 65_000, 9000);
  assert.deepEqual(
    coalescing.receiveAll().map(({ datagrams }) => (datagrams === INVALID ? INVALID : datagrams.length)),
    [INVALID, 2, INVALID],
  );
});

test('a dual-stack socket sees IPv4 peers as such, and IPv6 ones', async () => {
  const v4 = await send(dual, [Buffer.from('four')]);
  const v6 = await send(dual, [Buffer.from('six')], '::1');
  assert.deepEqual(
    dual.receiveAll().map(({ source }) => formatAddress(source, 0)),
    [v4, v6],
  );
});
