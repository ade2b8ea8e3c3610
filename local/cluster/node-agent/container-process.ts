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
  /** Whether it is process 1, or another one is, as in a pod with shareProcessNamespace. */
  ownInit: boolean;
  mounts: readonly Mount[];
  /** Whether /tmp is read-only too. */
  readOnlyRoot: boolean;
  /** Standard output and error are appended here. */
  logFile: string;
}

/**
 * A container: a local process in namespaces of its own (mount, PID, UTS, IPC) and its pod's network. It is process 1
 * there, as in a real container, so a signal it doesn't handle is ignored but for SIGKILL; with shareProcessNamespace it
 * isn't (though each container still has a namespace to itself). All its children end with it. Not enforced: CPU and memory limits, users, groups and capabilities (it runs as the cluster's user).
 */
export class ContainerProcess {
  /** Resolves with its exit code, 128 + number for a signal. */
  readonly exited: Promise<number>;
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
        '--uts',
        '--ipc',
        commands.sh,
        '-ec',
        prepareScript(spec, root, commands),
        'container',
        ...spec.command,
      ],
      { env: spec.env, stdio: ['ignore', log, log, 'pipe'], detached: true, cwd: '/' },
    );
    closeSync(log);
    this.#pid = firstLine(child.stdio[3] as Readable).then((line) => (line ? Number(line) : undefined));
    this.exited = ended(child).then((exitCode) => {
      this.#running = false;
      return exitCode;
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
    const exitCode = await ended(child);
    clearTimeout(timer);
    return { exitCode: late ? undefined : exitCode, output };
  }
}

/**
 * Three shells, one after the other: this one makes the mounts; the next waits outside the container's PID namespace for
 * its first process, whose number and exit code it tells (unshare --fork tells no SIGKILL); the last becomes that
 * process, as soon as it has a /proc of its own.
 */
function prepareScript(spec: ProcessSpec, root: RootFileSystem, commands: Commands): string {
  const { mount, unshare, sh, chroot, env, hostname, sleep } = commands;
  const temporary = quote(`${root.path}/tmp`);
  const { covers, points } = root.arrange(
    spec.mounts.map(({ target, source }) => ({ target, isFolder: isFolder(source) })),
  );
  const lines = [`${hostname} ${quote(spec.hostname)}`, `${mount} -t tmpfs -o mode=1777 tmp ${temporary}`];
  const bind = (source: string, target: string, readOnly: boolean): void => {
    lines.push(`${mount} --bind ${quote(source)} ${quote(target)}`);
    if (readOnly) lines.push(`${mount} -o remount,bind,ro ${quote(target)}`);
  };
  // What stands in for the image may itself lie below the machine's /tmp, which the container's own one hides.
  for (const folder of foldersBelowTmp(spec.command)) {
    lines.push(`mkdir -p ${quote(`${root.path}${folder}`)}`);
    bind(folder, `${root.path}${folder}`, true);
  }
  for (const cover of covers) bind(cover.source, cover.target, true);
  // Outer mounts first, or they would hide the inner ones.
  const order = spec.mounts.map((_, index) => index).sort((a, b) => points[a]!.length - points[b]!.length);
  for (const index of order) {
    const { source, readOnly } = spec.mounts[index]!;
    const target = points[index]!;
    // Only the fresh /tmp lacks its mount points by now.
    const [test, make] = isFolder(source) ? ['-d', 'mkdir -p'] : ['-e', ': >'];
    lines.push(`[ ${test} ${quote(target)} ] || ${make} ${quote(target)}`);
    bind(source, target, readOnly);
  }
  if (spec.readOnlyRoot) lines.push(`${mount} -o remount,bind,ro ${temporary}`);

  // The shells add variables to the environment, and ignore two signals in what they run in the background.
  const clean = '--default-signal=INT,QUIT -u PWD -u OLDPWD -u SHLVL -u _';
  const become = [
    `${mount} -t proc proc ${quote(`${root.path}/proc`)}`,
    `exec ${chroot} ${quote(root.path)} ${env} ${clean} -C ${quote(spec.workingDir)} "$@"`,
  ];
  const run = [`${sh} -ec ${quote(become.join('\n'))} container "$@" 3>&- &`, 'echo $! >&3', 'exec 3>&-'];
  // The first process of a PID namespace is its process 1, and all others end with it.
  const watch = spec.ownInit
    ? [...run, 'wait $!']
    : [
        `${sleep} infinity >/dev/null 2>&1 3>&- &`,
        'init=$!',
        ...run,
        'code=0',
        'wait $! || code=$?',
        'kill -KILL "$init"',
        'exit "$code"',
      ];
  lines.push(`exec ${unshare} --pid ${sh} -c ${quote(watch.join('\n'))} container "$@"`);
  return lines.join('\n');
}

/** The top folders of /tmp that a command's absolute paths lie in. */
function foldersBelowTmp(command: readonly string[]): Set<string> {
  return new Set(command.flatMap((word) => /^\/tmp\/[^/]+(?=\/)/.exec(word)?.[0] ?? []));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('error', () => resolve(128));
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL']));
  });
}

async function firstLine(stream: Readable): Promise<string | undefined> {
  const lines = createInterface({ input: stream });
  for await (const line of lines) return line;
  return undefined;
}
