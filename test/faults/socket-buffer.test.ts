import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { startRelay, until } from '../e2e/relay/relay-process.ts';

const PACKETS = 600;
const SIZE = 1200;
/** What the kernel charges for a datagram of that size: the page fragment and its own structure. */
const CHARGED = 2304;

function setting(name: string): number {
  return Number(readFileSync(`/proc/sys/net/core/${name}`, 'utf8'));
}

test('fault 18: the socket buffer is as large as the kernel gives, and holds a burst while the relay stands still', async (context) => {
  const relay = startRelay(context, ['--master-url', 'http://127.0.0.1:9', '--workers', '1']);
  const address = await relay.address();
  const [host, port] = address.split(':') as [string, string];
  const { socket_buffer_bytes } = (await relay.json('/metrics')) as Record<string, number>;
  const got = socket_buffer_bytes!;
  // In the unit of net.core.rmem_max, which the kernel doubles; SO_RCVBUFFORCE gives more than that.
  assert.ok(got >= Math.min(setting('rmem_max'), 1_048_576), `${got} bytes`);
  const isDefault = 2 * got <= setting('rmem_default');
  assert.ok(!isDefault || setting('rmem_max') <= setting('rmem_default') / 2, `${got} bytes are the default`);
  if (got < 1_048_576) await relay.line(/net\.core\.rmem_max/);

  const sender = createSocket('udp4').bind(0, '127.0.0.1');
  context.after(() => sender.close());
  await once(sender, 'listening');
  relay.signal('SIGSTOP');
  for (let i = 0; i < PACKETS; i++) {
    await new Promise<void>((resolve, reject) => {
      sender.send(Buffer.alloc(SIZE, i), Number(port), host, (error) => (error ? reject(error) : resolve()));
    });
  }
  relay.signal('SIGCONT');
  const fits = Math.min(PACKETS, Math.floor((2 * got) / CHARGED) - 1);
  const metrics = await until('every packet to be received or counted as dropped by the kernel', async () => {
    const now = (await relay.json('/metrics')) as Record<string, number>;
    return now['packets_rx']! + now['kernel_dropped_packets']! >= PACKETS ? now : undefined;
  });
  assert.ok(metrics['packets_rx']! >= fits, `${metrics['packets_rx']} of ${fits} packets were kept`);
});
