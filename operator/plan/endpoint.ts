import { takesHostPort } from '../api/exposure.ts';
import { DATA_PORT } from '../specs/deployment.ts';
import type { RelayView } from './relay-view.ts';
import type { ObservedNode, World } from './world.ts';

/** What a relay takes (relay/control/endpoints.ts): with more it would advertise none at all. */
export const MOST_ENDPOINTS = 8;

/** Where peers reach a relay, or why that isn't known yet and what would help. */
export type EndpointDecision =
  | { readonly endpoints: readonly string[] }
  | { readonly reason: 'EndpointsPending' | 'NoNodeAddress'; readonly message: string };

/** Endpoints of a relay's pod, IPv4 first: Master compares the text before the first colon (wire reference 4). */
export function endpointOf(world: World, view: RelayView): EndpointDecision {
  const { pod, relay, exposure } = view;
  if (!pod) return pending(`${relay.name} has no pod yet`);

  if (takesHostPort(exposure.type)) return onNode(world, view, relay.port);
  if (exposure.type === 'PodIP') {
    return pod.podIP === undefined
      ? pending(`pod ${pod.name} has no address yet`)
      : { endpoints: [socketAddress(pod.podIP, DATA_PORT)] };
  }

  const service = world.endpointServices.get(pod.uid);
  if (!service) return pending(`pod ${pod.name} has no Service yet`);
  if (exposure.type === 'NodePort') {
    return service.nodePort === undefined
      ? pending(`Service ${service.name} has no node port yet`)
      : onNode(world, view, service.nodePort);
  }
  return service.addresses.length > 0
    ? { endpoints: chosen(service.addresses).map((address) => socketAddress(address, DATA_PORT)) }
    : pending(
        service.problem ??
          `Service ${service.name} waits for an address of its load balancer; "kubectl describe service ${service.name}" tells what its controller says, and a cluster without one (MetalLB, a cloud's) never gives any`,
      );
}

function onNode(world: World, view: RelayView, port: number): EndpointDecision {
  const name = view.pod?.node;
  const node = name === undefined ? undefined : world.nodes.get(name);
  if (name === undefined || !node) return pending(`pod ${view.pod?.name ?? ''} has no node yet`);
  const type = view.exposure.addressType ?? 'ExternalIP';
  const listed = addressesOf(node, type);
  // Relays listen on 0.0.0.0 (specs/deployment.ts), and host ports and node ports translate within one family.
  const addresses = listed.filter((address) => !address.includes(':'));
  if (addresses.length === 0) {
    const lacks =
      listed.length === 0 ? `has no ${type}` : `has no IPv4 ${type}, and relays listen on IPv4 only`;
    return {
      reason: 'NoNodeAddress',
      message:
        type === 'ExternalIP'
          ? `node ${name} ${lacks}; set spec.exposure.addressType to InternalIP if peers can reach its internal address, or use another exposure`
          : `node ${name} ${lacks}; use another exposure`,
    };
  }
  return { endpoints: chosen(addresses).map((address) => socketAddress(address, port)) };
}

function addressesOf(node: ObservedNode, type: 'ExternalIP' | 'InternalIP'): readonly string[] {
  return type === 'ExternalIP' ? node.externalIPs : node.internalIPs;
}

/**
 * Each address once, IPv4 first; of more than a relay takes the first of each family, so that peers which speak only one
 * still find theirs.
 */
function chosen(addresses: readonly string[]): string[] {
  const [v6, v4] = [true, false].map((six) => [
    ...new Set(addresses.filter((address) => address.includes(':') === six)),
  ]) as [string[], string[]];
  const kept = v4.slice(0, MOST_ENDPOINTS - Math.min(v6.length, MOST_ENDPOINTS / 2));
  return [...kept, ...v6.slice(0, MOST_ENDPOINTS - kept.length)];
}

function socketAddress(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function pending(message: string): EndpointDecision {
  return { reason: 'EndpointsPending', message };
}
