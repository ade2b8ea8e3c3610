import { ConfigError } from './config-error.ts';
import type { Environment } from './environment.ts';

/** What each worker beyond the first takes, rounded up (bench/README.md). */
const WORKER_MIB = 22;

/**
 * Refuses more workers than fit into the container's memory: else the kernel kills the relay without a word, perhaps only
 * once it carries sessions. WAVRY_LEAST_MEMORY_MIB is what the image needs with one; below that it doesn't get here
 * (local/images/rootfs/preload.mjs).
 *
 * @param limitMib 0 when there is none
 */
export function refuseTooLittleMemory(workers: number, env: Environment, limitMib: number): void {
  const withOne = Number(env['WAVRY_LEAST_MEMORY_MIB'] ?? 0);
  const least = withOne + (workers - 1) * WORKER_MIB;
  if (!(withOne > 0) || limitMib === 0 || limitMib >= least) return;
  throw new ConfigError(
    `the container's memory limit is ${limitMib} MiB and ${workers} workers need at least ${least} MiB: raise it (docker run --memory, or resources.limits.memory of the pod), or have fewer (--workers)`,
  );
}
