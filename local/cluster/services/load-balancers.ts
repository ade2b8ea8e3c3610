import { ApiError, type ApiClient } from '../node-agent/api-client.ts';
import type { Service } from './service-rules.ts';

/**
 * In place of a cloud: gives each Service of type LoadBalancer an address of 198.19.200.0/21. One with a
 * `loadBalancerClass` is somebody else's, and stays pending here.
 */
export class LoadBalancers {
  readonly #client: ApiClient;
  readonly #services: () => Iterable<Service>;
  /** By the Service's UID, until it is seen in its status. */
  readonly #assigned = new Map<string, string>();
  #next = 0;

  constructor(client: ApiClient, services: () => Iterable<Service>) {
    this.#client = client;
    this.#services = services;
  }

  serviceChanged(service: Service): void {
    const { uid, name, namespace, deletionTimestamp } = service.metadata;
    const { type, loadBalancerClass } = service.spec;
    if ((service.status?.loadBalancer?.ingress ?? []).length > 0) this.#assigned.delete(uid);
    else if (
      type === 'LoadBalancer' &&
      !loadBalancerClass &&
      !deletionTimestamp &&
      !this.#assigned.has(uid)
    ) {
      const ip = this.#free();
      this.#assigned.set(uid, ip);
      this.#client
        .request(
          'PATCH',
          `/api/v1/namespaces/${namespace}/services/${name}/status`,
          { metadata: { uid }, status: { loadBalancer: { ingress: [{ ip, ipMode: 'VIP' }] } } },
          'application/merge-patch+json',
        )
        .catch((error: unknown) => {
          this.#assigned.delete(uid);
          // Otherwise the Service has gone.
          if (!(error instanceof ApiError && (error.status === 404 || error.status === 409)))
            setTimeout(() => this.serviceChanged(service), 1000).unref();
        });
    }
  }

  #free(): string {
    const taken = new Set(this.#assigned.values());
    for (const service of this.#services())
      for (const { ip } of service.status?.loadBalancer?.ingress ?? []) if (ip) taken.add(ip);
    for (;;) {
      const ip = `198.19.${200 + Math.floor(this.#next / 250)}.${1 + (this.#next % 250)}`;
      this.#next = (this.#next + 1) % 2000;
      if (!taken.has(ip)) return ip;
    }
  }
}
