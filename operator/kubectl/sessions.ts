import type { FleetObject } from './fleets.ts';
import type { Paint } from './paint.ts';
import { drainLeft, paintState, percent, sessionsPerRelay } from './relay-rows.ts';
import { table } from './table.ts';

export interface SessionsView {
  readonly nowMs: number;
  readonly withNamespace: boolean;
  readonly wide: boolean;
  readonly noHeaders: boolean;
  readonly paint: Paint;
}

/** Relays of all fleets, fullest first. Draining ones take no new sessions, so they have no capacity to fill. */
export function sessionsText(fleets: readonly FleetObject[], view: SessionsView): string {
  const relays = fleets
    .flatMap((fleet) => (fleet.status?.relays ?? []).map((relay) => ({ fleet, relay })))
    .toSorted(
      (a, b) => (b.relay.sessions ?? -1) - (a.relay.sessions ?? -1) || (a.relay.name < b.relay.name ? -1 : 1),
    );
  const headings = [
    ...(view.withNamespace ? ['NAMESPACE'] : []),
    'FLEET',
    'RELAY',
    'STATE',
    'SESSIONS',
    'CAPACITY',
    'USED',
    'GOES WITHIN',
    ...(view.wide ? ['NODE', 'ENDPOINT', 'POD', 'RELAY ID'] : []),
  ];
  const rows = relays.map(({ fleet, relay }) => {
    const capacity = sessionsPerRelay(fleet);
    const takesMore = relay.drainingSince === undefined;
    return [
      ...(view.withNamespace ? [fleet.metadata.namespace ?? ''] : []),
      fleet.metadata.name,
      relay.name,
      paintState(relay.state, view.paint),
      String(relay.sessions ?? '<unknown>'),
      takesMore ? String(capacity) : '-',
      relay.sessions === undefined || !takesMore ? '-' : percent(relay.sessions, capacity),
      drainLeft(fleet, relay, view.nowMs) ?? '-',
      ...(view.wide
        ? [
            relay.node ?? '<none>',
            relay.endpoint ?? '<none>',
            relay.pod ?? '<none>',
            relay.relayId ?? '<none>',
          ]
        : []),
    ];
  });
  return table(headings, rows, view);
}

/** The same as a value, for -o json and -o yaml. */
export function sessionsValue(fleets: readonly FleetObject[]): readonly object[] {
  return fleets.map((fleet) => ({
    namespace: fleet.metadata.namespace,
    name: fleet.metadata.name,
    totalSessions: fleet.status?.totalSessions ?? 0,
    sessionCapacity: fleet.status?.sessionCapacity ?? 0,
    relays: (fleet.status?.relays ?? []).map((relay) => ({
      name: relay.name,
      state: relay.state,
      sessions: relay.sessions,
      capacity: sessionsPerRelay(fleet),
      drainingSince: relay.drainingSince,
      node: relay.node,
      endpoint: relay.endpoint,
      pod: relay.pod,
      relayId: relay.relayId,
    })),
  }));
}
