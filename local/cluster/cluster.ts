import { execFile, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { MAX_NODES } from './addresses.ts';
import { CONTROL_PLANE_BINARIES, findBinaries, type BinaryProgress } from './binaries.ts';
import { ByteRelay } from './byte-relay.ts';
import { findCommands, type Commands } from './commands.ts';
import type { ComponentName, ControlPlaneSettings } from './control-plane.ts';
import type { NodeState } from './node-agent/agent.ts';
import type { ImageMap } from './node-agent/images.ts';
import type { NodeOptions } from './node-agent/node.ts';
import { isRoot, SupervisorLink } from './supervisor-link.ts';
import type { SupervisorSetup } from './supervisor-protocol.ts';
import { Undertaker } from './undertaker.ts';

export interface ClusterOptions extends Omit<ControlPlaneSettings, 'auditPolicyFile'> {
  /** How many nodes (`node-1` …), or what they are like. Default: 2. */
  nodes?: number | readonly NodeOptions[];
  /** What stands in for images. Can be changed later with `setImages`. */
  images?: ImageMap;
  /** First and longest pause between a container's restarts, seconds. Default: 10 and 300, as the kubelet's. */
  restartBackOff?: { base: number; max: number };
  /** Keeps the logs of the components here; otherwise they go with the cluster. */
  logDirectory?: string;
  /** Writes every request (without bodies) to `audit.log` beside the other logs. */
  auditLog?: boolean;
  onProgress?: (progress: BinaryProgress) => void;
  /** Told when a component ends by itself. Default: written to standard error. */
  onTrouble?: (message: string) => void;
  /** Ends a build of the binaries. */
  signal?: AbortSignal;
}

/** A running cluster. Everything of it is in one folder and its own namespaces; `stop` leaves nothing behind. */
export interface Cluster {
  readonly directory: string;
  readonly logDirectory: string;
  /** `https://127.0.0.1:port`, reachable from this machine. */
  readonly server: string;
  /** For clients on this machine: administrator of the cluster. */
  readonly kubeconfig: string;
  /** The same for clients inside the cluster's network. */
  readonly kubeconfigInside: string;
  readonly binaries: Readonly<Record<(typeof CONTROL_PLANE_BINARIES)[number], string>>;

  /**
   * Runs kubectl as administrator and resolves with what it prints.
   *
   * @throws Error with kubectl's own message.
   */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /**
   * Starts a command in the cluster's network, outside of all nodes: at 198.18.0.1, or any address of 198.18.0.0/15 it
   * binds that is no node's (198.19.0.0/16 for example). It ends with the cluster.
   */
  spawn(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** The same, to its end. @throws Error when it fails. */
  exec(command: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }>;

  stopComponent(name: ComponentName, signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it serves again. */
  startComponent(name: ComponentName): Promise<void>;
  /** Stops with SIGTERM, or the given signal, and starts again. */
  restart(name: ComponentName, signal?: NodeJS.Signals): Promise<void>;
  setImages(images: ImageMap): Promise<void>;
  setNodeState(node: string, state: NodeState): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a cluster: real etcd, kube-apiserver, kube-controller-manager and kube-scheduler, and a node agent in place of
 * kubelets. Several can run at once.
 *
 * @throws Error saying in one line what is missing where there can be none (not Linux, no binaries and no Go, …).
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const commands = findCommands();
  const nodes = nodeOptions(options.nodes ?? 2);
  const binaries = await findBinaries(CONTROL_PLANE_BINARIES, {
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  });

  const directory = mkdtempSync(join(tmpdir(), 'wavry-cluster-'));
  const undertaker = new Undertaker(commands.sh, directory);
  const apiSocket = join(directory, 'api.sock');
  const relay = new ByteRelay({ path: apiSocket });
  const server = `https://127.0.0.1:${await relay.listen({ host: '127.0.0.1', port: 0 })}`;
  const logs = options.logDirectory ?? join(directory, 'logs');
  mkdirSync(logs, { recursive: true });

  const setup: SupervisorSetup = {
    directory,
    logs,
    binaries,
    nodes,
    apiSocket,
    server,
    images: options.images ?? {},
    settings: settingsOf(options, directory),
    restartBackOff: {
      baseMs: (options.restartBackOff?.base ?? 10) * 1000,
      maxMs: (options.restartBackOff?.max ?? 300) * 1000,
    },
  };
  const link = new SupervisorLink(
    setup,
    commands,
    options.onTrouble ?? ((message) => console.error(message)),
  );
  const cluster = new LocalCluster({ setup, link, relay, undertaker, commands, binaries });
  try {
    undertaker.watch(await link.pid);
    await link.ready();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

interface Parts {
  setup: SupervisorSetup;
  link: SupervisorLink;
  relay: ByteRelay;
  undertaker: Undertaker;
  commands: Commands;
  binaries: Cluster['binaries'];
}

class LocalCluster implements Cluster {
  readonly directory: string;
  readonly logDirectory: string;
  readonly server: string;
  readonly kubeconfig: string;
  readonly kubeconfigInside: string;
  readonly binaries: Cluster['binaries'];
  readonly #parts: Parts;
  readonly #children = new Set<ChildProcess>();
  #pid = 0;
  #stopped: Promise<void> | undefined;

  constructor(parts: Parts) {
    const { directory, logs, server } = parts.setup;
    this.#parts = parts;
    this.directory = directory;
    this.logDirectory = logs;
    this.server = server;
    this.kubeconfig = join(directory, 'kubeconfig');
    this.kubeconfigInside = join(directory, 'inside.kubeconfig');
    this.binaries = parts.binaries;
    parts.link.pid.then(
      (pid) => (this.#pid = pid),
      () => undefined,
    );
  }

  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const line = [`--kubeconfig=${this.kubeconfig}`, ...args];
    return (await finish(this.binaries.kubectl, line, input)).stdout;
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const { nsenter } = this.#parts.commands;
    const child = spawn(nsenter, this.#enter(command, args), {
      ...options,
      env: { ...(options.env ?? process.env), KUBECONFIG: this.kubeconfigInside },
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  async exec(command: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return finish(this.#parts.commands.nsenter, this.#enter(command, args));
  }

  async stopComponent(name: ComponentName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#parts.link.request({ kind: 'stopComponent', name, signal });
  }

  async startComponent(name: ComponentName): Promise<void> {
    await this.#parts.link.request({ kind: 'startComponent', name });
  }

  async restart(name: ComponentName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.stopComponent(name, signal);
    await this.startComponent(name);
  }

  async setImages(images: ImageMap): Promise<void> {
    await this.#parts.link.request({ kind: 'setImages', images });
  }

  async setNodeState(node: string, state: NodeState): Promise<void> {
    await this.#parts.link.request({ kind: 'setNodeState', node, state });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { link, relay, undertaker } = this.#parts;
    const children = [...this.#children].map(
      (child) => new Promise((resolve) => child.once('exit', resolve)),
    );
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(children);
    await link.end();
    await relay.close();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 10 });
    await undertaker.dismiss();
  }

  /** nsenter executes, so the child is the command itself; entering a user namespace clears what setpriv then sets. */
  #enter(command: string, args: readonly string[]): string[] {
    const user = isRoot() ? [] : ['--user', '--preserve-credentials'];
    const dies = [this.#parts.commands.setpriv, '--pdeathsig', 'KILL'];
    return [`--target=${this.#pid}`, ...user, '--net', '--', ...dies, command, ...args];
  }
}

function nodeOptions(nodes: number | readonly NodeOptions[]): readonly NodeOptions[] {
  const list =
    typeof nodes === 'number'
      ? Array.from({ length: nodes }, (_, index) => ({ name: `node-${index + 1}` }))
      : nodes;
  if (list.length > MAX_NODES)
    throw new Error(`a local cluster has at most ${MAX_NODES} nodes, not ${list.length}`);
  return list;
}

function settingsOf(options: ClusterOptions, directory: string): ControlPlaneSettings {
  const { hpaSyncPeriod, hpaDownscaleStabilization, nodeMonitorGracePeriod, extraFlags } = options;
  const auditPolicyFile = join(directory, 'audit-policy.json');
  if (options.auditLog)
    writeFileSync(
      auditPolicyFile,
      JSON.stringify({
        apiVersion: 'audit.k8s.io/v1',
        kind: 'Policy',
        omitStages: ['RequestReceived'],
        rules: [{ level: 'Metadata' }],
      }),
    );
  return {
    ...(hpaSyncPeriod === undefined ? {} : { hpaSyncPeriod }),
    ...(hpaDownscaleStabilization === undefined ? {} : { hpaDownscaleStabilization }),
    ...(nodeMonitorGracePeriod === undefined ? {} : { nodeMonitorGracePeriod }),
    ...(extraFlags ? { extraFlags } : {}),
    ...(options.auditLog ? { auditPolicyFile } : {}),
  };
}

function finish(
  command: string,
  args: readonly string[],
  input?: string,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr.trim() || error.message));
      else resolve({ stdout, stderr });
    });
    // A command that fails at once doesn't read its input.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}
