import { tolerates } from './toleration.ts';
import type { ObservedNode, World } from './world.ts';

/**
 * A host port for each new relay: the least used of the range, lowest first, over all fleets. The scheduler keeps two
 * relays with the same port off one node, so a port can serve as often as there are nodes to choose from; `undefined` stands for a
 * relay that no port is left for.
 */
export function allocatePorts(world: World, count: number): (number | undefined)[] {
  const [first, last] = world.fleet.spec.exposure.portRange.split('-').map(Number) as [number, number];
  const nodes = new Set(
    [...world.nodes.values()].filter((node) => mayRunOn(world, node)).map(({ name }) => name),
  );
  const used = new Map<number, number>();
  // Of those, how often on a node that matters here: one that has no node yet may come to any.
  const inTheWay = new Map<number, number>();
  const take = (port: number, node: string | undefined): void => {
    used.set(port, (used.get(port) ?? 0) + 1);
    if (node === undefined || nodes.has(node)) inTheWay.set(port, (inTheWay.get(port) ?? 0) + 1);
  };
  for (const { port, node } of world.hostPorts) take(port, node);

  return Array.from({ length: count }, () => {
    let best: number | undefined;
    for (let port = first; port <= last; port += 1) {
      // Without any node one is assumed, that may come for a relay that waits.
      if ((inTheWay.get(port) ?? 0) >= Math.max(1, nodes.size)) continue;
      if (best === undefined || (used.get(port) ?? 0) < (used.get(best) ?? 0)) best = port;
    }
    if (best !== undefined) take(best, undefined);
    return best;
  });
}

/** Whether a relay of this fleet may be put on the node now. Affinity is left to the scheduler. */
function mayRunOn({ fleet }: World, { labels, taints, notReadySinceMs }: ObservedNode): boolean {
  const { nodeSelector = {}, tolerations = [] } = fleet.spec.pod ?? {};
  return (
    notReadySinceMs === undefined &&
    Object.entries(nodeSelector).every(([label, value]) => labels[label] === value) &&
    taints.every(
      (taint) =>
        taint.effect === 'PreferNoSchedule' || tolerations.some((toleration) => tolerates(toleration, taint)),
    )
  );
}
