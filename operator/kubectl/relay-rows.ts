import { durationSeconds } from '../api/duration.ts';
import { SIZE_PROFILES, SIZES } from '../api/size.ts';
import type { RelayStatus } from '../api/status.ts';
import { age } from './age.ts';
import type { FleetObject } from './fleets.ts';
import type { Colour, Paint } from './paint.ts';

/** Sessions that one relay of the fleet takes: its own limit, or its size's (the operator decides in the same way). */
export function sessionsPerRelay(fleet: FleetObject): number {
  const size = SIZES.find((size) => size === fleet.spec.size) ?? 'Medium';
  return fleet.spec.limits?.maxSessions ?? SIZE_PROFILES[size].maxSessions;
}

export function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.round((part / whole) * 100)}%`;
}

/** How long a draining relay may still take; undefined when it doesn't drain. */
export function drainLeft(fleet: FleetObject, relay: RelayStatus, nowMs: number): string | undefined {
  if (relay.drainingSince === undefined) return undefined;
  const timeoutMs = durationSeconds(fleet.spec.drain?.timeout ?? '1h') * 1000;
  return age(Math.max(0, Date.parse(relay.drainingSince) + timeoutMs - nowMs));
}

export function paintState(state: RelayStatus['state'], paint: Paint): string {
  return paint(STATE_COLOURS[state], state);
}

const STATE_COLOURS: Record<RelayStatus['state'], Colour> = {
  Serving: 'green',
  Pending: 'yellow',
  Starting: 'yellow',
  Draining: 'yellow',
  Drained: 'yellow',
  Unreachable: 'red',
  Failed: 'red',
};
