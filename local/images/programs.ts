import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

/** No program to build or run images with; the message is one line that says what would bring it. */
export class ImagesUnavailableError extends Error {
  override name = 'ImagesUnavailableError';
}

const PROGRAMS = ['buildah', 'podman', 'runc', 'mmdebstrap'] as const;

/** @throws ImagesUnavailableError unless all of them are here. */
export async function requirePrograms(): Promise<void> {
  const present = await Promise.all(
    PROGRAMS.map((program) =>
      execute(program, ['--version']).then(
        () => true,
        () => false,
      ),
    ),
  );
  const missing = PROGRAMS.filter((_, index) => !present[index]);
  if (missing.length > 0)
    throw new ImagesUnavailableError(
      `the images can't be built and run here, ${missing.join(', ')} missing: install the packages buildah, podman, runc, netavark, iptables and mmdebstrap (Debian, Ubuntu)`,
    );
}

const execute = promisify(execFile);

/**
 * Runs a program to its end; each line that it prints goes to `onLine`.
 *
 * @throws Error with its last lines when it fails
 */
export async function run(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void = () => {},
): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let tail = '';
  const take = (text: string): void => {
    tail = (tail + text).slice(-4000);
    for (const line of text.split('\n')) if (line.trim() !== '') onLine(line);
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    take(text);
  });
  child.stderr.setEncoding('utf8').on('data', take);
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  if (code === 0) return output.trim();
  throw new Error(
    `${program} ${args[0] ?? ''} ended with ${code}: ${tail.trim().split('\n').slice(-8).join('\n')}`,
  );
}
