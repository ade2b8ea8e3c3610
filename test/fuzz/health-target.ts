import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import * as fc from 'fast-check';

import { startHealthServer } from '../../relay/control/health-server.ts';
import { servingRelay } from '../relay/control/health-fixture.ts';
import { checkProperty } from './target.ts';
import type { Target } from './target.ts';

const RUNS = 20;
/** How long a connection that the client leaves open is watched. */
const WATCHED_MS = 20;
const ENDPOINTS = ['/health', '/ready', '/metrics', '/metrics/prometheus'] as const;
const ALLOWED = new Set([100, 200, 400, 404, 405, 408, 413, 414, 417, 431, 501, 505]);

export const healthTarget: Target = {
  name: 'health-server',
  about:
    'hostile HTTP over raw sockets, in pieces, left open and cut off: a known status or none, no stack trace, and the next probe is answered',
  start: async () => {
    const errors: string[] = [];
    const server = await startHealthServer(
      { host: '127.0.0.1', port: 0, family: 4 },
      servingRelay().sources,
      (level, message) => {
        if (level === 'error') errors.push(message);
      },
    );
    const { port } = server.address;
    const property = fc.asyncProperty(
      fc.array(fc.record({ pieces: pieces(), ends: fc.boolean() }), { minLength: 1, maxLength: 8 }),
      async (connections) => {
        const answers = await Promise.all(connections.map(({ pieces, ends }) => talk(port, pieces, ends)));
        for (const answer of answers) checkAnswer(answer);
        assert.deepEqual(errors, []);
        const probe = await fetch(`http://127.0.0.1:${port}/ready`);
        assert.equal(probe.status, 200);
        await probe.text();
      },
    );
    return { batch: (seed) => checkProperty(property, seed, RUNS), stop: () => server.close() };
  },
};

/** Bytes as they are written, a piece at a time. */
function pieces(): fc.Arbitrary<readonly Buffer[]> {
  const line = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(method(), path(), version()).map((parts) => parts.join(' ')) },
    { weight: 5, arbitrary: header() },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  );
  const request = fc
    .tuple(method(), path(), version(), fc.array(line, { maxLength: 5 }), fc.constantFrom('\r\n', '\n', '\r'))
    .map(([verb, where, http, lines, end]) =>
      Buffer.from([`${verb} ${where} ${http}`, ...lines, '', ''].join(end), 'latin1'),
    );
  const noise = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  const big = fc.nat({ max: 20_000 }).map((length) => Buffer.alloc(length, 'x: y\r\n'));
  const body = fc.oneof(
    { weight: 5, arbitrary: request },
    { weight: 1, arbitrary: noise },
    { weight: 1, arbitrary: big },
  );
  const several = fc.array(body, { minLength: 1, maxLength: 4 }).map((parts) => Buffer.concat(parts));
  return fc.tuple(several, fc.array(fc.nat({ max: 600 }), { maxLength: 3 })).map(([bytes, cuts]) => {
    const sorted = cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b);
    return [0, ...sorted].map((from, i) => bytes.subarray(from, sorted[i] ?? bytes.length));
  });
}

function method(): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant('GET') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('HEAD', 'POST', 'PUT', 'OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'get', '\0GET'),
    },
  );
}

function path(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(...ENDPOINTS),
    fc.constantFrom(
      '*',
      '',
      '/',
      '//health',
      'http://x/health',
      '/health?a[b]=c',
      '/%00',
      '/%zz',
      '/../ready',
    ),
    fc.string({ unit: 'binary' }),
    fc.nat({ max: 9000 }).map((length) => `/${'a'.repeat(length)}`),
  );
}

function version(): fc.Arbitrary<string> {
  return fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9.9', '');
}

function header(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(
      'Host: x',
      'Host:',
      'Host: x\r\nHost: y',
      'Content-Length: 0',
      'Content-Length: 5\r\n\r\nhello',
      'Content-Length: -1',
      'Content-Length: 1\r\nContent-Length: 2',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: x, chunked',
      'Upgrade: h2c\r\nConnection: Upgrade',
      'Expect: 100-continue',
      'Expect: x',
      'Connection: close',
      'Range: bytes=0-1',
      'If-None-Match: *',
      ' folded',
      'A:\u0000',
    ),
    fc.string().map((text) => `X-Fuzz: ${text}`),
  );
}

async function talk(port: number, written: readonly Buffer[], ends: boolean): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (const piece of written) {
    socket.write(piece);
    await sleep(0);
  }
  if (ends) socket.end();
  await Promise.race([closed, sleep(WATCHED_MS)]);
  socket.destroy();
  await closed;
  return text;
}

function checkAnswer(text: string): void {
  assert.doesNotMatch(text, /node_modules|\.ts:\d|\n\s+at /);
  for (const [, status] of text.matchAll(/^HTTP\/1\.1 (\d+)/gm)) {
    assert.ok(ALLOWED.has(Number(status)), `status ${status}`);
  }
}
