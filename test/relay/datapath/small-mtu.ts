import { Arena, NativeSocket, newTrains, SendTally } from './native-sockets.ts';

/** To be run where the loopback's MTU is 600: what becomes of trains whose packets are larger than that. */
const family = process.env['FAMILY'] === '6' ? 6 : 4;
const host = family === 6 ? '::1' : '127.0.0.1';
const sender = new NativeSocket(host, family, false);
const receiver = new NativeSocket(host, family, true);
const tally = new SendTally();
const trains = newTrains(sender, 2, tally);

function send(flow: number, sizes: readonly number[], nowMs: number): unknown {
  const arena = new Arena(65_536);
  const sent = sizes.map((size, i) => Buffer.alloc(size, i + 1));
  for (const datagram of sent) {
    const { low, high, length } = arena.put(datagram, 16);
    trains.add(flow, low, high, length, receiver.address, 0, nowMs);
  }
  trains.flush(nowMs);
  const arrivals = receiver.receiveAll();
  const datagrams = arrivals.flatMap((arrival) => arrival.datagrams as Buffer[]);
  return {
    whole: Buffer.concat(datagrams).equals(Buffer.concat(sent)) && datagrams.length === sent.length,
    messages: arrivals.length,
    refused: trains.refused,
  };
}

const large = [1400, 1400, 1400, 20];
const small = [400, 400, 400, 20];
const report = {
  firstTrain: send(0, large, 0),
  sameSizeWithinTheMinute: send(0, large, 59_999),
  largerWithinTheMinute: send(0, [1401, 1401], 59_999),
  smallerWithinTheMinute: send(0, small, 59_999),
  otherPeer: send(1, small, 59_999),
  afterTheMinute: send(0, large, 60_000),
  tally: tally.counts,
};
sender.close();
receiver.close();
console.log(JSON.stringify(report));
