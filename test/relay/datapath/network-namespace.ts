import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Runs a script of this folder in a network namespace of its own, where it may change the loopback interface, and gives
 * back what it printed as JSON. As root `unshare -n`, else with a user namespace.
 */
export function runInNamespace(script: string, setup: readonly string[]): unknown {
  const flags = process.getuid?.() === 0 ? ['-n'] : ['-Urn'];
  const file = fileURLToPath(new URL(script, import.meta.url));
  const shell = `${setup.join(' && ')} && exec "$0" "$1"`;
  const run = spawnSync('unshare', [...flags, 'sh', '-c', shell, process.execPath, file], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (run.error) throw run.error;
  if (run.status !== 0) throw new Error(`${script} ended with ${run.status ?? run.signal}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}
