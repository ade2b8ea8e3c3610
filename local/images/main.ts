import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';

import { freePort } from '../demo/free-port.ts';
import { buildImages } from './build.ts';
import { HARDENED, imageConfig, startContainer } from './container.ts';
import { ImagesUnavailableError } from './programs.ts';

/** `npm run images`: builds both images over a base made here, starts the relay's as a cluster would, and says what they cost. */
process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const { base, images } = await buildImages((line) => console.log(line));
    const { bytes } = await imageConfig(base);
    console.log(`\n${base}: ${megabytes(bytes)}, made here in place of the official node image`);
    for (const image of Object.values(images)) {
      const over = (await imageConfig(image)).bytes - bytes;
      console.log(`${image}: ${megabytes(over)} over its base`);
    }
    console.log(await tryRelay(images.relay));
    console.log(`Run it with "podman run … ${images.relay}", or copy it with "podman push".`);
    return 0;
  } catch (error) {
    if (!(error instanceof ImagesUnavailableError)) throw error;
    console.error(`npm run images: ${error.message}`);
    return 1;
  }
}

/** Starts it, waits until it listens, ends it. @throws Error unless it ends in good order */
async function tryRelay(image: string): Promise<string> {
  const health = `127.0.0.1:${await freePort('tcp', 0)}`;
  const began = performance.now();
  const container = startContainer(image, {
    options: HARDENED,
    args: ['--listen=127.0.0.1:0', `--health-listen=${health}`, '--workers=1'],
  });
  try {
    const ended = new Promise<number | null>((resolve) => container.child.once('close', resolve));
    container.child.stderr!.pipe(process.stderr);
    let startMs = 0;
    let memory = '';
    for await (const line of createInterface({ input: container.child.stdout! })) {
      if (!/Relay listening on/.test(line)) continue;
      startMs = performance.now() - began;
      await fetch(`http://${health}/metrics/prometheus`);
      const status = readFileSync(`/proc/${await container.pid()}/status`, 'utf8');
      memory = megabytes(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024);
      await container.signal('SIGTERM');
    }
    const code = await ended;
    if (code !== 0 || startMs === 0) throw new Error(`${image}: the relay ended with exit code ${code}`);
    return `${image}: listened after ${(startMs / 1000).toFixed(1)} s, the runtime's part included; ${memory} resident with one worker, idle; SIGTERM ended it with exit code 0`;
  } finally {
    await container.remove();
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
