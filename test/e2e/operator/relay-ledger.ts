import type { KubeObject } from '../../../operator/kube/object.ts';
import { resourcePath, Resources } from '../../../operator/kube/resource.ts';
import type { OperatorCluster } from './operator-cluster.ts';

/** What a relay's `/metrics` said last. */
export interface LedgerEntry {
  readonly pod: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gone: boolean;
}

/**
 * Asks every relay of a fleet for its counters again and again, through the API server, so that those of relays that went
 * are known as well.
 */
export class RelayLedger {
  readonly #operator: OperatorCluster;
  readonly #fleet: string;
  readonly #entries = new Map<string, LedgerEntry>();
  #running = true;
  readonly #ended: Promise<void>;

  constructor(operator: OperatorCluster, fleet: string) {
    this.#operator = operator;
    this.#fleet = fleet;
    this.#ended = this.#run();
  }

  /** By the UID of the pod. */
  get entries(): ReadonlyMap<string, LedgerEntry> {
    return this.#entries;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    while (this.#running) {
      await this.look().catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  /** Asks them all once. */
  async look(): Promise<void> {
    const pods = await this.#operator.list<KubeObject>(
      Resources.pods,
      'default',
      `wavry.dev/fleet=${this.#fleet}`,
    );
    const present = new Set(pods.map((pod) => pod.metadata.uid));
    for (const [uid, entry] of this.#entries)
      if (!present.has(uid)) this.#entries.set(uid, { ...entry, gone: true });
    await Promise.all(
      pods.map(async ({ metadata }) => {
        const path = resourcePath(Resources.pods, 'default', `${metadata.name}:9091`, 'proxy/metrics');
        const { status, text } = await this.#operator.client.text(path, { maxBytes: 65_536 });
        if (status !== 200) return;
        const metrics = JSON.parse(text) as Record<string, number>;
        this.#entries.set(metadata.uid, { pod: metadata.name, metrics, gone: false });
      }),
    );
  }
}

/**
 * Pings of a peer that came before its partner did: a deployed client begins with them as soon as it has presented its
 * lease, and a session forwards from its second peer on (wire reference 3).
 */
export function earlyBy(metrics: Readonly<Record<string, number>>): number {
  return (metrics['session_not_active_packets'] ?? 0) + (metrics['session_not_found_packets'] ?? 0);
}

/**
 * Datagrams that a relay in service lost: drops by reason but replays and unknown peers, and those of its sockets. What
 * came early isn't among them, nor what was refused.
 */
export function lostBy(metrics: Readonly<Record<string, number>>): number {
  const count = (name: string): number => metrics[name] ?? 0;
  return (
    count('dropped_packets') -
    count('replay_dropped_packets') -
    count('unknown_peer_packets') -
    earlyBy(metrics) -
    refusedBy(metrics) +
    count('kernel_dropped_packets')
  );
}

/** Leases that it refused for want of room. */
export function refusedBy(metrics: Readonly<Record<string, number>>): number {
  return (
    (metrics['session_full_rejects'] ?? 0) +
    (metrics['overload_shed_packets'] ?? 0) +
    (metrics['drain_refused_packets'] ?? 0)
  );
}
