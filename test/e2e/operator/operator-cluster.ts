import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

import { KubeConfig } from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';

import { findBinaries } from '../../../local/cluster/binaries.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../../../local/cluster/cluster.ts';
import type { ImageMap } from '../../../local/cluster/node-agent/images.ts';
import { OWN_IMAGES } from '../../../local/cluster/own-images.ts';
import type { RelayListing } from '../../../local/master/dev-master.ts';
import type { PeersReport } from '../../../local/peers/report.ts';
import type { Condition, RelayStatus, WavryRelayStatus } from '../../../operator/api/status.ts';
import { KubeClient } from '../../../operator/kube/client.ts';
import { Connection } from '../../../operator/kube/connection.ts';
import { isStatus } from '../../../operator/kube/kube-error.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { type Resource, resourcePath, Resources } from '../../../operator/kube/resource.ts';
import { until } from './until.ts';

export const ROOT: string = join(import.meta.dirname, '../../..');
export const CHART: string = join(ROOT, 'helm/wavry-relay-operator');
export const OPERATOR_NAMESPACE = 'wavry-system';
export const ADMIN_TOKEN = 'admin-of-the-tests';
export const MASTER_URL = 'http://198.18.0.1:8080';

/** The real programs, as what stands in for their images. */
export const IMAGES: ImageMap = OWN_IMAGES;

export interface FleetObject extends KubeObject {
  readonly spec: Readonly<Record<string, unknown>> & { readonly replicas: number };
  readonly status?: WavryRelayStatus;
}

export interface EventObject extends KubeObject {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count?: number;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** A real control plane with what the operator's tests need around it: helm, a Master, peers, a client. */
export class OperatorCluster {
  readonly cluster: Cluster;
  readonly client: KubeClient;
  readonly #helm: string;
  readonly #connection: Connection;
  readonly #children = new Set<ChildProcess>();

  private constructor(cluster: Cluster, helm: string) {
    this.cluster = cluster;
    this.#helm = helm;
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    this.#connection = new Connection(config);
    this.client = new KubeClient(this.#connection, { userAgent: 'wavry-relay-tests' });
  }

  static async start(options: ClusterOptions = {}): Promise<OperatorCluster> {
    const { helm } = await findBinaries(['helm']);
    const cluster = await startCluster({
      images: IMAGES,
      restartBackOff: { base: 1, max: 8 },
      ...options,
    });
    return new OperatorCluster(cluster, helm);
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.#connection.close();
    await this.cluster.stop();
  }

  /** Runs the real helm against the cluster. @throws Error with what helm says. */
  helm(...args: readonly string[]): Promise<string> {
    return runHelm(this.#helm, args, { KUBECONFIG: this.cluster.kubeconfig });
  }

  /** Installs the chart as a person would, and waits until the operator is ready. */
  async installOperator(...args: readonly string[]): Promise<void> {
    await this.helm(
      'install',
      'wavry',
      CHART,
      `--namespace=${OPERATOR_NAMESPACE}`,
      '--create-namespace',
      '--wait',
      '--timeout=200s',
      '--set=replicas=1',
      ...args,
    );
  }

  /** A development Master; one at another port knows nothing of the relays of the first. */
  async startMaster(url: string = MASTER_URL): Promise<void> {
    const child = this.spawn('local/master/main.ts', [
      `--listen=${new URL(url).host}`,
      '--allow-public-bind',
      `--admin-token=${ADMIN_TOKEN}`,
      '--heartbeat-interval-ms=1000',
    ]);
    child.stdout?.resume();
    child.stderr?.resume();
    await until('the Master answers', async () => (await this.fetch(`${url}/health`)) !== '');
  }

  /** A program of this checkout inside the cluster's network, outside of all nodes. */
  spawn(program: string, args: readonly string[]): ChildProcess {
    const child = this.cluster.spawn(process.execPath, [join(ROOT, program), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** GET inside the cluster's network. */
  async fetch(url: string): Promise<string> {
    return (await this.cluster.exec('curl', ['--silent', '--fail', '--max-time', '30', url])).stdout;
  }

  /** POST inside the cluster's network. */
  async post(url: string): Promise<string> {
    const line = ['--silent', '--fail', '--max-time', '30', '--request', 'POST', url];
    return (await this.cluster.exec('curl', line)).stdout;
  }

  /** Relays as the Master lists them. */
  async registry(url: string = MASTER_URL): Promise<RelayListing[]> {
    return JSON.parse(await this.fetch(`${url}/v1/relays`)) as RelayListing[];
  }

  /** Real peers through the relays that the Master hands out, to their end. */
  async peers(...args: readonly string[]): Promise<PeersReport> {
    return this.startPeers(...args).report;
  }

  /** The same; with `--duration=0` they talk until they are stopped. */
  startPeers(...args: readonly string[]): {
    /** Resolves when all sessions are set up and have talked for a second. */
    readonly talking: Promise<unknown>;
    readonly report: Promise<PeersReport>;
    readonly stop: () => Promise<PeersReport>;
  } {
    const child = this.spawn('local/peers/main.ts', [`--master=${MASTER_URL}`, '--json', ...args]);
    let text = '';
    let errors = '';
    child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-10_000)));
    const report = once(child, 'close').then(() => {
      if (text === '') throw new Error(`the peers said nothing: ${errors.slice(-1000)}`);
      return JSON.parse(text) as PeersReport;
    });
    const talking = Promise.race([once(child.stderr!, 'data'), report]);
    // They are awaited later than they may fail.
    report.catch(() => undefined);
    talking.catch(() => undefined);
    return {
      talking,
      report,
      stop: () => {
        child.kill('SIGTERM');
        return report;
      },
    };
  }

  /** kubectl apply of one or several objects. */
  apply(...objects: readonly object[]): Promise<string> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    return this.cluster.kubectl(['apply', '-f', '-'], JSON.stringify(list));
  }

  async list<T extends KubeObject>(
    resource: Resource,
    namespace?: string,
    labelSelector?: string,
  ): Promise<T[]> {
    const list = await this.client.call<{ items: T[] }>('GET', resourcePath(resource, namespace), {
      query: { labelSelector },
    });
    return list.items;
  }

  /** Undefined when it isn't there. */
  async find<T extends KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
  ): Promise<T | undefined> {
    try {
      return await this.client.get<T>(resource, namespace, name);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async fleet(name: string, namespace = 'default'): Promise<FleetObject> {
    return this.client.get<FleetObject>(Resources.wavryRelays, namespace, name);
  }

  /** The fleet once a condition of its present generation is as wanted. */
  async whenCondition(
    name: string,
    type: string,
    wanted: { readonly status?: string; readonly reason?: string; readonly message?: RegExp },
    namespace = 'default',
  ): Promise<FleetObject & { readonly status: WavryRelayStatus }> {
    let last: Condition | undefined;
    return until(
      `${type} of ${name} to be ${JSON.stringify(wanted)} ${String(wanted.message ?? '')}`,
      async () => {
        const fleet = await this.fleet(name, namespace);
        last = fleet.status?.conditions?.find((condition) => condition.type === type);
        const fits =
          last !== undefined &&
          last.observedGeneration === fleet.metadata.generation &&
          (wanted.status === undefined || last.status === wanted.status) &&
          (wanted.reason === undefined || last.reason === wanted.reason) &&
          (wanted.message === undefined || wanted.message.test(last.message));
        if (!fits) throw new Error(JSON.stringify(last ?? fleet.status ?? 'no status'));
        return fleet as FleetObject & { readonly status: WavryRelayStatus };
      },
    );
  }

  /** The relays of a fleet once all that are asked for serve the target revision and nothing else is left. */
  async whenServing(name: string, namespace = 'default'): Promise<readonly RelayStatus[]> {
    const fleet = await until(`all relays of ${name} to serve`, async () => {
      const fleet = await this.fleet(name, namespace);
      const { status } = fleet;
      const relays = status?.relays ?? [];
      if (
        status?.observedGeneration === fleet.metadata.generation &&
        relays.length === fleet.spec.replicas &&
        relays.every((relay) => relay.state === 'Serving' && relay.revision === status?.targetRevision) &&
        status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True'
      )
        return fleet;
      throw new Error(JSON.stringify(status ?? 'no status'));
    });
    return fleet.status?.relays ?? [];
  }

  /** Events about a fleet. */
  async events(name: string, namespace = 'default'): Promise<EventObject[]> {
    return (await this.list<EventObject>(Resources.events, namespace)).filter(
      (event) => event.involvedObject.kind === 'WavryRelay' && event.involvedObject.name === name,
    );
  }

  async whenEvent(
    name: string,
    reason: string,
    message: RegExp,
    namespace = 'default',
  ): Promise<EventObject> {
    return until(`event ${reason} ${String(message)} of ${name}`, async () => {
      const events = await this.events(name, namespace);
      const found = events.find((event) => event.reason === reason && message.test(event.message));
      if (!found) throw new Error(events.map((event) => `${event.reason}: ${event.message}`).join(' | '));
      return found;
    });
  }

  /** The log of the operator that the chart installed. */
  operatorLog(): Promise<string> {
    return this.cluster.kubectl([
      'logs',
      `--namespace=${OPERATOR_NAMESPACE}`,
      'deployment/wavry-wavry-relay-operator',
      '--tail=-1',
    ]);
  }

  /** Of the API server's audit log, each an event as JSON; the last line may be half written, and isn't among them. */
  auditLines(): readonly string[] {
    return readFileSync(join(this.cluster.logDirectory, 'audit.log'), 'utf8').split('\n').slice(0, -1);
  }

  /** Relays end when their drain is over: some seconds after this. */
  async deleteFleet(name: string, namespace = 'default'): Promise<void> {
    await this.cluster.kubectl(['delete', 'wavryrelay', name, `--namespace=${namespace}`]);
  }

  async whenGone(name: string, namespace = 'default'): Promise<void> {
    await until(`nothing to be left of ${name}`, async () => {
      const left = await this.leftovers(name, namespace);
      if (left.length > 0) throw new Error(left.join(', '));
      return true;
    });
  }

  /** Objects that carry the fleet's label, of every kind the operator makes. */
  async leftovers(name: string, namespace = 'default'): Promise<string[]> {
    const lists = await Promise.all(
      MADE.map(async (resource) =>
        (await this.list(resource, namespace, `wavry.dev/fleet=${name}`)).map(
          (object) => `${resource.kind}/${object.metadata.name}`,
        ),
      ),
    );
    return lists.flat();
  }
}

const MADE: readonly Resource[] = [
  Resources.deployments,
  Resources.pods,
  Resources.services,
  Resources.serviceAccounts,
  Resources.configMaps,
  Resources.podDisruptionBudgets,
  Resources.networkPolicies,
];

interface ExampleSpec extends Record<string, unknown> {
  master: { url: string };
}

/** A WavryRelay as its example has it, with what a test changes. */
export function example(
  name: 'laptop' | 'bare-metal' | 'cloud' | 'autoscaling',
  change: (spec: ExampleSpec) => void = () => {},
): { metadata: { name: string }; spec: Record<string, unknown> } {
  const [document] = parseAllDocuments(readFileSync(join(ROOT, 'crds/examples', `${name}.yaml`), 'utf8'));
  const object = document!.toJS() as { metadata: { name: string }; spec: ExampleSpec };
  object.spec.master.url = MASTER_URL;
  change(object.spec);
  return object;
}

/** A fleet of small relays that peers reach at the address of their pods. */
export function fleetOf(
  name: string,
  spec: Readonly<Record<string, unknown>> = {},
  namespace = 'default',
): { metadata: { name: string; namespace: string }; spec: Record<string, unknown> } {
  return {
    apiVersion: 'wavry.dev/v1alpha1',
    kind: 'WavryRelay',
    metadata: { name, namespace },
    spec: {
      size: 'Small',
      replicas: 1,
      exposure: { type: 'PodIP' },
      pod: { resources: { requests: { cpu: '50m' } } },
      drain: { timeout: '5m' },
      ...spec,
      master: { url: MASTER_URL, ...(spec['master'] as object | undefined) },
    },
  } as never;
}

/** Runs helm. @throws Error with what it says. */
export function runHelm(
  helm: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(helm, args, { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(stderr.trim() || stdout.trim() || error.message));
      else resolve(stdout);
    });
  });
}

/** What a load balancer's controller writes. */
export async function giveAddress(
  operator: OperatorCluster,
  service: { readonly metadata: { readonly name: string; readonly namespace?: string } },
  ...ingress: readonly ({ readonly ip: string } | { readonly hostname: string })[]
): Promise<void> {
  const { name, namespace } = service.metadata;
  await operator.client.call('PATCH', resourcePath(Resources.services, namespace, name, 'status'), {
    contentType: 'application/merge-patch+json',
    body: { status: { loadBalancer: { ingress } } },
  });
}
