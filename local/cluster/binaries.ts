import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

export type BinaryName =
  | 'etcd'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubectl'
  | 'helm'
  | 'prometheus'
  | 'prometheus-operator'
  | 'prometheus-config-reloader';

/** What `findBinaries` is doing about one binary; `building` is repeated about once a second. */
export interface BinaryProgress {
  binary: BinaryName;
  state: 'found' | 'building' | 'built';
  /** Since this binary's build began; 0 for one that was found. */
  seconds: number;
}

export interface FindBinariesOptions {
  onProgress?: (progress: BinaryProgress) => void;
  /** Ends a build that is under way. What Go has compiled so far stays in its cache. */
  signal?: AbortSignal;
  /** Defaults to the process's own. */
  env?: NodeJS.ProcessEnv;
}

export const CONTROL_PLANE_BINARIES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
] as const satisfies readonly BinaryName[];

/** Everything that a cluster, its charts and its monitoring may run. */
export const ALL_BINARIES = [
  ...CONTROL_PLANE_BINARIES,
  'helm',
  'prometheus',
  'prometheus-operator',
  'prometheus-config-reloader',
] as const satisfies readonly BinaryName[];

/** No binary and nothing to build it with; the message is one line that says what would bring it. */
export class BinaryUnavailableError extends Error {
  override name = 'BinaryUnavailableError';
}

/**
 * The path of each binary: from KUBEBUILDER_ASSETS, the cache or PATH (each only where its version suits), else built
 * from `local/tools` with the Go toolchain into the cache. Modules come only from the Go module proxy.
 *
 * @throws BinaryUnavailableError where one is neither there nor can be built.
 */
export async function findBinaries<Name extends BinaryName>(
  names: readonly Name[],
  options: FindBinariesOptions = {},
): Promise<Record<Name, string>> {
  const env = options.env ?? process.env;
  const found: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const present = await findPresent(name, env);
    if (present) options.onProgress?.({ binary: name, state: 'found', seconds: 0 });
    found[name] = present ?? (await build(name, env, options));
  }
  return found as Record<Name, string>;
}

const run = promisify(execFile);
const TOOLS = join(import.meta.dirname, '..', 'tools');
const KUBERNETES = 'v1.36.3';
const HELM = 'v3.22.0';
/** What helm's own Makefile sets by its client-go (0.37): without it, rendering offline claims Kubernetes 1.20. */
const HELM_KUBERNETES = ['chartutil', 'lint/rules']
  .map((name) => `helm.sh/helm/v3/pkg/${name}.k8sVersion`)
  .map((prefix) => `-X ${prefix}Major=1 -X ${prefix}Minor=37`)
  .join(' ');
const PROMETHEUS = '3.16.0';
const PROMETHEUS_OPERATOR = '0.85.0';
const VERSION = 'k8s.io/component-base/version';
const KUBERNETES_FLAGS = `-s -w -X ${VERSION}.gitVersion=${KUBERNETES} -X ${VERSION}.gitMajor=1 -X ${VERSION}.gitMinor=36 -X ${VERSION}.gitTreeState=clean`;

interface Recipe {
  /** What helps where there is no Go; completes "install Go, or". */
  instead: string;
  /** Folder of the Go module. */
  module: string;
  package: string;
  ldflags: string;
  /** Build tags, separated by commas. */
  tags?: string;
  /** Arguments that make it print its version, and what that must look like. */
  version: string[];
  suits: RegExp;
}

const CONTROL_PLANE =
  'put etcd and the Kubernetes 1.36 binaries into a folder and name it in KUBEBUILDER_ASSETS';

const kubernetes = (name: string): Recipe => ({
  instead: CONTROL_PLANE,
  module: TOOLS,
  package: `k8s.io/kubernetes/cmd/${name}`,
  ldflags: KUBERNETES_FLAGS,
  version: ['--version'],
  suits: /^Kubernetes v1\.36\./m,
});

const prometheusOperator = (name: string, program: string): Recipe => ({
  instead: `put ${name} of Prometheus Operator ${PROMETHEUS_OPERATOR} on the PATH`,
  module: join(TOOLS, 'prometheus-operator'),
  package: `github.com/prometheus-operator/prometheus-operator/cmd/${program}`,
  ldflags: `-s -w -X github.com/prometheus/common/version.Version=${PROMETHEUS_OPERATOR}`,
  version: ['--version'],
  suits: /version 0\.(8[5-9]|9\d)\./,
});

const RECIPES: Record<BinaryName, Recipe> = {
  etcd: {
    instead: CONTROL_PLANE,
    module: TOOLS,
    package: 'go.etcd.io/etcd/server/v3',
    ldflags: KUBERNETES_FLAGS,
    version: ['--version'],
    suits: /^etcd Version: 3\.[67]\./m,
  },
  'kube-apiserver': kubernetes('kube-apiserver'),
  'kube-controller-manager': kubernetes('kube-controller-manager'),
  'kube-scheduler': kubernetes('kube-scheduler'),
  // The version skew policy lets kubectl be one minor version off.
  kubectl: {
    ...kubernetes('kubectl'),
    version: ['version', '--client'],
    suits: /^Client Version: v1\.3[567]\.\d+$/m,
  },
  helm: {
    instead: 'put helm 3.18 or a later 3.x (https://helm.sh/docs/intro/install) on the PATH',
    module: join(TOOLS, 'helm'),
    package: 'helm.sh/helm/v3/cmd/helm',
    ldflags: `-s -w -X helm.sh/helm/v3/internal/version.version=${HELM} ${HELM_KUBERNETES}`,
    version: ['version', '--short'],
    suits: /^v3\.(1[89]|2\d)\./m,
  },
  // Debian's is of version 2 and without Kubernetes discovery.
  prometheus: {
    instead: 'put Prometheus 3 (https://prometheus.io/download) on the PATH',
    module: join(TOOLS, 'prometheus'),
    package: 'github.com/prometheus/prometheus/cmd/prometheus',
    ldflags: `-s -w -X github.com/prometheus/common/version.Version=${PROMETHEUS}`,
    tags: 'remove_all_sd,enable_kubernetes_sd',
    version: ['--version'],
    suits: /^prometheus, version 3\./m,
  },
  'prometheus-operator': prometheusOperator('prometheus-operator', 'operator'),
  'prometheus-config-reloader': prometheusOperator(
    'prometheus-config-reloader',
    'prometheus-config-reloader',
  ),
};

async function findPresent(name: BinaryName, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const recipe = RECIPES[name];
  const assets = env['KUBEBUILDER_ASSETS'];
  if (assets && (await suits(join(assets, name), recipe))) return join(assets, name);
  // What the cache holds was built from this very recipe: its name says so.
  const cached = join(cacheFolder(recipe, env), name);
  if (executable(cached)) return cached;
  for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean))
    if (await suits(join(folder, name), recipe)) return join(folder, name);
  return undefined;
}

async function suits(path: string, recipe: Recipe): Promise<boolean> {
  if (!executable(path)) return false;
  try {
    const { stdout } = await run(path, recipe.version, { timeout: 10_000 });
    return recipe.suits.test(stdout);
  } catch {
    return false;
  }
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function cacheFolder(recipe: Recipe, env: NodeJS.ProcessEnv): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(recipe.module, file)));
  hash.update(`${recipe.ldflags}\0${process.platform}\0${process.arch}`);
  if (recipe.tags !== undefined) hash.update(`\0${recipe.tags}`);
  const base = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache');
  return join(base, 'wavryrelay', hash.digest('hex').slice(0, 16));
}

async function build(
  name: BinaryName,
  env: NodeJS.ProcessEnv,
  options: FindBinariesOptions,
): Promise<string> {
  const recipe = RECIPES[name];
  try {
    await run('go', ['version'], { env });
  } catch {
    throw new BinaryUnavailableError(
      `no ${name} here and no Go to build it: install Go (https://go.dev/dl), or ${recipe.instead}`,
    );
  }
  const folder = cacheFolder(recipe, env);
  mkdirSync(folder, { recursive: true });
  const target = join(folder, name);

  const began = performance.now();
  const report = (state: BinaryProgress['state']): void =>
    options.onProgress?.({ binary: name, state, seconds: Math.round((performance.now() - began) / 1000) });
  report('building');
  const ticker = setInterval(report, 1000, 'building');
  try {
    await goBuild(recipe, target, env, options.signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw new BinaryUnavailableError(`building ${name} with Go failed: ${(error as Error).message}`);
  } finally {
    clearInterval(ticker);
  }
  report('built');
  return target;
}

/** flock(1) lets one of several processes build while the others wait and then find the result; the kernel frees it. */
const SCRIPT = `
set -e
if [ ! -x "$1" ]; then
  nice -n 10 go build -mod=readonly -trimpath -buildvcs=false -ldflags "$2" -tags "$4" -o "$1.building" "$3"
  mv "$1.building" "$1"
fi`;

async function goBuild(
  recipe: Recipe,
  target: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  // A process group of its own, so that an abort reaches the compilers too.
  const child = spawn(
    'flock',
    [
      `${target}.lock`,
      'sh',
      '-c',
      SCRIPT,
      'build',
      target,
      recipe.ldflags,
      recipe.package,
      recipe.tags ?? '',
    ],
    {
      cwd: recipe.module,
      env: { ...env, CGO_ENABLED: '0', GOVCS: '*:off', GOWORK: 'off' },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)));
  const killGroup = (): void => {
    try {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  };
  signal?.addEventListener('abort', killGroup, { once: true });
  process.once('exit', killGroup);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, ended) => {
        if (code === 0) resolve();
        else reject(new Error(lastLine(errors) || `it was ended by ${ended ?? `exit code ${code}`}`));
      });
    });
  } finally {
    signal?.removeEventListener('abort', killGroup);
    process.removeListener('exit', killGroup);
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
