import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';

/**
 * Lets the relay serve, answer and end once while its image is built, so that the compile cache holds what it needs. An image
 * for another processor is built under qemu, which knows no SO_ATTACH_REUSEPORT_CBPF and so no second worker.
 */
const ATTEMPTS = [
  ['--datapath=mmsg', '--workers=2'],
  ['--datapath=mmsg', '--workers=1'],
  ['--datapath=dgram', '--workers=1'],
];
const APP = join(import.meta.dirname, '..');

process.exitCode = 1;
for (const flags of ATTEMPTS) {
  const code = await serveOnce(flags);
  if (code === 0) {
    process.exitCode = 0;
    break;
  }
  console.error(`${flags.join(' ')}: the relay ended with ${code}`);
}

async function serveOnce(flags: readonly string[]): Promise<number | NodeJS.Signals | null> {
  const relay = spawn(
    process.execPath,
    [
      '--import',
      join(APP, 'images/preload.mjs'),
      join(APP, 'relay/main.ts'),
      '--listen=127.0.0.1:0',
      '--health-listen=127.0.0.1:0',
      '--master-url=http://127.0.0.1:9',
      ...flags,
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
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  return code ?? signal;
}
