import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';

import * as fc from 'fast-check';

import { createLog } from '../../../relay/control/log.ts';
import type { LogOptions } from '../../../relay/control/log.ts';

type Log = ReturnType<typeof createLog>['log'];

const AT = Date.UTC(2026, 1, 13, 10, 0, 0, 123);

/** Everything that `use` prints. */
async function printed(options: Partial<LogOptions>, use: (log: Log) => void): Promise<string> {
  let text = '';
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk, _encoding, done) => {
      text += String(chunk);
      done();
    },
  });
  const { log, close } = createLog({ level: 'debug', format: 'text', stream, wallMs: () => AT, ...options });
  use(log);
  await close();
  log('error', 'after the end');
  await close();
  return text;
}

test('a text line: time, level, message, fields', async () => {
  const text = await printed({}, (log) => {
    log('info', 'Registered with Master', { url: 'http://m', interval_ms: 5000, ok: true });
    log('warn', 'Failed to connect to Master', { error: 'connect ECONNREFUSED 127.0.0.1:8080', empty: '' });
  });
  assert.equal(
    text,
    '2026-02-13T10:00:00.123Z INFO Registered with Master url=http://m interval_ms=5000 ok=true\n' +
      '2026-02-13T10:00:00.123Z WARN Failed to connect to Master error="connect ECONNREFUSED 127.0.0.1:8080" empty=""\n',
  );
});

test("a packet's line ends in its source address, as the guide's awk '{print $NF}' wants", async () => {
  const text = await printed({}, (log) => log('debug', 'rate limited, packet from 192.0.2.7:4000'));
  assert.equal(text.trimEnd().split(' ').at(-1), '192.0.2.7:4000');
});

test('a JSON line holds the same, and fields cannot take the place of time, level or message', async () => {
  const text = await printed({ format: 'json' }, (log) =>
    log('error', 'state file\nbroken', { path: '/x', level: 'none', message: 'other', timestamp: 1 }),
  );
  assert.equal(text.split('\n').length, 2);
  assert.deepEqual(JSON.parse(text), {
    timestamp: '2026-02-13T10:00:00.123Z',
    level: 'error',
    message: 'state file\nbroken',
    path: '/x',
  });
});

test('only the levels asked for are printed', async () => {
  const all = (log: Log): void => {
    for (const level of ['error', 'warn', 'info', 'debug'] as const) log(level, level);
  };
  for (const [level, count] of [
    ['off', 0],
    ['error', 1],
    ['warn', 2],
    ['info', 3],
    ['debug', 4],
  ] as const) {
    const text = await printed({ level }, all);
    assert.equal(text.split('\n').length - 1, count, level);
  }
});

test('tokens and keys never appear, however they got into a line', async () => {
  const token = 'v4.public.eyJzdWIiOiJjYW5hcnkifQc4n4ry-_.Zm9vdGVy';
  const key = 'C4'.repeat(32);
  for (const format of ['text', 'json'] as const) {
    const text = await printed({ format, secrets: ['s3cret"canary', 'plain-canary', ''] }, (log) => {
      log('debug', `lease ${token}`, { token, header: 'Authorization: Bearer c4n4ry.abc==' });
      log('info', `key ${key} k1=${key.toLowerCase()}`, { key });
      log('warn', 'Master says "s3cret"canary" and plain-canary', { answer: 's3cret"canary' });
    });
    assert.doesNotMatch(text, /c4n4ry|canary|eyJ|Zm9v|(?:C4){4}/i);
    assert.equal(text.split('\n').length, 4);
    assert.match(text, /v4\.public\.\[redacted\]/);
  }
});

test('ids and hashes that are no keys stay readable', async () => {
  const text = await printed({}, (log) =>
    log(
      'info',
      `key k0123456789abcdef of 550e8400-e29b-41d4-a716-446655440000 ${'a'.repeat(63)} ${'b'.repeat(65)}`,
    ),
  );
  assert.doesNotMatch(text, /redacted/);
});

test('any message and field is one line that cannot steer a terminal', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('text' as const, 'json' as const),
      fc.string({ unit: 'binary' }),
      fc.dictionary(
        fc.string({ unit: 'binary' }),
        fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.boolean()),
      ),
      async (format, message, fields) => {
        const text = await printed({ format }, (log) => log('info', message, fields));
        assert.match(text, /^[^\n]+\n$/);
        assert.doesNotMatch(text.slice(0, -1), format === 'text' ? /\p{Cc}/u : /[\n\r\t]/);
        if (format === 'json') JSON.parse(text);
      },
    ),
  );
});
