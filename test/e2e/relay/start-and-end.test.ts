import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';

import { startRelay } from './relay-process.ts';
import { temporaryDirectory } from './traffic.ts';

/** Nobody listens there: Master is away. */
const NO_MASTER = ['--master-url', 'http://127.0.0.1:9'];

// Each test is mostly waiting for a process of its own.
suite('starting and ending a relay', { concurrency: 4 }, () => {
  test('--help and --version print to stdout and exit 0', async (context) => {
    for (const [flag, text] of [
      ['--help', /^Usage: wavry-relay .*--master-public-key HEX/s],
      ['-h', /^Usage: wavry-relay/],
      ['--version', /^wavry-relay \d+\.\d+\.\d+\n$/],
    ] as const) {
      const relay = startRelay(context, [flag]);
      assert.deepEqual(await relay.ended, { code: 0, signal: null });
      assert.match(relay.stdout(), text);
      assert.equal(relay.stderr(), '');
    }
  });

  test('wrong flags and variables are one line on stderr and exit 64', async (context) => {
    for (const [args, env, message] of [
      [
        ['--max-session', '5'],
        {},
        /^wavry-relay: unknown flag --max-session: did you mean --max-sessions\?\n$/,
      ],
      [[], { WAVRY_RELAY_ASN: 'AS5' }, /^wavry-relay: WAVRY_RELAY_ASN "AS5": write a whole number .*\n$/],
      [
        ['--listen', '0.0.0.0:4000'],
        {},
        /^wavry-relay: --listen 0\.0\.0\.0:4000 is open .*WAVRY_RELAY_ALLOW_PUBLIC_BIND=1.*\n$/,
      ],
      [['--master-public-key', '02'.padEnd(64, '0')], {}, /^wavry-relay: .*\n$/],
      [['--master-keys-file', '/nowhere/keys'], {}, /^wavry-relay: \/nowhere\/keys does not exist\n$/],
      [['--advertise', '127.0.0.1:0'], {}, /^wavry-relay: --advertise .*\n$/],
    ] as const) {
      const relay = startRelay(context, args, env);
      assert.deepEqual(await relay.ended, { code: 64, signal: null }, relay.stderr());
      assert.match(relay.stderr(), message);
      assert.equal(relay.stderr().split('\n').length, 2);
    }
  });

  test('fault 10: a busy port for peers ends the start with exit 1 and its name', async (context) => {
    const holder = createSocket('udp4');
    context.after(() => holder.close());
    await new Promise<void>((resolve) => holder.bind(0, '127.0.0.1', resolve));
    const { port } = holder.address();
    const relay = startRelay(context, ['--listen', `127.0.0.1:${port}`, ...NO_MASTER]);
    assert.deepEqual(await relay.ended, { code: 1, signal: null });
    assert.match(relay.stderr(), new RegExp(`^wavry-relay: .*127\\.0\\.0\\.1:${port}.*\\n$`));
  });

  test('fault 10: a busy health port ends the start with exit 1 and its name', async (context) => {
    const holder = createServer().listen(0, '127.0.0.1');
    context.after(() => holder.close());
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    const relay = startRelay(context, ['--health-listen', `127.0.0.1:${port}`, ...NO_MASTER]);
    assert.deepEqual(await relay.ended, { code: 1, signal: null });
    assert.match(
      relay.stderr(),
      new RegExp(`^wavry-relay: --health-listen 127\\.0\\.0\\.1:${port}: another process`),
    );
  });

  test('a state directory that another relay holds, or that is a file, ends the start with exit 1', async (context) => {
    const directory = temporaryDirectory(context);
    const first = startRelay(context, ['--state-dir', directory, ...NO_MASTER]);
    await first.address();
    const second = startRelay(context, ['--state-dir', directory, ...NO_MASTER]);
    assert.deepEqual(await second.ended, { code: 1, signal: null });
    assert.match(second.stderr(), /^wavry-relay: --state-dir .*\n$/);
    const file = join(directory, 'file');
    writeFileSync(file, '');
    const third = startRelay(context, ['--state-dir', file, ...NO_MASTER]);
    assert.deepEqual(await third.ended, { code: 1, signal: null });
    assert.match(third.stderr(), /^wavry-relay: --state-dir .*\n$/);
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`fault 7: ${signal} ends a relay that Master never heard of at once, with exit 0 and a last line of figures`, async (context) => {
      const relay = startRelay(context, NO_MASTER);
      await relay.address();
      await relay.line(/Failed to connect to Master/);
      relay.signal(signal);
      assert.deepEqual(await relay.ended, { code: 0, signal: null });
      assert.match(relay.stdout(), new RegExp(`INFO ${signal}: draining 0 sessions`));
      assert.match(relay.stdout(), /INFO final relay metrics relay_id=\S+ state=drained .*packets_rx=0/);
      assert.equal(relay.stderr(), '');
    });
  }

  test('an error that nobody caught is named in one line and ends the process with exit 1', async (context) => {
    const boom = 'data:text/javascript,setTimeout(() => { throw new Error("boom\\nbang") }, 1000)';
    for (const thrown of [boom, boom.replace('throw', 'Promise.reject(1); throw')]) {
      const relay = startRelay(context, NO_MASTER, {
        NODE_OPTIONS: `--import=${encodeURI(thrown).replaceAll("'", '%27')}`,
      });
      assert.deepEqual(await relay.ended, { code: 1, signal: null }, relay.stderr());
      assert.equal(relay.stderr(), '');
      assert.match(relay.stdout(), /ERROR Unexpected error, ending: Error: boom.*bang at .+$/m);
      assert.match(relay.stdout(), /final relay metrics/);
    }
  });

  test("fault 15: the guide's WAVRY_RELAY_ALLOW_INSECURE_DEV=1 and an empty WAVRY_RELAY_ASN start a relay that warns loudly", async (context) => {
    const relay = startRelay(context, NO_MASTER, {
      WAVRY_RELAY_ALLOW_INSECURE_DEV: '1',
      WAVRY_RELAY_ASN: '',
    });
    await relay.address();
    assert.match(await relay.line(/WARN/), /INSECURE DEVELOPMENT MODE/);
    assert.equal((await relay.json('/health'))['has_master_key'], false);
  });

  test('with --log-format json every line is an object with time, level and message', async (context) => {
    const relay = startRelay(context, [...NO_MASTER, '--log-format', 'json', '--log-level', 'debug']);
    await relay.line(/Failed to connect to Master/);
    relay.signal('SIGTERM');
    assert.deepEqual(await relay.ended, { code: 0, signal: null });
    const lines = relay.stdout().trimEnd().split('\n');
    for (const line of lines) {
      const { timestamp, level, message } = JSON.parse(line) as Record<string, string>;
      assert.match(timestamp!, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.match(level!, /^(?:error|warn|info|debug)$/);
      assert.ok(message);
    }
    assert.ok(lines.length >= 6);
  });

  test('SIGHUP changes nothing', async (context) => {
    const relay = startRelay(context, NO_MASTER);
    await relay.address();
    relay.signal('SIGHUP');
    await relay.line(/INFO SIGHUP changes nothing/);
    assert.equal((await relay.get('/health')).status, 200);
  });

  test('fault 8: without Master the relay forwards nothing new, but says on /health and /ready what it waits for', async (context) => {
    const relay = startRelay(context, NO_MASTER);
    await relay.line(/WARN .*Failed to connect to Master/);
    const health = await relay.get('/health');
    assert.equal(health.status, 200);
    const { state, registered_with_master } = JSON.parse(health.body) as Record<string, unknown>;
    assert.deepEqual([state, registered_with_master], ['starting', false]);
    const ready = await relay.get('/ready');
    assert.equal(ready.status, 503);
    assert.match(JSON.parse(ready.body).reason, /not registered with Master: /);
  });

  test('a reader of its output that goes away does not end the relay', async (context) => {
    const relay = startRelay(context, [...NO_MASTER, '--log-level', 'debug']);
    const health = await relay.health();
    await relay.address();
    relay.closeOutput();
    for (let i = 0; i < 3; i++) {
      relay.signal('SIGHUP');
      assert.equal((await fetch(`${health}/health`)).status, 200);
    }
    relay.signal('SIGTERM');
    assert.deepEqual(await relay.ended, { code: 0, signal: null });
  });
});
