/**
 * The addresses of a local cluster. All lie in 198.18.0.0/15 (RFC 2544, for tests between devices: nothing on the
 * Internet answers there) but the Service addresses, and all of them exist only in the cluster's network namespace.
 */

/** The control plane, and whatever a test runs beside it: Masters, peers. */
export const CONTROL_PLANE_ADDRESS = '198.18.0.1';
export const API_SERVER_PORT = 6443;
/** What the node agent serves in place of a kubelet, on each node's address. */
export const KUBELET_PORT = 10250;
/** Virtual addresses of Services; `service-proxy.ts` makes them work. */
export const SERVICE_CIDR = '10.96.0.0/16';
/** First of {@link SERVICE_CIDR}: the Service `kubernetes`. */
export const KUBERNETES_SERVICE_ADDRESS = '10.96.0.1';
/** Every address here belongs to whoever binds it, outside of all nodes. */
export const LOCAL_CIDR = '198.18.0.0/15';
export const MAX_NODES = 250;
export const FIRST_POD = 100;
export const PODS_PER_NODE = 100;

/** InternalIP of the node with that number (from 1). */
export function nodeAddress(node: number): string {
  return `198.18.${node}.1`;
}

/** Pods `0 … PODS_PER_NODE - 1` of a node. */
export function podAddress(node: number, pod: number): string {
  return `198.18.${node}.${FIRST_POD + pod}`;
}
