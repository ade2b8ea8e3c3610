import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

import { run } from './programs.ts';

export interface ContainerOptions {
  /** podman's own, which are docker's: `--read-only`, `--memory=64m`, `--env=NAME=value` … */
  readonly options?: readonly string[];
  readonly args?: readonly string[];
}

/** A container in the foreground: its output is the child's, and so is its exit code. */
export interface Container {
  readonly name: string;
  readonly child: ChildProcess;
  /** Runs in it, as `docker exec` does. */
  exec(...command: readonly string[]): Promise<string>;
  /** The process id of its PID 1 on this machine, once it runs. */
  pid(): Promise<number>;
  signal(name: NodeJS.Signals): Promise<void>;
  remove(): Promise<void>;
}

/** As strict as a cluster of the "restricted" pod security level runs it, and on the host's network. */
export const HARDENED: readonly string[] = [
  '--network=host',
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
];

/** Starts an image under a real OCI runtime. */
export function startContainer(image: string, { options = [], args = [] }: ContainerOptions = {}): Container {
  const name = `wavryrelay-${randomBytes(6).toString('hex')}`;
  const child = spawn(
    'podman',
    ['run', '--rm', '--pull=never', `--name=${name}`, ...MACHINE, ...options, image, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return {
    name,
    child,
    exec: (...command) => run('podman', ['exec', name, ...command]),
    pid: async () => Number(await run('podman', ['inspect', name, '--format={{.State.Pid}}'])),
    signal: async (signal) => void (await run('podman', ['kill', `--signal=${signal}`, name])),
    remove: async () => void (await run('podman', ['rm', '--force', '--ignore', '--time=0', name])),
  };
}

/** What the image says of itself. */
export async function imageConfig(image: string): Promise<ImageConfig> {
  const [found] = JSON.parse(await run('podman', ['image', 'inspect', image])) as [
    { Size: number; Config: Omit<ImageConfig, 'bytes'>; Healthcheck?: { Test: string[] } },
  ];
  return {
    ...found.Config,
    ...(found.Healthcheck ? { Healthcheck: found.Healthcheck } : {}),
    bytes: found.Size,
  };
}

export interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Env: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck?: { readonly Test: readonly string[] };
  readonly bytes: number;
}

/**
 * runc also runs where both cgroup versions are mounted; health checks are podman's own timers, which need systemd; and
 * podman's own limits are above what an unprivileged machine may give.
 */
const MACHINE: readonly string[] = [
  ...(spawnSync('runc', ['--version']).status === 0 ? ['--runtime=runc'] : []),
  '--no-healthcheck',
  '--ulimit=nofile=4096:4096',
  '--ulimit=nproc=4096:4096',
];
