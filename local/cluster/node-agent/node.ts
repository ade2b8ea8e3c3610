import { arch, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { FIRST_POD, KUBELET_PORT, nodeAddress, podAddress, PODS_PER_NODE } from '../addresses.ts';
import type { Condition, KubeObject } from './resources.ts';
import { ApiError, STRATEGIC_MERGE, type ApiClient } from './api-client.ts';

/** One node of the cluster. */
export interface NodeOptions {
  name: string;
  labels?: Readonly<Record<string, string>>;
  /** An ExternalIP in 198.19.0.0/16, which then is this node's. */
  externalAddress?: string;
  /** Also its allocatable; nothing of it is enforced but by the scheduler. Default: 8 CPUs, 16Gi, 100 pods. */
  capacity?: { cpu?: string; memory?: string; pods?: string };
  taints?: readonly { key: string; value?: string; effect: string }[];
}

/** The part of a Node's object that is looked at. */
export interface NodeObject extends KubeObject {
  status?: { conditions?: Condition[] };
}

/** Registers one node, keeps it Ready by heartbeats, and hands out its pods' addresses. */
export class Node {
  readonly name: string;
  readonly number: number;
  readonly address: string;
  readonly options: NodeOptions;
  readonly #client: ApiClient;
  readonly #heartbeatMs: number;
  readonly #taken = new Map<number, string>();
  #next = 0;
  #beating: AbortController | undefined;
  #mending = false;

  /** @param number its place in the addresses, from 1 */
  constructor(options: NodeOptions, number: number, client: ApiClient, heartbeatMs: number) {
    this.options = options;
    this.name = options.name;
    this.number = number;
    this.address = nodeAddress(number);
    this.#client = client;
    this.#heartbeatMs = heartbeatMs;
  }

  get capacity(): Record<string, string> {
    return {
      cpu: '8',
      memory: '16Gi',
      pods: String(PODS_PER_NODE),
      'ephemeral-storage': '100Gi',
      ...this.options.capacity,
    };
  }

  /** Makes the object if it isn't there, says Ready, and begins the heartbeats. */
  async start(): Promise<void> {
    await this.#create();
    await this.#writeStatus(true);
    this.#beating = new AbortController();
    void this.#beat(this.#beating.signal);
  }

  /**
   * Looks at what others made of the node's object. After a silence the node lifecycle controller has set Ready to
   * Unknown, which only a status of the node's own takes back; and somebody may have deleted the object.
   */
  observe(object: NodeObject | undefined): void {
    if (!this.#beating || this.#mending) return;
    const ready = object?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    if (ready !== 'True') void this.#mend(this.#beating.signal);
  }

  /** Falls silent: the node lifecycle controller will find it NotReady. */
  stopHeartbeats(): void {
    this.#beating?.abort();
    this.#beating = undefined;
  }

  /** The next free address, round robin so that an address isn't used again at once. @throws Error when all are taken. */
  allocate(podUid: string): string {
    for (let tried = 0; tried < PODS_PER_NODE; tried++) {
      const index = (this.#next + tried) % PODS_PER_NODE;
      if (this.#taken.has(index)) continue;
      this.#taken.set(index, podUid);
      this.#next = index + 1;
      return podAddress(this.number, index);
    }
    throw new Error(`node ${this.name} has no pod address left (${PODS_PER_NODE} are in use)`);
  }

  release(address: string): void {
    this.#taken.delete(Number(address.split('.')[3]) - FIRST_POD);
  }

  async #mend(signal: AbortSignal): Promise<void> {
    this.#mending = true;
    while (!signal.aborted) {
      try {
        await this.#create();
        await this.#writeStatus(true);
        break;
      } catch {
        await delay(500, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
    this.#mending = false;
  }

  async #create(): Promise<void> {
    const { labels, taints } = this.options;
    try {
      await this.#client.request('POST', '/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: this.name,
          labels: {
            'kubernetes.io/hostname': this.name,
            'kubernetes.io/os': 'linux',
            'kubernetes.io/arch': architecture(),
            ...labels,
          },
        },
        spec: taints ? { taints } : {},
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
    }
  }

  /** @param begins whether the node becomes Ready now, or only says so again */
  async #writeStatus(begins: boolean): Promise<void> {
    const now = `${new Date().toISOString().slice(0, 19)}Z`;
    const condition = (type: string, status: string, reason: string): object => ({
      type,
      status,
      reason,
      message: '',
      lastHeartbeatTime: now,
      ...(begins ? { lastTransitionTime: now } : {}),
    });
    const fine = (type: string, reason: string): object => condition(type, 'False', reason);
    await this.#client.request(
      'PATCH',
      `/api/v1/nodes/${this.name}/status`,
      {
        status: {
          addresses: [
            { type: 'InternalIP', address: this.address },
            ...(this.options.externalAddress
              ? [{ type: 'ExternalIP', address: this.options.externalAddress }]
              : []),
            { type: 'Hostname', address: this.name },
          ],
          capacity: this.capacity,
          allocatable: this.capacity,
          conditions: [
            fine('MemoryPressure', 'KubeletHasSufficientMemory'),
            fine('DiskPressure', 'KubeletHasNoDiskPressure'),
            fine('PIDPressure', 'KubeletHasSufficientPID'),
            condition('Ready', 'True', 'KubeletReady'),
          ],
          daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
          nodeInfo: {
            architecture: architecture(),
            operatingSystem: 'linux',
            kernelVersion: release(),
            kubeletVersion: 'v1.36.3-wavry-node-agent',
            kubeProxyVersion: '',
            containerRuntimeVersion: 'local://1',
            osImage: 'this machine',
            machineID: '',
            systemUUID: '',
            bootID: '',
          },
        },
      },
      STRATEGIC_MERGE,
    );
  }

  /** Renews the Lease as the kubelet does; the status every fifth minute, or sooner when the last attempt failed. */
  async #beat(signal: AbortSignal): Promise<void> {
    let statusAt = Date.now();
    while (!signal.aborted) {
      try {
        await this.#renewLease();
        if (Date.now() - statusAt > 300_000) {
          await this.#writeStatus(false);
          statusAt = Date.now();
        }
        await delay(this.#heartbeatMs, undefined, { signal, ref: false });
      } catch {
        if (signal.aborted) return;
        await delay(Math.min(1000, this.#heartbeatMs), undefined, { signal, ref: false }).catch(
          () => undefined,
        );
      }
    }
  }

  async #renewLease(): Promise<void> {
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    const spec = {
      holderIdentity: this.name,
      leaseDurationSeconds: 40,
      renewTime: `${new Date().toISOString().slice(0, -1)}000Z`,
    };
    try {
      await this.#client.request('PATCH', `${leases}/${this.name}`, { spec }, 'application/merge-patch+json');
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      const node = await this.#client.request<{ metadata: { uid: string } }>(
        'GET',
        `/api/v1/nodes/${this.name}`,
      );
      const owner = { apiVersion: 'v1', kind: 'Node', name: this.name, uid: node.metadata.uid };
      await this.#client.request('POST', leases, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: this.name, ownerReferences: [owner] },
        spec,
      });
    }
  }
}

/** In Go's words. */
function architecture(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}
