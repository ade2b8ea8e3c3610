import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { HELP, UsageError, parseCommandLine } from '../../../local/master/command-line.ts';

test('flags become options', () => {
  assert.deepEqual(parseCommandLine([]), {
    listen: '127.0.0.1:8080',
    heartbeatIntervalMs: 5000,
    leaseSeconds: 900,
  });
  const args = '--listen [::1]:9 --token t --admin-token a --key-file k --misbehave never --lease-seconds 60';
  assert.deepEqual(parseCommandLine(args.split(' ')), {
    listen: '[::1]:9',
    heartbeatIntervalMs: 5000,
    leaseSeconds: 60,
    token: 't',
    adminToken: 'a',
    keyFile: 'k',
    misbehave: { kind: 'never' },
  });
});

test('a command line that makes no sense is refused in one line that names the flag', () => {
  for (const [args, names] of [
    [['--nonsense'], '--nonsense'],
    [['stray'], 'stray'],
    [['--listen', 'localhost'], '--listen'],
    [['--listen', '0.0.0.0:8080'], '--allow-public-bind'],
    [['--lease-seconds', '59'], '--lease-seconds'],
    [['--lease-seconds', '3601'], '--lease-seconds'],
    [['--heartbeat-interval-ms', '5s'], '--heartbeat-interval-ms'],
    [['--misbehave', 'sulk'], '--misbehave'],
    [['--token', ' '], 'token'],
  ] as const) {
    assert.throws(
      () => parseCommandLine(args),
      (error) =>
        error instanceof UsageError && error.message.includes(names) && !error.message.includes('\n'),
      args.join(' '),
    );
  }
});

test('every flag is in the help', () => {
  for (const flag of [
    'listen',
    'token',
    'admin-token',
    'heartbeat-interval-ms',
    'lease-seconds',
    'key-file',
  ]) {
    assert.match(HELP, new RegExp(`--${flag} `));
  }
  assert.equal(parseCommandLine(['--help']), null);
});

test('the program serves until SIGTERM, and exits 64 on a bad flag', async () => {
  const child = spawn(process.execPath, ['local/master/main.ts', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = String((await lines.next()).value);
  const url = /^development Master on (http:\/\/127\.0\.0\.1:\d+)$/.exec(first)![1]!;
  assert.equal((await fetch(`${url}/health`)).status, 200);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);

  const wrong = spawn(process.execPath, ['local/master/main.ts', '--nonsense'], { stdio: 'pipe' });
  let complaint = '';
  wrong.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const [code] = (await once(wrong, 'close')) as [number];
  assert.equal(code, 64);
  assert.match(complaint, /^dev-master: .*--nonsense.*\n$/);
});
