import { forgetStaleFlows } from '../netfilter/connections.ts';
import { natTransaction, type NatRule } from '../netfilter/nat-rules.ts';
import { NetlinkSocket } from '../netfilter/netlink-socket.ts';
import type { ApiClient } from '../node-agent/api-client.ts';
import { Reflector } from '../node-agent/reflector.ts';
import { natRules, type EndpointSlice, type HostPort, type Service } from './service-rules.ts';

/** A node whose traffic is translated. */
export interface ProxiedNode {
  name: string;
  /** File of its network namespace. */
  namespace: string;
  addresses: readonly string[];
  hostPorts(): readonly HostPort[];
}

interface Translator {
  node: ProxiedNode | undefined;
  socket: NetlinkSocket;
  /** The rules in force, as text to compare with. */
  inForce: string;
}

/**
 * In place of kube-proxy and of the host-port mapper: Service addresses, node ports, load balancer addresses and host
 * ports, by address translation in the kernel (nf_tables) of each node and of the network outside. Senders keep their
 * address, but where a node port of `externalTrafficPolicy: Cluster` may lead to another node. Not there: session
 * affinity, and a pod reaching itself through its own Service.
 */
export class ServiceProxy {
  readonly #services: Reflector<Service>;
  readonly #slices: Reflector<EndpointSlice>;
  readonly #translators: readonly Translator[];
  readonly #onError: (message: string) => void;
  #scheduled: NodeJS.Timeout | undefined;

  /** @throws NetlinkError where the kernel has no nf_tables. */
  constructor(
    client: ApiClient,
    nodes: readonly ProxiedNode[],
    hooks: { onService: (service: Service) => void; onError: (message: string) => void },
  ) {
    this.#onError = hooks.onError;
    this.#translators = [undefined, ...nodes].map((node) => ({
      node,
      socket: new NetlinkSocket(node?.namespace),
      inForce: '',
    }));
    const changed = (): void => this.changed();
    this.#services = new Reflector<Service>(client, '/api/v1/services', {
      onChange: (service) => {
        hooks.onService(service);
        changed();
      },
      onDelete: changed,
    });
    this.#slices = new Reflector<EndpointSlice>(client, '/apis/discovery.k8s.io/v1/endpointslices', {
      onChange: changed,
      onDelete: changed,
    });
    for (const translator of this.#translators) this.#translate(translator, []);
  }

  /** Resolves when the Services there are now work. */
  async start(): Promise<void> {
    await Promise.all([this.#services.start(), this.#slices.start()]);
    this.update();
  }

  stop(): void {
    this.#services.stop();
    this.#slices.stop();
    clearTimeout(this.#scheduled);
    for (const { socket } of this.#translators) socket.close();
  }

  /** All Services there are. */
  services(): Iterable<Service> {
    return this.#services.items.values();
  }

  /** Services, endpoints or host ports have changed: looks at them again shortly, once for many changes. */
  changed(): void {
    this.#scheduled ??= setTimeout(() => this.update(), 10);
  }

  /** Brings the rules up to date at once. */
  update(): void {
    clearTimeout(this.#scheduled);
    this.#scheduled = undefined;
    const services = [...this.#services.items.values()];
    const slices = [...this.#slices.items.values()];
    for (const translator of this.#translators) {
      const { node } = translator;
      const place = {
        nodeName: node?.name,
        addresses: node?.addresses ?? [],
        hostPorts: node?.hostPorts() ?? [],
      };
      try {
        this.#translate(translator, natRules(place, services, slices));
      } catch (error) {
        this.#onError((error as Error).message);
      }
    }
  }

  #translate(translator: Translator, rules: readonly NatRule[]): void {
    const inForce = JSON.stringify(rules);
    if (inForce === translator.inForce) return;
    translator.socket.request(
      natTransaction(rules),
      `setting the rules of ${translator.node?.name ?? 'the cluster'}`,
    );
    translator.inForce = inForce;
    forgetStaleFlows(translator.socket, rules);
  }
}
