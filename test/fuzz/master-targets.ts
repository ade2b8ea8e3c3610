import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

import * as fc from 'fast-check';

import {
  checkHeartbeatAnswer,
  MAX_HEARTBEAT_INTERVAL_MS,
  MIN_HEARTBEAT_INTERVAL_MS,
  parseRegisterAnswer,
  parseRelayList,
} from '../../relay/control/master-answers.ts';
import { MasterClient, MasterError } from '../../relay/control/master-client.ts';
import { ALPHA } from '../relay/lease/leases.ts';
import { checkProperty, propertyTarget } from './target.ts';
import type { Target } from './target.ts';

const TOKEN = 'c4n4ry-of-the-fuzz';
const CALL_RUNS = 30;
/** For answers that stop in the middle; the others come at once. */
const TIMEOUT_MS = 150;

const CALLS = ['register', 'heartbeat', 'list'] as const;
const GOOD_ANSWER = {
  heartbeat_interval_ms: 5000,
  master_public_key: [...ALPHA.publicBytes],
  master_key_id: 'k1',
};

/** What Master answers, or what somebody answers who took its place. */
export const masterTargets: readonly Target[] = [
  propertyTarget({
    name: 'master-answers',
    about: 'any JSON as an answer of Master: one within bounds, or one line that names what is wrong',
    runs: 500,
    property: fc.property(answer(), checkAnswer),
  }),
  {
    name: 'master-client',
    about:
      'any bytes over TCP as answers of Master: an answer or a MasterError of one line, without the token',
    start: async () => {
      const master = await startRawServer();
      return {
        batch: (seed) =>
          checkProperty(
            fc.asyncProperty(fc.constantFrom(...CALLS), response(), (call, bytes) =>
              checkCall(master, call, bytes),
            ),
            seed,
            CALL_RUNS,
          ),
        stop: () => master.close(),
      };
    },
  },
];

/** A good answer with fields changed, left out and added, or anything. */
function answer(): fc.Arbitrary<unknown> {
  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(-1, 0, 1.5, 1e308, 2 ** 53, '', null, [], {}, 'x'.repeat(200), '\u0000', 'a b'),
    fc.array(fc.integer({ min: -2, max: 300 }), { minLength: 30, maxLength: 34 }),
  );
  const changed = fc
    .record({
      field: fc.constantFrom(...Object.keys(GOOD_ANSWER), 'ok', 'more', '__proto__'),
      value: fc.option(odd, { nil: undefined }),
    })
    .map(({ field, value }) => JSON.parse(JSON.stringify({ ...GOOD_ANSWER, [field]: value })) as unknown);
  const list = fc.array(
    fc.oneof(odd, fc.record({ relay_id: odd, endpoints: fc.oneof(odd, fc.array(fc.string())) })),
  );
  return fc.oneof(changed, list, odd, fc.record({ ok: odd }));
}

function checkAnswer(body: unknown): void {
  attempt(() => {
    const { heartbeatIntervalMs, publicKey, keyId } = parseRegisterAnswer(body);
    assert.ok(
      heartbeatIntervalMs >= MIN_HEARTBEAT_INTERVAL_MS && heartbeatIntervalMs <= MAX_HEARTBEAT_INTERVAL_MS,
    );
    assert.equal(publicKey.length, 32);
    assert.deepEqual([...publicKey], (body as typeof GOOD_ANSWER).master_public_key);
    assert.ok(keyId === undefined || /^[^\p{Cc}\p{Zl}\p{Zp}]{1,128}$/u.test(keyId));
  });
  attempt(() => {
    checkHeartbeatAnswer(body);
    assert.equal((body as { ok: unknown }).ok, true);
  });
  attempt(() => {
    for (const { relayId, endpoints } of parseRelayList(body)) {
      assert.equal(typeof relayId, 'string');
      assert.ok(endpoints.every((endpoint) => typeof endpoint === 'string'));
    }
  });
}

/** Refusing is fine, in words; a wrong assertion is not. */
function attempt(take: () => void): void {
  try {
    take();
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    assert.ok(error instanceof Error && error.constructor === Error, String(error));
    assert.match(error.message, /^[^\r\n]{1,300}$/);
  }
}

function response(): fc.Arbitrary<Uint8Array> {
  const body = fc.oneof(
    answer().map((value) => Buffer.from(JSON.stringify(value) ?? '')),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.nat({ max: 200_000 }).map((length) => Buffer.alloc(length, '[')),
    fc.constant(Buffer.from(`you sent Bearer ${TOKEN}\r\nand more`)),
  );
  const status = fc.oneof(
    { weight: 3, arbitrary: fc.constant(200) },
    { weight: 2, arbitrary: fc.integer({ min: 100, max: 999 }) },
  );
  const header = fc.oneof(
    fc.constantFrom(
      'Content-Type: application/json',
      'Location: http://127.0.0.1:9/elsewhere',
      'Content-Length: 99999999999999999999',
      'Content-Encoding: gzip',
      'Transfer-Encoding: chunked',
      'Connection: Upgrade',
    ),
    fc.stringMatching(/^[A-Za-z-]{1,10}: [ -~]{0,40}$/),
  );
  const http = fc
    .tuple(status, fc.array(header, { maxLength: 3 }), body, fc.boolean())
    .map(([code, headers, content, sized]) => {
      const length = sized ? [`Content-Length: ${content.length}`] : [];
      const head = [`HTTP/1.1 ${code} Status`, ...headers, ...length, '', ''].join('\r\n');
      return new Uint8Array(Buffer.concat([Buffer.from(head, 'latin1'), content]));
    });
  return fc.oneof(
    { weight: 6, arbitrary: http },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  );
}

interface RawServer {
  readonly url: URL;
  /** Sent to whoever asks next, then the connection ends. */
  answerWith(bytes: Uint8Array): void;
  close(): Promise<void>;
}

async function startRawServer(): Promise<RawServer> {
  let answerBytes = new Uint8Array(0);
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answerBytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}/`),
    answerWith: (bytes) => (answerBytes = new Uint8Array(bytes)),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function checkCall(master: RawServer, call: (typeof CALLS)[number], bytes: Uint8Array): Promise<void> {
  master.answerWith(bytes);
  const client = new MasterClient({
    url: master.url,
    token: TOKEN,
    tokenFile: undefined,
    timeoutMs: TIMEOUT_MS,
  });
  const { signal } = new AbortController();
  try {
    if (call === 'register') {
      const relay = {
        relayId: 'relay',
        endpoints: ['203.0.113.7:4000'],
        region: undefined,
        asn: undefined,
        maxSessions: 1,
        maxBitrateKbps: 20_000,
      };
      await client.register(relay, signal);
    } else if (call === 'heartbeat') await client.heartbeat('relay', 0, signal);
    else await client.list(signal);
  } catch (error) {
    assert.ok(error instanceof MasterError, String(error));
    assert.match(error.message, /^[^\r\n]{1,700}$/);
    // The list is asked for without a token.
    assert.ok(call === 'list' || !error.message.includes(TOKEN), 'the token is shown');
  }
}
