import type { World } from './world.ts';

/** Wire reference 4: Master registers five relays at one IP at the most, and forgets one it has not heard for 600 s. */
const MOST_AT_ONE_IP = 5;
const FORGOTTEN_MS = 600_000;
/** Relays are heard every few seconds; one unheard for longer is taken as gone. */
const SILENT_MS = 60_000;

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
  // More than five at an address have to lose as many before there is room.
  const silent = there
    .map((entry) => entry.lastSeenMs)
    .filter((lastSeenMs) => world.nowMs - lastSeenMs > SILENT_MS)
    .toSorted((a, b) => a - b);
  const frees = silent[there.length - MOST_AT_ONE_IP];
  const until =
    frees === undefined
      ? 'all of them alive, so that none is forgotten'
      : `and forgets one that is gone at ${minute(frees + FORGOTTEN_MS)}`;
  return `Master registers at most ${MOST_AT_ONE_IP} relays at one address and has ${there.length} at ${ip}, ${until}; spread the relays over more nodes or addresses, or ask for fewer`;
}

/** Whole minutes, rounded up: the same text although Master's answers differ by milliseconds. */
function minute(ms: number): string {
  return new Date(Math.ceil(ms / 60_000) * 60_000).toISOString().replace(/:00\.000Z$/, 'Z');
}
