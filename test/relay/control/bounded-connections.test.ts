import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { BoundedConnections } from '../../../relay/control/bounded-connections.ts';
import type { ConnectionLimits } from '../../../relay/control/bounded-connections.ts';
import { waitUntil } from './wait-until.ts';

const LIMITS = { connections: 4, unanswered: 3, stuckMs: 60_000 };
const REQUEST = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';

/** Opens a connection and says `bytes`; resolves once they are with the server's kernel. */
type Dial = (bytes: string) => Promise<Socket>;

async function serve(
  context: TestContext,
  app: RequestListener,
  limits: Partial<ConnectionLimits> = {},
): Promise<Dial> {
  const server = createServer({ keepAliveTimeout: 60_000 });
  const connections = new BoundedConnections(server, app, { ...LIMITS, ...limits });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets: Socket[] = [];
  context.after(async () => {
    for (const socket of sockets) socket.destroy();
    await connections.close();
  });
  return async (bytes) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
    socket.on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(bytes);
    return socket;
  };
}

test('a newcomer takes the place of the oldest when all have answers under way', async (context) => {
  let asked = 0;
  const dial = await serve(context, (request, response) => {
    asked++;
    if (request.url === '/ready') response.end('ready');
  });
  const stuck: Socket[] = [];
  for (let i = 1; i <= LIMITS.connections; i++) {
    stuck.push(await dial(REQUEST));
    await waitUntil('it is asked', () => asked === i);
  }
  const gone = once(stuck[0]!, 'close');
  const newcomer = await dial(REQUEST.replace('health', 'ready'));
  const [answer] = (await once(newcomer, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 [^]*ready/);
  await gone;
  assert.deepEqual(
    stuck.map((socket) => socket.closed),
    [true, false, false, false],
  );
});

test('whoever asks on and on without waiting is cut off, and its questions are not even looked at', async (context) => {
  let asked = 0;
  const dial = await serve(context, () => asked++);
  const greedy = await dial(REQUEST.repeat(400));
  await once(greedy, 'close');
  assert.equal(asked, LIMITS.unanswered);
});

test('several questions at once are answered as long as they are few', async (context) => {
  const dial = await serve(context, (_request, response) => setImmediate(() => response.end('fine')));
  const socket = await dial('');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  for (let round = 1; round <= 3; round++) {
    socket.write(REQUEST.repeat(LIMITS.unanswered));
    await waitUntil('all are answered', () => text.split('fine').length > round * LIMITS.unanswered);
  }
});

test('a connection whose answer makes no way is given up', async (context) => {
  const dial = await serve(context, () => {}, { stuckMs: 50 });
  await once(await dial(REQUEST), 'close');
});
