import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';

import { freePort } from '../../../local/demo/free-port.ts';
import { RelayProcess } from '../../../local/demo/relay-process.ts';
import { cut } from '../../../local/demo/screen.ts';
import type { Scene } from '../../../local/demo/view.ts';
import { DROP_REASONS, drawLine, drawView, sparkline } from '../../../local/demo/view.ts';
import { Tally } from '../../../local/peers/tally.ts';
import { emptyFolder, start } from './fixtures/start.ts';

const CLEAR = (_style: string, text: string): string => text;
const LATENCY = { count: 10, p50: 0.052, p90: 0.1, p99: 1.25, p99_9: 2, max: 3 };

function scene(change: { lost?: number; metrics?: Scene['metrics'] | null } = {}): Scene {
  const tally = new Tally();
  tally.sent = 1_234_567;
  tally.received = 1_234_567;
  tally.receivedBytes = 1_481_480_400;
  return {
    masterUrl: 'http://127.0.0.1:8080',
    masterKeyId: 'k0123456789abcdef',
    relayAddress: '127.0.0.1:4000',
    healthUrl: 'http://127.0.0.1:9091',
    packetBytes: 1200,
    peers: {
      phase: 'talking',
      seconds: 617,
      sessions: { wanted: 1, established: 1, failed: 0 },
      failures: {},
      tally: tally.counts(),
      lost: change.lost ?? 0,
      skipped: 0,
      recent: LATENCY,
      overall: LATENCY,
    },
    second: { packets: 2004, bytes: 2_404_800, lost: change.lost ?? 0, bad: 0 },
    metrics:
      change.metrics === null ? undefined : (change.metrics ?? { packets_rx: 1_234_600, active_sessions: 1 }),
    cost: { cpuPercent: 3.04, residentBytes: 120_000_000 },
    history: Array.from({ length: 100 }, (_, i) => i / 10),
  };
}

test('the view fits 80 columns and 24 rows, and shows what it is asked to', () => {
  const reasons = Object.fromEntries(DROP_REASONS.map((name, i) => [name, 1_000_000 + i]));
  for (const one of [
    scene(),
    scene({ lost: 12_345 }),
    scene({ metrics: reasons }),
    scene({ metrics: null }),
  ]) {
    const lines = drawView(one, CLEAR);
    assert.ok(lines.length <= 22);
    for (const line of lines) assert.ok(line.length <= 79, line);
  }
  const text = drawView(scene(), CLEAR).join('\n');
  for (const shown of [
    '10:17',
    '2,004 /s',
    '19.2 Mbit/s',
    '0.052 ms',
    '1.25 ms',
    'CPU 3.0 %',
    '1 of 1 session',
    'none',
  ]) {
    assert.ok(text.includes(shown), shown);
  }
});

test('figures and units stand below each other', () => {
  const rows = drawView(scene({ lost: 3 }), CLEAR).filter((line) =>
    /^ (packets|bandwidth|latency|lost)/.test(line),
  );
  assert.equal(rows.length, 5);
  for (const line of rows) {
    assert.match(line.slice(0, 31), /\d $/, line);
    assert.match(line.slice(0, 65), /\d $/, line);
  }
});

test('what is wrong is painted red, what is right is not', () => {
  const painted = (one: Scene): string[] => {
    const red: string[] = [];
    drawView(one, (style, text) => {
      if (style === 'red') red.push(text);
      return text;
    });
    return red;
  };
  assert.deepEqual(painted(scene()), []);
  assert.match(painted(scene({ lost: 7 })).join(), /\b7\b/);
  assert.deepEqual(painted(scene({ metrics: { replay_dropped_packets: 3, invalid_packets: 40 } })), [
    'invalid 40, replay 3',
  ]);
});

test('the line for logs says the same', () => {
  assert.equal(
    drawLine(scene()),
    ' 617 s   2,004 pkt/s  19.2 Mbit/s  p50 0.052 p99 1.25 ms  lost 0  sessions 1  relay CPU 3.0 %  drops none',
  );
  assert.match(drawLine(scene({ metrics: null })), /drops unknown$/);
});

test('a sparkline is as high as its highest value and as wide as there is room', () => {
  assert.equal(sparkline([1, 8], 10), '▂█ 8.00 ms');
  assert.equal(sparkline(Array<number>(100).fill(1), 20).length, 20 + ' 1.00 ms'.length);
  assert.equal(sparkline([], 10), '');
  assert.equal(sparkline([0, 0], 10), '');
});

test('lines are cut at the width of the terminal, colours not counted', () => {
  assert.equal(cut('abcdef', 3), 'abc');
  assert.equal(cut('\x1b[31mabc\x1b[39mdef', 4), '\x1b[31mabc\x1b[39md');
  assert.equal(cut('▁█ x', 2), '▁█');
});

test('a port in use is not taken', async (t) => {
  for (let tries = 0; tries < 10; tries++) {
    const holder = createSocket('udp4').bind(0, '127.0.0.1');
    t.after(() => holder.close());
    await once(holder, 'listening');
    const { port } = holder.address();
    assert.notEqual(await freePort('udp', port), port);
    // Somebody's TCP may be at that number just now.
    if ((await freePort('tcp', port)) === port) return;
  }
  assert.fail('no TCP port is free whose number UDP has taken');
});

test('a relay that does not start says why in one line', async () => {
  const ended = Promise.withResolvers<string>();
  const relay = new RelayProcess(['--no-such-flag'], '127.0.0.1:9', ended.resolve);
  await assert.rejects(relay.ready(30_000), /^Error: the relay ended: .*no-such-flag/);
  assert.match(await ended.promise, /^the relay ended \(exit 64\): .*no-such-flag/);
  await relay.stop();
});

test('the demo runs the relay, shows it, and leaves nothing behind', async (t) => {
  const temporary = emptyFolder(t);
  const good = /^ +\d+ s +[\d,]+ pkt\/s .* sessions 1 .* drops none$/;
  const { lines, code } = await demo(temporary, [], (line) => good.test(line));
  // It fails when more than one in ten is lost: a machine that stands still for a moment may lose some.
  assert.equal(code, 0, lines.join('\n'));
  assert.match(lines.at(-1)!, /^[\d,]+ lost, 0 duplicated, \d+ reordered, 0 corrupted$/);
  assert.deepEqual(readdirSync(temporary), []);
});

test('after --seconds the demo ends by itself', async (t) => {
  const { lines, code } = await demo(emptyFolder(t), ['--seconds', '0.5'], () => false);
  assert.equal(code, 0, lines.join('\n'));
});

test('Ctrl-C ends the demo, at any time', async (t) => {
  const temporary = emptyFolder(t);
  const running = await demo(temporary, [], (line) => line.includes('pkt/s'));
  assert.equal(running.code, 0, running.lines.join('\n'));
  const starting = await demo(temporary, [], (line) => line.startsWith('Starting'));
  assert.equal(starting.code, 0, starting.lines.join('\n'));
  assert.deepEqual(readdirSync(temporary), []);
});

test('a flag that the demo does not know is one line and exit 64', async (t) => {
  const { lines, code } = await demo(emptyFolder(t), ['--sekonds', '1'], () => false);
  assert.equal(code, 64);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /^demo: .*--sekonds/);
});

/** Runs the demo with `folder` for its temporary files; SIGINT as soon as `interrupt` says so of a line. */
function demo(
  folder: string,
  args: readonly string[],
  interrupt: (line: string) => boolean,
): Promise<{ lines: string[]; code: number | null }> {
  const onLine = (line: string): void => {
    if (interrupt(line)) running.interrupt();
  };
  const running = start(folder, args, {}, onLine, 'local/demo/relay-demo.ts');
  return running.ended;
}
