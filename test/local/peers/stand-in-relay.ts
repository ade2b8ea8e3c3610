import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** What becomes of a FORWARD datagram; undefined forwards it. `n` counts them from 0. */
type Fate = (datagram: Buffer, n: number) => readonly Buffer[] | undefined;

export interface StandInRelay {
  /** `ip:port` */
  readonly address: string;
  /** Datagrams that came, by their type byte. */
  readonly counts: ReadonlyMap<number, number>;
  /** Every `ip:port` that something came from. */
  readonly sources: ReadonlySet<string>;
  close(): Promise<void>;
}

export interface StandInOptions {
  readonly fate?: Fate;
  /** Answers every LEASE_PRESENT with this reject instead of taking it. */
  readonly reject?: number;
  /** Takes leases without a word. */
  readonly mute?: boolean;
  readonly listen?: string;
}

/** A blind relay of the simplest kind: believes every lease, forwards everything, checks nothing. */
export async function startStandInRelay(options: StandInOptions = {}): Promise<StandInRelay> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  const sessions = new Map<string, { address: string; port: number }[]>();
  const counts = new Map<number, number>();
  const sources = new Set<string>();
  let forwarded = 0;
  socket.on('message', (datagram, from) => {
    sources.add(`${from.address}:${from.port}`);
    const type = datagram[2] ?? -1;
    counts.set(type, (counts.get(type) ?? 0) + 1);
    if (datagram.length < 20 || datagram[0] !== 0x57) return;
    const id = datagram.toString('hex', 4, 20);
    const answer = (answerType: number, payload: Buffer): void => {
      const header = Buffer.from(datagram.subarray(0, 20));
      header[2] = answerType;
      socket.send(Buffer.concat([header, payload]), from.port, from.address);
    };
    const peers = sessions.get(id) ?? [];
    if (type === 1 && options.reject !== undefined) {
      answer(3, Buffer.from([0, options.reject]));
    } else if (type === 1) {
      peers[datagram[20]!] = from;
      sessions.set(id, peers);
    }
    if ((type === 1 && options.reject === undefined) || type === 4) {
      const ack = Buffer.alloc(16);
      ack.writeBigUInt64BE(BigInt(Date.now() + 300_000));
      ack.writeUInt32BE(50_000, 8);
      ack.writeUInt32BE(100_000, 12);
      if (!options.mute) answer(2, ack);
    }
    const other = peers.find((peer) => peer && (peer.port !== from.port || peer.address !== from.address));
    if (type !== 0x10 || !other || peers.filter(Boolean).length < 2) return;
    for (const out of options.fate?.(datagram, forwarded) ?? [datagram])
      socket.send(out, other.port, other.address);
    forwarded++;
  });
  const [host, port] = (options.listen ?? '127.0.0.1:0').split(':');
  socket.bind(Number(port), host);
  await once(socket, 'listening');
  return {
    address: `${socket.address().address}:${socket.address().port}`,
    counts,
    sources,
    close: async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}
