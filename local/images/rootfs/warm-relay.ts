import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';

/** Lets the relay serve, answer and end once while its image is built, so that the compile cache holds what it needs. */
const relay = spawn(
  process.execPath,
  [
    '--import',
    '/app/images/preload.mjs',
    '/app/relay/main.ts',
    '--listen',
    '127.0.0.1:0',
    '--health-listen',
    '127.0.0.1:0',
    '--datapath',
    'mmsg',
    '--workers',
    '2',
    '--master-url',
    'http://127.0.0.1:9',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const ended = once(relay, 'exit');
let health = '';
for await (const line of createInterface({ input: relay.stdout })) {
  console.log(line);
  health ||= /health endpoint listening on (http:\S+)/.exec(line)?.[1] ?? '';
  if (!/Relay listening on/.test(line)) continue;
  for (const path of ['/health', '/ready', '/metrics', '/metrics/prometheus'])
    await (await fetch(health + path)).text();
  relay.kill('SIGTERM');
}
const [code] = (await ended) as [number | null];
process.exitCode = code ?? 1;
