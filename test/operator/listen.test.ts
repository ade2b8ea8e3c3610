import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { suite, test, type TestContext } from 'node:test';

import { listen } from '../../operator/listen.ts';

function serverOf(context: TestContext): Server {
  const server = createServer((socket) => socket.end());
  context.after(() => server.close());
  return server;
}

async function answersOnIPv4(server: Server): Promise<void> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
  await once(socket, 'close');
}

suite('where the operator listens', () => {
  test('[::] is every address, IPv4 included', async (context) => {
    const server = serverOf(context);
    await listen(server, { host: '::', port: 0 }, '--listen');
    await answersOnIPv4(server);
  });

  for (const code of ['EAFNOSUPPORT', 'EADDRNOTAVAIL'])
    test(`[::] is every IPv4 address where the kernel has no IPv6 (${code})`, async (context) => {
      const server = serverOf(context);
      const original = server.listen.bind(server) as (port: number, host: string) => Server;
      context.mock.method(server, 'listen', (port: number, host: string) => {
        if (host === '0.0.0.0') return original(port, host);
        process.nextTick(() => server.emit('error', Object.assign(new Error('no IPv6'), { code })));
        return server;
      });
      await listen(server, { host: '::', port: 0 }, '--listen');
      assert.equal((server.address() as AddressInfo).address, '0.0.0.0');
      await answersOnIPv4(server);
    });

  test('an address that is taken is said, with the flag that it comes from', async (context) => {
    const first = serverOf(context);
    await listen(first, { host: '127.0.0.1', port: 0 }, '--listen');
    const { port } = first.address() as AddressInfo;
    await assert.rejects(listen(serverOf(context), { host: '127.0.0.1', port }, '--metrics-api-listen'), {
      message: `cannot listen on 127.0.0.1:${port} (--metrics-api-listen): EADDRINUSE`,
    });
    await assert.rejects(listen(serverOf(context), { host: '::', port }, '--listen'), {
      message: `cannot listen on [::]:${port} (--listen): EADDRINUSE`,
    });
  });
});
