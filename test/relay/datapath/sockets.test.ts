import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import type { SocketAddress } from '../../../relay/config/config.ts';
import { DatapathError } from '../../../relay/datapath/datapath-error.ts';
import { SO_REUSEPORT, SOL_SOCKET } from '../../../relay/datapath/libc.ts';
import { SocketOptions } from '../../../relay/datapath/socket-options.ts';
import { openSockets, type OpenSockets } from '../../../relay/datapath/sockets.ts';
import { libc } from './native-sockets.ts';

const ANY: SocketAddress = { host: '127.0.0.1', port: 0, family: 4 };
const options = new SocketOptions(libc);

function close(...all: OpenSockets[]): void {
  for (const { fds } of all) for (const fd of fds) libc.close(fd);
}

for (const [first, second] of [
  [1, 1],
  [1, 2],
  [2, 1],
  [3, 2],
] as const) {
  test(`a relay of ${second} can't take the port of one of ${first} workers, and says what to do`, () => {
    const held = openSockets(libc, ANY, first);
    const listen = { ...ANY, port: held.address.port };
    assert.throws(
      () => openSockets(libc, listen, second),
      (error) => {
        assert.ok(error instanceof DatapathError);
        assert.equal(error.exitCode, 1);
        assert.match(error.message, /127\.0\.0\.1:\d+: another process holds this UDP port \(EADDRINUSE\)/);
        assert.match(error.message, /--listen/);
        return true;
      },
    );
    close(held);
    close(openSockets(libc, listen, second));
  });
}

test('nor can node:dgram take it, nor the relay that of node:dgram', async () => {
  const held = openSockets(libc, ANY, 1);
  const socket = createSocket('udp4');
  socket.bind(held.address.port, '127.0.0.1');
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'EADDRINUSE');
  socket.close();
  close(held);

  const other = createSocket('udp4');
  other.bind(0, '127.0.0.1');
  await once(other, 'listening');
  assert.throws(() => openSockets(libc, { ...ANY, port: other.address().port }, 2), /EADDRINUSE/);
  other.close();
});

test('one worker shares its port with nobody; several share it among themselves', () => {
  const one = openSockets(libc, ANY, 1);
  const three = openSockets(libc, ANY, 3);
  const reuse = ({ fds }: OpenSockets): unknown[] =>
    fds.map((fd) => options.getInt(fd, SOL_SOCKET, SO_REUSEPORT));
  assert.deepEqual(reuse(one), [0]);
  assert.deepEqual(reuse(three), [1, 1, 1]);
  assert.ok(three.address.port > 0);
  close(one, three);
});

test('an address that this host does not have is named, and nothing stays open', () => {
  const before = openSockets(libc, ANY, 1);
  const next = before.fds[0]!;
  close(before);
  assert.throws(
    () => openSockets(libc, { host: '203.0.113.1', port: 4000, family: 4 }, 2),
    /can't listen on 203\.0\.113\.1:4000: no interface of this host has that address \(EADDRNOTAVAIL\)/,
  );
  assert.throws(
    () => openSockets(libc, { host: 'relay.example', port: 1, family: 4 }, 1),
    /not an IP address/,
  );
  const again = openSockets(libc, ANY, 1);
  assert.equal(again.fds[0], next, 'the same descriptor is free again');
  close(again);
});

test('IPv6: a wildcard takes IPv4 as well', async () => {
  const dual = openSockets(libc, { host: '::', port: 0, family: 6 }, 2);
  assert.throws(
    () => openSockets(libc, { host: '127.0.0.1', port: dual.address.port, family: 4 }, 1),
    /EADDRINUSE/,
    'the IPv4 port is taken, too',
  );
  assert.deepEqual(dual.address, { host: '::', port: dual.address.port, family: 6 });
  close(dual);
});

test('buffers are as large as the kernel gives', () => {
  const sockets = openSockets(libc, ANY, 1);
  assert.ok(sockets.bufferBytes >= 100_000, String(sockets.bufferBytes));
  close(sockets);
});
