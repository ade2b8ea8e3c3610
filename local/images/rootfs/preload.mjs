/**
 * Runs before either program in its image (`node --import`), and in each of its threads. It is JavaScript because TypeScript
 * would load the type stripper, which the compile cache is there to avoid (docs/adr/0004).
 */
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  endBeforeTheProgramListens();
  refuseTooLittleMemory();
  shareCompileCache();
}

/**
 * The kernel hides from PID 1 any signal that it has no handler for. A SIGTERM in the first moments would be lost, and the
 * container would only end by SIGKILL when its grace is over: for a relay, after an hour.
 */
function endBeforeTheProgramListens() {
  for (const [name, number] of /** @type {const} */ ([
    ['SIGTERM', 15],
    ['SIGINT', 2],
  ])) {
    process.on(name, () => {
      // The program's own handler is there once it can end in good order.
      if (process.listenerCount(name) === 1) process.exit(128 + number);
    });
  }
}

/** Else the kernel kills the process without a word, perhaps only once it carries sessions. */
function refuseTooLittleMemory() {
  const leastMib = Number(process.env['WAVRY_LEAST_MEMORY_MIB'] ?? 0);
  const limitMib = Math.floor(process.constrainedMemory() / 2 ** 20);
  if (limitMib === 0 || limitMib >= leastMib) return;
  console.error(
    `${process.env['WAVRY_PROGRAM']}: the container's memory limit is ${limitMib} MiB and the program needs at least ${leastMib} MiB: raise it (docker run --memory, or resources.limits.memory of the pod)`,
  );
  process.exit(64);
}

/**
 * Node looks for the compile cache in a folder named after the user id, and the image was made with one such id. Any other
 * (OpenShift gives each namespace its own) gets to it by a symlink in /dev/shm, which containers have even where the root is
 * read-only. Where that can't be made the program starts without the cache: slower, with 40 MB more.
 */
function shareCompileCache() {
  const directory = process.env['NODE_COMPILE_CACHE'];
  const uid = process.getuid?.();
  if (directory === undefined || uid === undefined) return;
  try {
    const name = readdirSync(directory).find((entry) => /-\d+$/.test(entry));
    if (name === undefined || name.endsWith(`-${uid}`)) return;
    const own = mkdtempSync('/dev/shm/wavry-compile-cache-');
    symlinkSync(join(directory, name), join(own, name.replace(/\d+$/, String(uid))));
    process.once('exit', () => rmSync(own, { recursive: true, force: true }));
    process.env['NODE_COMPILE_CACHE'] = own;
    enableCompileCache(own);
  } catch {
    // As said above.
  }
}
