import type { Backend, NatRule } from '../netfilter/nat-rules.ts';
import type { KubeObject } from '../node-agent/resources.ts';

export interface Service extends KubeObject {
  spec: {
    type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
    clusterIP?: string;
    externalTrafficPolicy?: 'Cluster' | 'Local';
    internalTrafficPolicy?: 'Cluster' | 'Local';
    loadBalancerClass?: string;
    ports?: { name?: string; protocol?: string; port: number; nodePort?: number }[];
  };
  status?: { loadBalancer?: { ingress?: { ip?: string }[] } };
}

export interface EndpointSlice extends KubeObject {
  addressType: string;
  endpoints?: {
    addresses: string[];
    nodeName?: string;
    conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  }[];
  ports?: { name?: string; protocol?: string; port?: number }[];
}

/** A port of a pod that its node hands on. */
export interface HostPort {
  protocol: 'TCP' | 'UDP';
  /** Only at this address of the node's. */
  hostIP: string | undefined;
  hostPort: number;
  backend: Backend;
}

/** One place where addresses are translated: a node, or what is outside of all nodes. */
export interface Place {
  /** undefined outside. */
  nodeName: string | undefined;
  /** The node's own. */
  addresses: readonly string[];
  hostPorts: readonly HostPort[];
}

/** What kube-proxy and the host-port mapper would set up at that place. */
export function natRules(
  place: Place,
  services: readonly Service[],
  slices: readonly EndpointSlice[],
): NatRule[] {
  const slicesOf = Map.groupBy(
    slices.filter((slice) => slice.addressType === 'IPv4'),
    (slice) => `${slice.metadata.namespace}/${slice.metadata.labels?.['kubernetes.io/service-name']}`,
  );
  const rules: NatRule[] = [];
  const add = (rule: NatRule): void => {
    if (rule.backends.length > 0) rules.push(rule);
  };
  for (const { protocol, hostIP, hostPort, backend } of place.hostPorts)
    for (const address of place.addresses)
      if (!hostIP || hostIP === '0.0.0.0' || hostIP === address)
        add({ protocol, address, port: hostPort, backends: [backend], masquerade: false });

  for (const service of services) {
    const { type, clusterIP, externalTrafficPolicy, internalTrafficPolicy, ports } = service.spec;
    if (type === 'ExternalName') continue;
    const own = slicesOf.get(`${service.metadata.namespace}/${service.metadata.name}`) ?? [];
    for (const { name, protocol = 'TCP', port, nodePort } of ports ?? []) {
      if (protocol !== 'TCP' && protocol !== 'UDP') continue;
      const backends = (node: string | undefined): Backend[] => usable(own, name, protocol, node);
      if (clusterIP && clusterIP !== 'None') {
        const node = internalTrafficPolicy === 'Local' ? place.nodeName : undefined;
        add({ protocol, address: clusterIP, port, backends: backends(node), masquerade: false });
      }
      // An address of a load balancer goes straight to the pods from everywhere, and the sender's address stays.
      for (const { ip } of service.status?.loadBalancer?.ingress ?? [])
        if (ip) add({ protocol, address: ip, port, backends: backends(undefined), masquerade: false });
      if (nodePort) {
        const local = externalTrafficPolicy === 'Local';
        for (const address of place.addresses)
          add({
            protocol,
            address,
            port: nodePort,
            backends: backends(local ? place.nodeName : undefined),
            masquerade: !local,
          });
      }
    }
  }
  return rules;
}

/** Ready endpoints, or if there is none the terminating ones that still serve. `node`: only those there. */
function usable(
  slices: readonly EndpointSlice[],
  portName: string | undefined,
  protocol: string,
  node: string | undefined,
): Backend[] {
  const ready: Backend[] = [];
  const terminating: Backend[] = [];
  for (const slice of slices) {
    const port = slice.ports?.find(
      (port) => (port.name ?? '') === (portName ?? '') && (port.protocol ?? 'TCP') === protocol,
    )?.port;
    if (port === undefined) continue;
    for (const { addresses, nodeName, conditions } of slice.endpoints ?? []) {
      if (node !== undefined && nodeName !== node) continue;
      const backend = { address: addresses[0]!, port };
      if (conditions?.ready ?? true) ready.push(backend);
      else if (conditions?.serving && conditions.terminating) terminating.push(backend);
    }
  }
  return ready.length > 0 ? ready : terminating;
}
