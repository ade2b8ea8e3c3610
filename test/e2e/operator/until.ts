import { setTimeout as sleep } from 'node:timers/promises';

/** Far longer than anything takes that is waited for, on a busy machine too. */
const PATIENCE_MS = 90_000;

/**
 * Asks again and again until `check` gives something other than undefined or false.
 *
 * @throws Error with `what` and the last failure when it never does.
 */
export async function until<Result>(
  what: string,
  check: () => Promise<Result | undefined | false> | Result | undefined | false,
  patienceMs: number = PATIENCE_MS,
): Promise<Result> {
  const deadline = performance.now() + patienceMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const result = await check();
      if (result !== undefined && result !== false) return result;
      last = result;
    } catch (error) {
      last = error instanceof Error ? error.message : error;
    }
    await sleep(100);
  }
  throw new Error(`waited ${patienceMs / 1000} s for: ${what} (last: ${String(last)})`);
}
