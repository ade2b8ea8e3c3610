import type { World } from './world.ts';

/**
 * A host port for each new relay: the least used of the range, lowest first, over all fleets. The scheduler keeps two
 * relays with the same port off one node, so a port can serve as often as there are nodes to choose from; `undefined` stands for a
 * relay that no port is left for.
 */
export function allocatePorts(world: World, count: number): (number | undefined)[] {
  const [first, last] = world.fleet.spec.exposure.portRange.split('-').map(Number) as [number, number];
  const selector = Object.entries(world.fleet.spec.pod?.nodeSelector ?? {});
  const eligible = [...world.nodes.values()].filter(({ labels }) =>
    selector.every(([label, value]) => labels[label] === value),
  );
  const nodes = Math.max(1, eligible.length);
  const used = new Map(world.portsElsewhere);
  for (const relay of world.relays) used.set(relay.port, (used.get(relay.port) ?? 0) + 1);
  const relays = new Set(world.relays.map((relay) => relay.name));
  for (const { relay, hostPort } of world.pods) {
    if (hostPort !== undefined && !relays.has(relay)) used.set(hostPort, (used.get(hostPort) ?? 0) + 1);
  }

  return Array.from({ length: count }, () => {
    let best: number | undefined;
    for (let port = first; port <= last; port += 1) {
      if (best === undefined || (used.get(port) ?? 0) < (used.get(best) ?? 0)) best = port;
    }
    if (best === undefined || (used.get(best) ?? 0) >= nodes) return undefined;
    used.set(best, (used.get(best) ?? 0) + 1);
    return best;
  });
}
