import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { test } from 'node:test';

import { startDevMaster } from '../../../local/master/server.ts';
import { HELP, UsageError, parseCommandLine } from '../../../local/peers/command-line.ts';
import { grouped, ms } from '../../../local/peers/report.ts';
import type { StandInOptions } from './stand-in-relay.ts';
import { startStandInRelay } from './stand-in-relay.ts';

async function master(t: TestContext, options: StandInOptions = {}): Promise<string> {
  const relay = await startStandInRelay(options);
  const master = await startDevMaster();
  t.after(() => Promise.all([relay.close(), master.close()]));
  await fetch(`${master.url}/v1/relays/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ relay_id: 'relay-1', endpoints: [relay.address] }),
  });
  return master.url;
}

async function peers(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, ['local/peers/main.ts', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

test('a run prints a line a second and a summary, and exits 0', async (t) => {
  const url = await master(t);
  const { code, out, err } = await peers('--master', `${url}/`, '--duration', '1.5', '--sessions', '2');
  assert.equal(err, '');
  assert.equal(code, 0);
  const lines = out.trimEnd().split('\n');
  assert.match(
    lines[0]!,
    /^ +\d+ s  2 sessions +[\d,]+ pkt\/s +[\d.]+ Mbit\/s  p50 [\d.]+ p99 [\d.]+ ms  lost 0  bad 0$/,
  );
  assert.match(out, /^sessions {2}2 of 2 set up$/m);
  assert.match(out, /^checked {3}0 lost \(0 %\), 0 duplicated, 0 reordered, 0 corrupted$/m);
  assert.ok(!out.includes('\x1b'), 'no control characters where nobody watches');
});

test('--json prints one document and nothing else on stdout', async (t) => {
  const url = await master(t);
  const { code, out, err } = await peers('--master', url, '--duration', '1.2', '--json', '--bidirectional');
  const report = JSON.parse(out) as Record<string, Record<string, unknown>>;
  assert.equal(code, 0);
  assert.equal(report['ok'], true);
  assert.deepEqual(report['problems'], []);
  assert.deepEqual(Object.keys(report['packets']!), [
    'sent',
    'received',
    'lost',
    'lost_percent',
    'duplicated',
    'reordered',
    'too_late',
    'corrupted',
    'replayed',
    'trains_skipped',
  ]);
  assert.deepEqual(Object.keys(report['latency_ms']!), ['count', 'p50', 'p90', 'p99', 'p99_9', 'max']);
  assert.equal(report['packets']!['sent'], report['packets']!['received']);
  assert.match(err, / pkt\/s /);
});

test('loss beyond --max-loss makes the exit code 1', async (t) => {
  let n = 0;
  const url = await master(t, {
    fate: (datagram) => (datagram.length === 1200 && ++n % 5 === 0 ? [] : undefined),
  });
  const strict = await peers('--master', url, '--duration', '0.5');
  assert.equal(strict.code, 1);
  assert.match(strict.out, /^problem {3}[\d.]+ % of the packets were lost, 0 % are allowed$/m);
  assert.equal((await peers('--master', url, '--duration', '0.5', '--max-loss', '50')).code, 0);
});

test('bad leases are checked from the command line as well', async (t) => {
  const url = await master(t, { reject: 2 });
  const { code, out } = await peers('--master', url, '--bad-lease', 'wrong-signature');
  assert.equal(code, 0, out);
  assert.match(out, /^got {7}2 rejected \(invalid signature\), 0 not answered, 0 accepted$/m);
  assert.equal((await peers('--master', url, '--bad-lease', 'wrong-relay')).code, 1);
});

test('a Master that is not there is one clear line and exit 1', async () => {
  const { code, out, err } = await peers('--master', 'http://127.0.0.1:9', '--duration', '1');
  assert.deepEqual([code, out], [1, '']);
  assert.match(err, /^peers: no answer from Master at http:\/\/127\.0\.0\.1:9: .+\n$/);
});

test('a command line that makes no sense is one line and exit 64', async () => {
  const { code, err } = await peers('--sesions', '3');
  assert.equal(code, 64);
  assert.match(err, /^peers: .*--sesions.*\n$/);
  for (const [args, names] of [
    ['--size 37', '--size'],
    ['--size 1501', '--size'],
    ['--sessions 0', '--sessions'],
    ['--sessions 1e3', '--sessions'],
    ['--rate -1', '--rate'],
    ['--behaviour polite', '--behaviour'],
    ['--bad-lease odd', '--bad-lease'],
    ['--flood everything', '--flood'],
    ['--flood-rate 5', '--flood'],
    ['--relay 127.0.0.1:1', '--relay-id'],
    ['--relay x --relay-id r --master-key-file f', '--relay'],
    ['--relay 127.0.0.1:1 --relay-id r --master-key-file f --master http://x', '--master'],
    ['--master localhost', '--master'],
    ['--bind localhost', '--bind'],
    ['--max-loss 101', '--max-loss'],
    ['stray', 'stray'],
  ] as const) {
    assert.throws(
      () => parseCommandLine(args.split(' ')),
      (error) =>
        error instanceof UsageError && error.message.includes(names) && !error.message.includes('\n'),
      args,
    );
  }
});

test('a session may send what it is asked to', () => {
  assert.equal(parseCommandLine([])!.peers.hardKbps, 100_000);
  assert.ok(parseCommandLine(['--rate', '20000', '--bidirectional'])!.peers.hardKbps! >= 384_000);
  assert.equal(parseCommandLine(['--hard-kbps', '2000'])!.peers.hardKbps, 2000);
});

test('every flag is in the help, and its lines fit a terminal', async () => {
  for (const flag of Object.keys(parseableFlags())) assert.match(HELP, new RegExp(`--${flag}\\b`), flag);
  for (const line of HELP.split('\n')) assert.ok(line.length <= 100, line);
  assert.equal(parseCommandLine(['--help']), null);
});

test('numbers are written to be read', () => {
  assert.equal(grouped(1_234_567), '1,234,567');
  assert.deepEqual([0.0432, 1.254, 12.34, 113.4].map(ms), ['0.043', '1.25', '12.3', '113']);
});

function parseableFlags(): Record<string, string> {
  const flags = [
    'master',
    'relay',
    'relay-id',
    'master-key-file',
    'lease-seconds',
    'hard-kbps',
    'sessions',
    'rate',
    'size',
  ];
  flags.push(
    'duration',
    'trains',
    'bidirectional',
    'setup-rate',
    'bind',
    'behaviour',
    'renew-seconds',
    'rebind-after',
  );
  flags.push(
    'bad-lease',
    'replay',
    'copied-token',
    'flood',
    'flood-rate',
    'flood-addresses',
    'max-loss',
    'json',
    'help',
  );
  return Object.fromEntries(flags.map((flag) => [flag, '']));
}
