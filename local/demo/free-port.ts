import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * The wanted port of 127.0.0.1 when it is free, else a free one. Somebody may take it before it is used: whoever listens
 * there then says so.
 */
export async function freePort(kind: 'udp' | 'tcp', wanted: number): Promise<number> {
  return (await tryPort(kind, wanted)) ?? (await tryPort(kind, 0))!;
}

async function tryPort(kind: 'udp' | 'tcp', port: number): Promise<number | undefined> {
  const holder = kind === 'udp' ? createSocket('udp4') : createServer();
  try {
    if ('bind' in holder) holder.bind(port, '127.0.0.1');
    else holder.listen(port, '127.0.0.1');
    await once(holder, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
  const taken = (holder.address() as AddressInfo).port;
  const closed = once(holder, 'close');
  holder.close();
  await closed;
  return taken;
}
