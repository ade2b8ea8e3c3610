import { NetlinkError } from '../netfilter/netlink-socket.ts';
import type { Network } from '../network.ts';
import { HostPorts } from '../services/host-ports.ts';
import { LoadBalancers } from '../services/load-balancers.ts';
import { ServiceProxy } from '../services/service-proxy.ts';
import type { ApiClient } from './api-client.ts';
import type { Node } from './node.ts';
import type { Pod } from './resources.ts';

/** Gives pods their addresses and networks, and makes Services and host ports lead to them. */
export class PodNetwork {
  readonly #network: Network;
  readonly #isSimulated: (pod: Pod) => boolean;
  readonly #hostPorts = new HostPorts();
  /** Addresses of simulated pods. */
  readonly #simulated = new Set<string>();
  #proxy: ServiceProxy | undefined;

  constructor(network: Network, isSimulated: (pod: Pod) => boolean) {
    this.#network = network;
    this.#isSimulated = isSimulated;
  }

  /** Resolves with whether Services work: without nf_tables in the kernel pods still reach each other by address. */
  async start(
    client: ApiClient,
    nodes: Iterable<Node>,
    onTrouble: (message: string) => void,
  ): Promise<boolean> {
    const proxied = [...nodes].map((node) => ({
      name: node.name,
      namespace: this.#network.nodeNamespace(node.number),
      addresses: [node.address, ...(node.options.externalAddress ? [node.options.externalAddress] : [])],
      hostPorts: () => this.#hostPorts.of(node.name),
    }));
    const balancers = new LoadBalancers(client, () => this.#proxy?.services() ?? []);
    try {
      this.#proxy = new ServiceProxy(client, proxied, {
        onService: (service) => balancers.serviceChanged(service),
        onError: onTrouble,
      });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      onTrouble(
        `no Services and no host ports on this cluster: the kernel has no nf_tables (${error.message})`,
      );
      return false;
    }
    await this.#proxy.start();
    return true;
  }

  stop(): void {
    this.#proxy?.stop();
  }

  /** @throws Error when the node has no address left. */
  async attach(pod: Pod, node: Node): Promise<{ address: string; network: string }> {
    if (pod.spec.hostNetwork)
      return { address: node.address, network: this.#network.nodeNamespace(node.number) };
    const address = node.allocate(pod.metadata.uid);
    try {
      if (this.#isSimulated(pod)) {
        await this.#network.addSimulatedPod(node.number, address);
        this.#simulated.add(address);
        return { address, network: '' };
      }
      const network = await this.#network.addPod(node.number, address);
      // Before the pod's containers start, as with a real node.
      if (this.#hostPorts.add(node.name, pod, address)) this.#proxy?.update();
      return { address, network };
    } catch (error) {
      node.release(address);
      throw error;
    }
  }

  async detach(pod: Pod, node: Node, address: string): Promise<void> {
    if (pod.spec.hostNetwork) return;
    if (this.#hostPorts.remove(node.name, pod)) this.#proxy?.changed();
    if (this.#simulated.delete(address)) await this.#network.removeSimulatedPod(node.number, address);
    else await this.#network.removePod(node.number, address);
    node.release(address);
  }
}
