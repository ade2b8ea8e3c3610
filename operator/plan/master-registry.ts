import type { World } from './world.ts';

/** Wire reference 4: Master registers five relays at one IP at the most, and forgets one it has not heard for 600 s. */
const MOST_AT_ONE_IP = 5;
const FORGOTTEN_MS = 600_000;

/**
 * Why Master refuses a relay at this endpoint for now, or undefined. Master compares text: every entry whose first
 * endpoint begins with the part before the first colon counts, so 10.0.0.1 also counts 10.0.0.11.
 */
export function crowdedAddress(world: World, relayId: string, endpoint: string): string | undefined {
  if (!world.master || world.master.has(relayId)) return undefined;
  const ip = endpoint.split(':')[0]!;
  const there = [...world.master.values()].filter((entry) =>
    entry.endpoints.some((other) => other.startsWith(ip)),
  );
  if (there.length < MOST_AT_ONE_IP) return undefined;
  const oldest = Math.min(...there.map((entry) => entry.lastSeenMs));
  const free = new Date(oldest + FORGOTTEN_MS).toISOString();
  return `Master registers at most ${MOST_AT_ONE_IP} relays at one address and has ${there.length} at ${ip}; the one unheard for longest is forgotten at ${free}, unless it is heard again. Spread the relays over more nodes or addresses`;
}
