import { readFileSync } from 'node:fs';
import { KUBERNETES_SERVICE_ADDRESS } from '../addresses.ts';
import type { Commands } from '../commands.ts';
import type { Network } from '../network.ts';
import type { KeyPair } from '../pki.ts';
import { ApiClient } from './api-client.ts';
import { EventRecorder } from './event-recorder.ts';
import { findImage, type ImageMap } from './images.ts';
import { KubeletServer } from './kubelet-server.ts';
import { Node, type NodeObject, type NodeOptions } from './node.ts';
import { PodNetwork } from './pod-network.ts';
import type { PodRuntime } from './pod-runtime.ts';
import { PodWorker } from './pod-worker.ts';
import { Reflector } from './reflector.ts';
import type { ConfigMap, Pod, Secret } from './resources.ts';
import { RootFileSystem } from './root-file-system.ts';
import { StatusWriter } from './status-writer.ts';
import { TokenCache } from './tokens.ts';

export interface AgentOptions {
  server: string;
  caFile: string;
  identity: KeyPair;
  /** What the nodes show who asks for logs. */
  serving: KeyPair;
  nodes: readonly NodeOptions[];
  images: ImageMap;
  directory: string;
  network: Network;
  commands: Commands;
  /** Where pods find the API server if there are no Services: otherwise it is the Service `kubernetes`, as usual. */
  apiServer: { host: string; port: number };
  heartbeatMs: number;
  backOff: { baseMs: number; maxMs: number };
  onTrouble: (message: string) => void;
}

/**
 * `up` is a machine with a kubelet; `disconnected` one whose kubelet doesn't reach the API server while its pods go on;
 * `down` one that has lost power.
 */
export type NodeState = 'up' | 'disconnected' | 'down';

/**
 * In place of kubelets: registers the nodes, runs the pods bound to them as local processes, and reports their state.
 * As little of a kubelet as that takes; what it does, it does as a kubelet would.
 *
 * There is none of: limits on CPU and memory, users, groups and capabilities of a security context, postStart hooks,
 * `kubectl exec`, `attach` and `port-forward`, persistent volumes, ephemeral containers, cluster DNS.
 */
export class NodeAgent {
  readonly #options: AgentOptions;
  readonly #client: ApiClient;
  readonly #tokens: TokenCache;
  readonly #events: EventRecorder;
  readonly #statuses: StatusWriter;
  readonly #root: RootFileSystem;
  readonly #nodes: ReadonlyMap<string, Node>;
  readonly #states = new Map<string, NodeState>();
  readonly #servers: KubeletServer[] = [];
  /** By the pod's UID. */
  readonly #workers = new Map<string, PodWorker>();
  readonly #nodeObjects: Reflector<NodeObject>;
  readonly #pods: Reflector<Pod>;
  readonly #configMaps: Reflector<ConfigMap>;
  readonly #secrets: Reflector<Secret>;
  readonly #network: PodNetwork;
  /** Where pods find the API server. */
  #apiServer: { host: string; port: number };
  #images: ImageMap;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#images = options.images;
    this.#apiServer = options.apiServer;
    this.#network = new PodNetwork(options.network, (pod) => this.#isSimulated(pod));
    this.#client = new ApiClient({
      server: options.server,
      ca: readFileSync(options.caFile),
      cert: readFileSync(options.identity.cert),
      key: readFileSync(options.identity.key),
    });
    this.#tokens = new TokenCache(this.#client);
    this.#events = new EventRecorder(this.#client);
    this.#statuses = new StatusWriter(
      this.#client,
      (pod) => this.#states.get(pod.spec.nodeName ?? '') !== 'up',
    );
    this.#root = new RootFileSystem(options.directory, options.commands.mount);
    this.#nodes = new Map(
      options.nodes.map((node, index) => [
        node.name,
        new Node(node, index + 1, this.#client, options.heartbeatMs),
      ]),
    );
    this.#nodeObjects = new Reflector<NodeObject>(this.#client, '/api/v1/nodes', {
      onChange: (object) => this.#nodes.get(object.metadata.name)?.observe(object),
      onDelete: (object) => this.#nodes.get(object.metadata.name)?.observe(undefined),
    });
    this.#pods = new Reflector<Pod>(this.#client, '/api/v1/pods', {
      onChange: (pod) => this.#podChanged(pod),
      onDelete: (pod) => this.#podGone(pod),
    });
    const concerns =
      (kind: 'secret' | 'configMap') => (object: { metadata: { name: string; namespace?: string } }) => {
        for (const worker of this.#workers.values())
          if (worker.pod.metadata.namespace === object.metadata.namespace)
            worker.objectChanged(kind, object.metadata.name);
      };
    const secretChanged = concerns('secret');
    const configMapChanged = concerns('configMap');
    this.#secrets = new Reflector<Secret>(this.#client, '/api/v1/secrets', {
      onChange: secretChanged,
      onDelete: secretChanged,
    });
    this.#configMaps = new Reflector<ConfigMap>(this.#client, '/api/v1/configmaps', {
      onChange: configMapChanged,
      onDelete: configMapChanged,
    });
  }

  /** Resolves when all nodes are registered and ready for pods. */
  async start(): Promise<void> {
    await this.#root.setUp();
    const { network, serving, caFile, onTrouble } = this.#options;
    for (const node of this.#nodes.values()) {
      const namespace = await network.addNode(node.number, node.options.externalAddress);
      const server = new KubeletServer({
        tls: { cert: readFileSync(serving.cert), key: readFileSync(serving.key), ca: readFileSync(caFile) },
        findContainer: (namespace, pod, container) =>
          this.#findContainer(node.name, namespace, pod, container),
      });
      server.listen(namespace);
      this.#servers.push(server);
      this.#states.set(node.name, 'up');
    }
    if (await this.#network.start(this.#client, this.#nodes.values(), onTrouble))
      this.#apiServer = { host: KUBERNETES_SERVICE_ADDRESS, port: 443 };
    await Promise.all([...this.#nodes.values()].map((node) => node.start()));
    await Promise.all([this.#nodeObjects.start(), this.#secrets.start(), this.#configMaps.start()]);
    await this.#pods.start();
  }

  /** Kills every process of every pod at once. */
  async stop(): Promise<void> {
    for (const reflector of [this.#nodeObjects, this.#pods, this.#secrets, this.#configMaps])
      reflector.stop();
    this.#network.stop();
    for (const node of this.#nodes.values()) node.stopHeartbeats();
    for (const server of this.#servers) server.close();
    await Promise.all([...this.#workers.values()].map((worker) => worker.crash()));
    await this.#client.close();
  }

  setImages(images: ImageMap): void {
    this.#images = images;
    for (const worker of this.#workers.values()) worker.imagesChanged();
  }

  /** @throws Error for a node that isn't there. */
  async setNodeState(name: string, state: NodeState): Promise<void> {
    const node = this.#nodes.get(name);
    if (!node) throw new Error(`no node "${name}": there are ${[...this.#nodes.keys()].join(', ')}`);
    const old = this.#states.get(name);
    if (old === state) return;
    this.#states.set(name, state);
    if (state === 'up') {
      await node.start();
      // What happened meanwhile.
      for (const worker of [...this.#workers.values()].filter((worker) => worker.pod.spec.nodeName === name))
        if (!this.#isCurrent(worker.pod)) this.#podGone(worker.pod);
      for (const pod of this.#pods.items.values()) if (pod.spec.nodeName === name) this.#podChanged(pod);
      this.#statuses.resume();
      return;
    }
    node.stopHeartbeats();
    if (state !== 'down') return;
    const workers = [...this.#workers.values()].filter((worker) => worker.pod.spec.nodeName === name);
    await Promise.all(
      workers.map(async (worker) => {
        this.#workers.delete(worker.pod.metadata.uid);
        this.#statuses.forget(worker.pod);
        await worker.crash();
      }),
    );
  }

  #isCurrent(pod: Pod): boolean {
    return this.#pods.get(pod.metadata.namespace!, pod.metadata.name)?.metadata.uid === pod.metadata.uid;
  }

  #podChanged(pod: Pod): void {
    const node = this.#nodes.get(pod.spec.nodeName ?? '');
    if (!node || this.#states.get(node.name) !== 'up') return;
    const worker = this.#workers.get(pod.metadata.uid);
    if (worker) {
      worker.update(pod);
      // It had ended before it was deleted.
      if (worker.ended && pod.metadata.deletionTimestamp) this.#statuses.finalize(pod);
      return;
    }
    const over = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
    if (pod.metadata.deletionTimestamp) this.#statuses.finalize(pod);
    else if (!over) this.#begin(pod, node);
  }

  #podGone(pod: Pod): void {
    const node = this.#nodes.get(pod.spec.nodeName ?? '');
    if (!node || this.#states.get(node.name) !== 'up') return;
    this.#statuses.forget(pod);
    const worker = this.#workers.get(pod.metadata.uid);
    if (!worker) return;
    worker.update({ ...pod, metadata: { deletionTimestamp: new Date().toISOString(), ...pod.metadata } });
    const forget = (): void => {
      this.#workers.delete(pod.metadata.uid);
      worker.removeFiles();
    };
    worker.done.then(forget, forget);
  }

  #begin(pod: Pod, node: Node): void {
    const worker = new PodWorker(pod, this.#runtime(node), {
      publish: (pod, status) => this.#statuses.write(pod, status),
      isAhead: (pod) => this.#statuses.isAhead(pod),
      finalize: (pod) => this.#statuses.finalize(pod),
    });
    this.#workers.set(pod.metadata.uid, worker);
    worker.done.catch((error: unknown) =>
      this.#events.record(pod, 'Warning', 'FailedSync', (error as Error).message),
    );
  }

  #runtime(node: Node): PodRuntime {
    const { commands, directory, backOff } = this.#options;
    return {
      commands,
      directory,
      apiServer: this.#apiServer,
      backOff,
      root: this.#root,
      tokens: this.#tokens,
      nodeName: node.name,
      hostIP: node.address,
      allocatable: node.capacity,
      objects: {
        secret: (namespace, name) => this.#secrets.get(namespace, name),
        configMap: (namespace, name) => this.#configMaps.get(namespace, name),
      },
      findImage: (reference) => findImage(this.#images, reference),
      attach: (pod) => this.#network.attach(pod, node),
      detach: (pod, address) => this.#network.detach(pod, node, address),
      event: (pod, type, reason, message) => this.#events.record(pod, type, reason, message),
    };
  }

  /** Nothing of it runs. */
  #isSimulated(pod: Pod): boolean {
    return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].every(({ image }) => {
      const found = findImage(this.#images, image);
      return found !== undefined && 'simulated' in found;
    });
  }

  #findContainer(
    node: string,
    namespace: string,
    podName: string,
    name: string,
  ): ReturnType<PodWorker['container']> {
    for (const worker of this.#workers.values()) {
      const { metadata, spec } = worker.pod;
      if (metadata.namespace === namespace && metadata.name === podName && spec.nodeName === node)
        return worker.container(name);
    }
    return undefined;
  }
}
