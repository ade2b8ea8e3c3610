import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Commands } from '../commands.ts';
import { isFolder, type RootFileSystem } from './root-file-system.ts';
import type { Mount } from './volumes.ts';

export interface ProcessSpec {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  workingDir: string;
  hostname: string;
  /** File of the network namespace to run in. */
  network: string;
  mounts: readonly Mount[];
  /** Whether /tmp is read-only too. */
  readOnlyRoot: boolean;
  /** Standard output and error are appended here. */
  logFile: string;
}

export interface ProcessExit {
  /** 128 + signal when a signal ended it. */
  exitCode: number;
  signal?: number;
}

/**
 * A container: a local process in namespaces of its own (mount, PID, UTS, IPC) and its pod's network. It is process 1
 * there, as in a real container, so a signal it doesn't handle is ignored but for SIGKILL, and all its children end
 * with it. Not enforced: CPU and memory limits, users, groups and capabilities (it runs as the cluster's user).
 */
export class ContainerProcess {
  readonly exited: Promise<ProcessExit>;
  readonly #commands: Commands;
  readonly #env: Readonly<Record<string, string>>;
  readonly #pid: Promise<number | undefined>;
  #running = true;

  constructor(spec: ProcessSpec, root: RootFileSystem, commands: Commands) {
    this.#commands = commands;
    this.#env = spec.env;
    const log = openSync(spec.logFile, 'a', 0o644);
    const child = spawn(
      commands.nsenter,
      [
        `--net=${spec.network}`,
        commands.unshare,
        '--mount',
        '--pid',
        '--uts',
        '--ipc',
        '--fork',
        '--kill-child',
        commands.sh,
        '-ec',
        script(spec, root, commands),
        'container',
        ...spec.command,
      ],
      { env: spec.env, stdio: ['ignore', log, log, 'pipe'], detached: true, cwd: '/' },
    );
    closeSync(log);
    this.#pid = firstLine(child.stdio[3] as Readable).then((line) => (line ? Number(line) : undefined));
    this.exited = ended(child).then((exit) => {
      this.#running = false;
      return exit;
    });
  }

  /** Sends it a signal; nothing happens when it has ended. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const pid = await this.#pid;
    if (pid === undefined || !this.#running) return;
    try {
      process.kill(pid, signal);
    } catch {
      // It ended between the check and the signal.
    }
  }

  /** Runs a command inside, as `kubectl exec` would. Resolves with its exit code, or undefined when it took too long. */
  async exec(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number | undefined; output: string }> {
    const pid = await this.#pid;
    if (pid === undefined || !this.#running) return { exitCode: 1, output: 'the container is not running' };
    const child = spawn(
      this.#commands.nsenter,
      [`--target=${pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd', ...command],
      { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(0, 10_000)));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      // nsenter waits for a child that is in the container: both are in this process group.
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    const { exitCode } = await ended(child);
    clearTimeout(timer);
    return { exitCode: late ? undefined : exitCode, output };
  }
}

/** Runs with the caller's /proc, so it can tell the agent the number it has there before it covers that. */
function script(spec: ProcessSpec, root: RootFileSystem, { mount, chroot, env }: Commands): string {
  const proc = quote(`${root.path}/proc`);
  const temporary = quote(`${root.path}/tmp`);
  const lines = [
    'read -r pid rest < /proc/self/stat',
    'echo "$pid" >&3',
    'exec 3>&-',
    `echo ${quote(spec.hostname)} > /proc/sys/kernel/hostname`,
    `${mount} -t proc proc ${proc}`,
    `${mount} -t tmpfs -o mode=1777 tmp ${temporary}`,
  ];
  const { covers, points } = root.arrange(
    spec.mounts.map(({ target, source }) => ({ target, isFolder: isFolder(source) })),
  );
  for (const cover of covers) lines.push(`${mount} --bind ${quote(cover.source)} ${quote(cover.target)}`);
  // Outer mounts first, or they would hide the inner ones.
  const order = spec.mounts.map((_, index) => index).sort((a, b) => points[a]!.length - points[b]!.length);
  for (const index of order) {
    const { source, readOnly } = spec.mounts[index]!;
    const target = quote(points[index]!);
    // Only the fresh /tmp lacks its mount points by now.
    lines.push(
      isFolder(source) ? `[ -d ${target} ] || mkdir -p ${target}` : `[ -e ${target} ] || : > ${target}`,
    );
    lines.push(`${mount} --bind ${quote(source)} ${target}`);
    if (readOnly) lines.push(`${mount} -o remount,bind,ro ${target}`);
  }
  if (spec.readOnlyRoot) lines.push(`${mount} -o remount,ro ${temporary}`);
  // The shell adds these to the environment.
  const clean = '-u PWD -u OLDPWD -u SHLVL -u _';
  lines.push(`exec ${chroot} ${quote(root.path)} ${env} ${clean} -C ${quote(spec.workingDir)} "$@"`);
  return lines.join('\n');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function ended(child: ChildProcess): Promise<ProcessExit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ exitCode: 128 }));
    child.once('exit', (code, signal) => {
      const number = signal ? constants.signals[signal] : undefined;
      if (number !== undefined) resolve({ exitCode: 128 + number, signal: number });
      else resolve({ exitCode: code ?? 1 });
    });
  });
}

async function firstLine(stream: Readable): Promise<string | undefined> {
  const lines = createInterface({ input: stream });
  for await (const line of lines) return line;
  return undefined;
}
