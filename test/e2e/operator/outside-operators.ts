import { join } from 'node:path';

import { FaultProxy } from './fault-proxy.ts';
import type { OperatorCluster } from './operator-cluster.ts';
import { OperatorProcess } from './operator-process.ts';

/** Operators outside a cluster, each looking after one namespace through a proxy that sees and spoils what it asks. */
export class OutsideOperators {
  readonly #operator: OperatorCluster;
  readonly #processes: OperatorProcess[] = [];
  readonly #proxies: FaultProxy[] = [];

  constructor(operator: OperatorCluster) {
    this.#operator = operator;
  }

  async proxy(): Promise<FaultProxy> {
    const proxy = await FaultProxy.start(this.#operator.cluster.kubeconfig);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** With `restarts`, one that ends by itself is started again, as the kubelet does it. */
  start(
    proxy: FaultProxy,
    namespace: string,
    args: readonly string[],
    { restarts = false }: { readonly restarts?: boolean } = {},
  ): OperatorProcess {
    const { directory } = this.#operator.cluster;
    const file = join(directory, `proxy-${this.#proxies.indexOf(proxy)}.kubeconfig`);
    proxy.writeKubeconfig(file);
    const process = new OperatorProcess(
      file,
      [`--namespaces=${namespace}`, `--lease-namespace=${namespace}`, ...args],
      restarts,
    );
    this.#processes.push(process);
    return process;
  }

  /** What the last ones said, which is the first thing that one wants to know of a failure. */
  get logs(): string {
    return this.#processes
      .slice(-4)
      .map(({ log }) => log.slice(-4000))
      .join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill('SIGKILL')));
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
  }
}
