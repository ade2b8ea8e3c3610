import { setTimeout } from 'node:timers/promises';

/** Waits for something that real I/O brings about; fails after 20 s, which is for a machine that is busy, not a measure. */
export async function waitUntil(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2000; i++) {
    if (await condition()) return;
    await setTimeout(10);
  }
  throw new Error(`waited 20 s in vain until ${what}`);
}
