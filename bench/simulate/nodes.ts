import type { ObservedNode } from '../../operator/plan/world.ts';
import type { Random } from './random.ts';
import type { Spread } from './scenario.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SimNode {
  observed: ObservedNode;
  readonly ports: Set<number>;
  /** No longer there: its machine has stopped. */
  dead: boolean;
  hasImage: Set<string>;
  emptySinceMs: number | undefined;
}

export interface NodesOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly initial: number;
  readonly relaysPerNode: number;
  readonly provision: Spread;
  /** A node has come, or its state has changed. */
  readonly onChange: () => void;
}

/** How often cluster-autoscaler looks, and how long a node has to be unneeded before it goes (its defaults). */
const SCAN_MS = 10_000;
const UNNEEDED_MS = 600_000;

/** Machines for relays, with a cluster-autoscaler that adds them for pending pods and removes them when they stay empty. */
export class Nodes {
  /** As the plan sees them. */
  readonly observed = new Map<string, ObservedNode>();
  readonly #nodes = new Map<string, SimNode>();
  readonly #options: NodesOptions;
  #coming = 0;
  #count = 0;

  constructor(options: NodesOptions) {
    this.#options = options;
    for (let index = 0; index < options.initial; index += 1) this.#add();
  }

  get(name: string): SimNode | undefined {
    return this.#nodes.get(name);
  }

  /** The emptiest node with that port free, as the fleet's topology spread asks for. */
  place(port: number): SimNode | undefined {
    let best: SimNode | undefined;
    for (const node of this.#nodes.values()) {
      if (node.dead || node.ports.size >= this.#options.relaysPerNode || node.ports.has(port)) continue;
      if (!best || node.ports.size < best.ports.size) best = node;
    }
    best?.ports.add(port);
    if (best) best.emptySinceMs = undefined;
    return best;
  }

  free(name: string, port: number): void {
    const node = this.#nodes.get(name);
    node?.ports.delete(port);
    if (node?.ports.size === 0) node.emptySinceMs = this.#options.clock.nowMs;
  }

  /** One scan of the autoscaler. */
  scan(pendingPods: number): void {
    const { clock, random, relaysPerNode, provision } = this.#options;
    const wanted = Math.ceil(pendingPods / relaysPerNode);
    for (; this.#coming < wanted; this.#coming += 1) {
      clock.after(random.lognormal(provision.medianMs, provision.sigma), () => {
        this.#coming -= 1;
        this.#add();
        this.#options.onChange();
      });
    }
    for (const [name, node] of this.#nodes) {
      if (
        node.emptySinceMs !== undefined &&
        clock.nowMs - node.emptySinceMs >= UNNEEDED_MS &&
        pendingPods === 0
      ) {
        this.#nodes.delete(name);
        this.observed.delete(name);
      }
    }
  }

  static readonly scanMs: number = SCAN_MS;

  /** The machines of a share of the nodes stop; their names. */
  stop(share: number): string[] {
    const names = [...this.#nodes].filter(([, node]) => !node.dead).map(([name]) => name);
    const stopped = names.slice(0, Math.round(names.length * share));
    for (const name of stopped) this.#nodes.get(name)!.dead = true;
    return stopped;
  }

  /** The node controller has noticed. */
  markNotReady(name: string): void {
    const node = this.#nodes.get(name);
    if (!node) return;
    node.observed = {
      ...node.observed,
      notReadySinceMs: this.#options.clock.nowMs,
      readySinceMs: undefined,
    };
    this.observed.set(name, node.observed);
  }

  isDead(name: string | undefined): boolean {
    return name !== undefined && this.#nodes.get(name)?.dead === true;
  }

  remove(name: string): void {
    this.#nodes.delete(name);
    this.observed.delete(name);
  }

  #add(): void {
    this.#count += 1;
    const name = `node-${this.#count}`;
    // Three digits a part: Master compares addresses as text.
    const ip = `10.${100 + Math.floor(this.#count / 10_000)}.${100 + (Math.floor(this.#count / 100) % 100)}.${100 + (this.#count % 100)}`;
    const observed: ObservedNode = {
      name,
      labels: {},
      taints: [],
      notReadySinceMs: undefined,
      readySinceMs: this.#options.clock.nowMs,
      externalIPs: [ip],
      internalIPs: [ip],
    };
    this.observed.set(name, observed);
    this.#nodes.set(name, {
      observed,
      ports: new Set(),
      dead: false,
      hasImage: new Set(),
      emptySinceMs: this.#options.clock.nowMs,
    });
  }
}
