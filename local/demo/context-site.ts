import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { customResourceDefinition } from '../../operator/api/crd.ts';
import { loadKubeConfig } from '../../operator/controller/kubeconfig.ts';
import { KubeClient } from '../../operator/kube/client.ts';
import { Connection } from '../../operator/kube/connection.ts';
import { isStatus } from '../../operator/kube/kube-error.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import type { Resource } from '../../operator/kube/resource.ts';
import { resourcePath, Resources } from '../../operator/kube/resource.ts';
import type { CommandLine } from './command-line.ts';
import { CRDS } from './crd.ts';
import type { Start } from './crowd-process.ts';
import { FIELD_MANAGER, FLEET } from './fleet.ts';
import { OperatorProcess } from './operator-process.ts';
import type { Site, SiteEvents } from './site.ts';

/**
 * Somebody's cluster: CRD, a namespace of the demo's own, and the operator on this machine.
 *
 * @throws Error in one line when the cluster can't be used.
 */
export async function openContextSite(
  { context, masterUrl, relayImage }: NonNullable<CommandLine['existing']>,
  events: SiteEvents,
  signal: AbortSignal,
): Promise<Site> {
  const { kubeConfig } = loadKubeConfig({ kubeconfig: undefined, context }, process.env);
  const connection = new Connection(kubeConfig);
  const cluster = new ContextCluster(
    new KubeClient(connection, { userAgent: 'wavry-demo' }),
    context,
    events,
    signal,
  );
  const listen = ownAddress(masterUrl);
  try {
    await cluster.prepare();
    const operator = await cluster.startOperator();
    return {
      title: `context ${context}`,
      client: cluster.client,
      namespace: NAMESPACE,
      masterUrl,
      ...(relayImage !== undefined && { relayImage }),
      ...(listen !== undefined && { masterListen: listen, adminToken: randomBytes(16).toString('hex') }),
      start: startHere,
      shellLines: [`kubectl config use-context ${context}`],
      operator: { how: operator },
      close: async () => {
        await cluster.leave();
        await connection.close();
      },
    };
  } catch (error) {
    await cluster.leave().catch(() => undefined);
    await connection.close();
    throw error;
  }
}

/** `ip:port` of Master's URL where that is an address of this machine. */
export function ownAddress(masterUrl: string): string | undefined {
  const { hostname, port } = new URL(masterUrl);
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  if (!own.some(({ address }) => address === host)) return undefined;
  return `${hostname}:${port || '80'}`;
}

const NAMESPACE = 'wavry-demo';
const CRD = 'wavryrelays.wavry.dev';
/** On what the demo made: only that is taken away again. */
const MADE_BY = 'app.kubernetes.io/managed-by';
const LEASE = 'wavry-relay-operator';
/** Twice the operator's own lease duration. */
const LEASE_FRESH_MS = 30_000;
const LEAVE_PATIENCE_MS = 60_000;
const NAMESPACES: Resource = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
};

interface Lease extends KubeObject {
  readonly spec?: { readonly renewTime?: string; readonly holderIdentity?: string };
}

/** What the demo brings into a cluster that isn't its own, and takes away again. */
class ContextCluster {
  readonly client: KubeClient;
  readonly #context: string;
  readonly #events: SiteEvents;
  readonly #signal: AbortSignal;
  #operator: OperatorProcess | undefined;
  #folder: string | undefined;
  #broughtNamespace = false;
  #broughtCrd = false;

  constructor(client: KubeClient, context: string, events: SiteEvents, signal: AbortSignal) {
    this.client = client;
    this.#context = context;
    this.#events = events;
    this.#signal = signal;
  }

  async prepare(): Promise<void> {
    const labels = { [MADE_BY]: FIELD_MANAGER };
    const there = await this.#find(NAMESPACES, NAMESPACE);
    if (there && there.metadata.labels?.[MADE_BY] !== FIELD_MANAGER)
      throw new Error(
        `${this.#context} has a namespace ${NAMESPACE} that is not this demo's: it is left alone`,
      );
    if (there?.metadata.deletionTimestamp !== undefined)
      throw new Error(
        `${this.#context} is still removing the namespace ${NAMESPACE} of an earlier demo: wait for it`,
      );
    const crd = await this.#find(CRDS, CRD);
    if (crd) this.#events.say(`The CRD is there already and left as it is.`);
    else {
      const fresh = customResourceDefinition();
      const metadata = { ...(fresh['metadata'] as object), labels };
      await this.client.apply(CRDS, undefined, CRD, { ...fresh, metadata }, FIELD_MANAGER);
      this.#events.say(`Applied the CRD ${CRD}.`);
    }
    this.#broughtCrd = !crd || crd.metadata.labels?.[MADE_BY] === FIELD_MANAGER;
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } };
    await this.client.apply(NAMESPACES, undefined, NAMESPACE, namespace, FIELD_MANAGER);
    this.#broughtNamespace = true;
  }

  /** Unless one is at work in the cluster. Resolves with how it runs. */
  async startOperator(): Promise<string> {
    const { items } = await this.client.call<{ items: Lease[] }>('GET', resourcePath(Resources.leases), {
      query: { fieldSelector: `metadata.name=${LEASE}` },
      signal: this.#signal,
    });
    const held = items.find(
      ({ spec }) => spec?.holderIdentity && Date.now() - Date.parse(spec.renewTime ?? '') < LEASE_FRESH_MS,
    );
    if (held) return `the one of namespace ${held.metadata.namespace}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'wavry-demo-'));
    const log = join(this.#folder, 'operator.log');
    const flags = [
      `--context=${this.#context}`,
      `--namespaces=${NAMESPACE}`,
      `--lease-namespace=${NAMESPACE}`,
      '--poll-through=proxy',
      '--listen=127.0.0.1:0',
    ];
    this.#operator = new OperatorProcess(startHere, flags, log, this.#events.onEnd);
    const operator = this.#operator;
    process.on('exit', () => operator.killNow());
    this.#events.say(`The operator runs on this machine; its log: ${log}`);
    return 'a process on this machine';
  }

  /** Takes away what the demo brought, and waits for it for a while. */
  async leave(): Promise<void> {
    try {
      if (this.#broughtNamespace) await this.#removeAll();
    } finally {
      await this.#operator?.stop();
      if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #removeAll(): Promise<void> {
    this.#events.say(`Removing the demo from ${this.#context} …`);
    await this.#delete(Resources.wavryRelays, NAMESPACE, FLEET);
    // The garbage collector may take half a minute to hear of a new kind, so what the fleet owns is deleted here.
    await this.client.call('DELETE', resourcePath(Resources.deployments, NAMESPACE));
    const until = performance.now() + LEAVE_PATIENCE_MS;
    // Relays end when their last session has been quiet for long enough. A namespace that is deleted before its pods are
    // gone is looked at again only after half of their grace period.
    while ((await this.#hasPods()) && performance.now() < until) await sleep(500);
    await this.#remove(NAMESPACES, NAMESPACE, until);
    if (!this.#broughtCrd) return;
    const { items } = await this.client.call<{ items: KubeObject[] }>(
      'GET',
      resourcePath(Resources.wavryRelays),
    );
    // A CRD has a finalizer: it goes once the API server no longer serves its kind.
    if (items.length === 0) await this.#remove(CRDS, CRD, until);
    else this.#events.say(`The CRD stays: there are other WavryRelays.`);
  }

  async #remove(resource: Resource, name: string, until: number): Promise<void> {
    await this.#delete(resource, undefined, name);
    while (await this.#find(resource, name)) {
      if (performance.now() > until) {
        const object = `${resource.kind.toLowerCase()} ${name}`;
        this.#events.say(`${this.#context} is still at it: kubectl get ${object} says when it is done.`);
        return;
      }
      await sleep(200);
    }
  }

  async #hasPods(): Promise<boolean> {
    const path = resourcePath(Resources.pods, NAMESPACE);
    const { items } = await this.client.call<{ items: KubeObject[] }>('GET', path);
    return items.length > 0;
  }

  async #find(resource: Resource, name: string): Promise<KubeObject | undefined> {
    try {
      return await this.client.get<KubeObject>(resource, undefined, name);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw new Error(`${this.#context}: ${(error as Error).message}`);
    }
  }

  async #delete(resource: Resource, namespace: string | undefined, name: string): Promise<void> {
    try {
      await this.client.delete(resource, namespace, name);
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
  }
}

/** A group of its own: Ctrl-C at the terminal is the demo's, which then ends things in order. */
const startHere: Start = (command, args, env): ChildProcess =>
  spawn(command, args, { stdio: 'pipe', env, detached: true });
