import type { Pod } from '../node-agent/resources.ts';
import type { HostPort } from './service-rules.ts';

/** Which host ports the pods of each node have. */
export class HostPorts {
  /** By node and the pod's UID. */
  readonly #ports = new Map<string, Map<string, HostPort[]>>();

  /** Whether the pod has any. */
  add(node: string, pod: Pod, address: string): boolean {
    const ports = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].flatMap(({ ports = [] }) =>
      ports.flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }): HostPort[] =>
        hostPort && protocol !== 'SCTP'
          ? [{ protocol, hostIP, hostPort, backend: { address, port: containerPort } }]
          : [],
      ),
    );
    if (ports.length === 0) return false;
    const ofNode = this.#ports.get(node) ?? new Map<string, HostPort[]>();
    this.#ports.set(node, ofNode.set(pod.metadata.uid, ports));
    return true;
  }

  /** Whether the pod had any. */
  remove(node: string, pod: Pod): boolean {
    return this.#ports.get(node)?.delete(pod.metadata.uid) ?? false;
  }

  of(node: string): HostPort[] {
    return [...(this.#ports.get(node)?.values() ?? [])].flat();
  }
}
