import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long anything may take before a test gives up; nothing is expected to come near. */
const PATIENCE_MS = 30_000;

export interface RelayProcess {
  readonly pid: number;
  /** What it has printed so far. */
  stdout(): string;
  stderr(): string;
  /** `http://ip:port` of its health server. Waits until it listens. */
  health(): Promise<string>;
  /** `ip:port` for peers. Waits until it listens. */
  address(): Promise<string>;
  ready(): Promise<void>;
  /** The first line of the log that matches. */
  line(pattern: RegExp): Promise<string>;
  get(path: string): Promise<{ status: number; body: string }>;
  json(path: string): Promise<Record<string, unknown>>;
  signal(name: NodeJS.Signals): void;
  /** As when the reader at the other end of a pipe ends. */
  closeOutput(): void;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/**
 * The relay as a process of its own, as users start it, with free loopback ports unless `args` or `env` say otherwise. It sees
 * no variable of this process but PATH. Killed when the test ends.
 */
export function startRelay(
  context: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): RelayProcess {
  const given = [...args, ...Object.keys(env)].join(' ');
  const free = [
    ...(/--listen\b|WAVRY_RELAY_LISTEN/.test(given) ? [] : ['--listen', '127.0.0.1:0']),
    ...(/--health-listen\b|WAVRY_RELAY_HEALTH_LISTEN/.test(given) ? [] : ['--health-listen', '127.0.0.1:0']),
  ];
  const child = spawn(process.execPath, ['relay/main.ts', ...free, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const relay = watchRelay(child);
  context.after(async () => {
    child.kill('SIGKILL');
    await relay.ended;
  });
  return relay;
}

/** Asks until `check` gives something; fails with what it last said after a long while. */
export async function until<T>(
  what: string | (() => string),
  check: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const found = await check();
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error(`gave up waiting for ${typeof what === 'string' ? what : what()}`);
}

/** A relay that runs as `child`, whose output and exit code are its own. */
export function watchRelay(child: ChildProcess): RelayProcess {
  let stdout = '';
  let stderr = '';
  let over = false;
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then(([code, signal]) => {
    over = true;
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });

  const line = (pattern: RegExp): Promise<string> =>
    until(
      () => `${pattern} in the log:\n${stdout}${stderr}`,
      () => {
        const found = stdout.split('\n').find((line) => pattern.test(line));
        if (found === undefined && over) throw new Error(`ended without ${pattern}:\n${stdout}${stderr}`);
        return found;
      },
    );
  const health = async (): Promise<string> =>
    /http:\S+/.exec(await line(/health endpoint listening on http:/))![0];
  const get = async (path: string): Promise<{ status: number; body: string }> => {
    const response = await fetch((await health()) + path);
    return { status: response.status, body: await response.text() };
  };
  return {
    pid: child.pid!,
    stdout: () => stdout,
    stderr: () => stderr,
    health,
    address: async () => /Relay listening on (\S+)/.exec(await line(/Relay listening on /))![1]!,
    ready: () =>
      until(
        () => `/ready to be 200:\n${stdout}${stderr}`,
        async () => ((await get('/ready')).status === 200 ? true : undefined),
      ).then(() => {}),
    line,
    get,
    json: async (path) => JSON.parse((await get(path)).body) as Record<string, unknown>,
    signal: (name) => void child.kill(name),
    closeOutput: () => {
      child.stdout!.destroy();
      child.stderr!.destroy();
    },
    ended,
  };
}
