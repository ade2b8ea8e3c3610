import type { Condition } from '../api/status.ts';
import { age } from './age.ts';
import type { FleetObject } from './fleets.ts';
import type { Paint } from './paint.ts';
import { drainLeft, paintState, percent } from './relay-rows.ts';
import { harmless, table } from './table.ts';

export interface StatusView {
  readonly nowMs: number;
  readonly withNamespace: boolean;
  readonly wide: boolean;
  /** Each fleet's relays as well. */
  readonly withRelays: boolean;
  readonly noHeaders: boolean;
  readonly paint: Paint;
}

export function statusText(fleets: readonly FleetObject[], view: StatusView): string {
  const headings = [
    ...(view.withNamespace ? ['NAMESPACE'] : []),
    'NAME',
    'READY',
    'DRAINING',
    'SESSIONS',
    'CAPACITY',
    'USED',
    'REGION',
    'STATE',
    'AGE',
    ...(view.wide ? ['REVISION', 'TARGET', 'UPDATED'] : []),
  ];
  const rows = fleets.map((fleet) => {
    const { metadata, spec, status } = fleet;
    const sessions = status?.totalSessions ?? 0;
    const capacity = status?.sessionCapacity ?? 0;
    const relays = status?.relays ?? [];
    const updated = relays.filter((relay) => relay.revision === status?.targetRevision).length;
    return [
      ...(view.withNamespace ? [metadata.namespace ?? ''] : []),
      metadata.name,
      `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`,
      String(status?.drainingReplicas ?? 0),
      String(sessions),
      String(capacity),
      percent(sessions, capacity),
      harmless(spec.region ?? '<none>'),
      stateOf(fleet, view.paint),
      age(view.nowMs - Date.parse(metadata.creationTimestamp)),
      ...(view.wide
        ? [
            status?.currentRevision ?? '<none>',
            status?.targetRevision ?? '<none>',
            `${updated}/${relays.length}`,
          ]
        : []),
    ];
  });
  const lists = view.withRelays ? fleets.map((fleet) => relaysText(fleet, view)) : [];
  return [table(headings, rows, view), ...lists].join('\n');
}

/** The condition that matters most, in one word. */
function stateOf(fleet: FleetObject, paint: Paint): string {
  const { metadata, status } = fleet;
  if (metadata.deletionTimestamp !== undefined) return paint('yellow', 'Deleting');
  const condition = (type: string): Condition | undefined =>
    status?.conditions?.find((entry) => entry.type === type);
  const ready = condition('Ready');
  if (!ready || (status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    return paint('yellow', 'Unobserved');
  }
  const progressing = condition('Progressing');
  const degraded = condition('Degraded');
  if (ready.status !== 'True') return paint('red', harmless(ready.reason));
  if (progressing?.status === 'False') return paint('red', harmless(progressing.reason));
  if (degraded?.status === 'True') return paint('yellow', harmless(degraded.reason));
  if (progressing && progressing.reason !== 'UpToDate') return paint('yellow', harmless(progressing.reason));
  return paint('green', harmless(ready.reason));
}

function relaysText(fleet: FleetObject, view: StatusView): string {
  const relays = fleet.status?.relays ?? [];
  if (relays.length === 0) return `${fleet.metadata.name} has no relays.\n`;
  return table(
    [
      'RELAY',
      'STATE',
      'SESSIONS',
      'NODE',
      'ENDPOINT',
      'GOES WITHIN',
      ...(view.wide ? ['POD'] : []),
      'REASON',
    ],
    relays.map((relay) => [
      relay.name,
      paintState(relay.state, view.paint),
      String(relay.sessions ?? '-'),
      relay.node ?? '<none>',
      relay.endpoint ?? '<none>',
      drainLeft(fleet, relay, view.nowMs) ?? '-',
      ...(view.wide ? [relay.pod ?? '<none>'] : []),
      harmless(relay.reason ?? ''),
    ]),
    view,
  );
}
