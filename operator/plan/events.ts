import type { DrainReason } from '../api/meta.ts';
import type { SizeDecision } from './fleet-size.ts';
import type { RelayView } from './relay-view.ts';
import type { PlannedEvent, World } from './world.ts';

/**
 * What the operator did and why, in words for `kubectl describe`. An event is told once for as long as a plan says it, so
 * that its words must not change while what it tells of goes on.
 */
export function drainStarted(
  view: RelayView,
  reason: DrainReason,
  { world, relays, size, target }: Choice,
): PlannedEvent {
  const rest = relays.filter(
    (other) =>
      !other.draining && !size.drain.includes(other) && (reason !== 'Rollout' || sameRevision(other, view)),
  );
  const causes: Record<DrainReason, string> = {
    Requested: 'somebody asked for it',
    ScaleDown: askedFor(world),
    Rollout: `revision ${target} takes the place of ${view.relay.revision}`,
  };
  const why = reason === 'Requested' ? '' : `; ${whyThisOne(view, rest)}`;
  return normal(
    'DrainStarted',
    `${view.relay.name} drains ${view.sessions} sessions: ${causes[reason]}${why}`,
    view.relay.name,
  );
}

/** What a choice is explained by. */
export interface Choice {
  readonly world: World;
  readonly relays: readonly RelayView[];
  readonly size: SizeDecision;
  readonly target: string;
}

export function drainTakenBack(view: RelayView): PlannedEvent {
  return normal(
    'DrainTakenBack',
    `${view.relay.name} serves again, with the ${view.sessions} sessions that it kept`,
    view.relay.name,
  );
}

export function drainOver(view: RelayView, over: 'empty' | 'timeout', timeout: string): PlannedEvent {
  const { name } = view.relay;
  return over === 'empty'
    ? normal('DrainFinished', `${name} is empty and goes`, name)
    : warning(
        'DrainTimedOut',
        `${name} still held ${view.sessions} sessions when drain.timeout (${timeout}) passed, and goes`,
        name,
      );
}

export function relayCreated(name: string, { world, relays, size, target }: Choice): PlannedEvent {
  const away = relays.filter((view) => view.away !== undefined && !view.draining);
  const asked = relays.filter((view) => view.relay.drainRequested && !view.draining);
  const why =
    away.length > 0
      ? `in place of ${away
          .slice(0, 3)
          .map((view) => view.relay.name)
          .join(', ')}${away.length > 3 ? ' and others' : ''}, whose ${AWAY_WORDS[away[0]!.away!]}`
      : size.rollingOut
        ? `the spec asks for revision ${target}`
        : asked.length > 0
          ? `in place of ${asked[0]!.relay.name}, which somebody wants drained`
          : askedFor(world);
  return normal('RelayCreated', `${name} is added: ${why}`, name);
}

/** A pod that somebody else ends: an eviction, the drain of its node, a deletion. */
export function podEnding(view: RelayView): PlannedEvent[] {
  if (view.draining) return [];
  return view.terminatingPods.map((pod) =>
    normal(
      'PodEnding',
      `pod ${pod.name} of ${view.relay.name} is being ended by somebody else: it drains under its grace period, and another pod takes its place`,
      view.relay.name,
    ),
  );
}

export function foreignChange(view: RelayView): PlannedEvent {
  const { name, foreignManagers } = view.relay;
  return warning(
    'ForeignChangeReverted',
    `what ${foreignManagers.join(', ')} changed in Deployment ${name} is put back: it ends its sessions. To restart the relays set spec.restartedAt`,
    name,
  );
}

/** A rollout's beginning and its end, each by what the last status says of it. That it stands still is a condition. */
export function rolloutEvents({ world, relays, size, target }: Choice): PlannedEvent[] {
  const old = [...new Set(relays.map((view) => view.relay.revision))].filter(
    (revision) => revision !== target,
  );
  const { targetRevision, conditions } = world.fleet.status ?? {};
  const last = conditions?.find(({ type }) => type === 'Progressing');
  if (size.rollingOut) {
    // Begun by the leader before, it isn't told again; nor when it goes on after it was stuck.
    const begun = last?.reason === 'RollingOut' || last?.status === 'False';
    if (begun && targetRevision === target) return [];
    return [
      {
        type: 'Normal',
        reason: 'RolloutStarted',
        message: `relays of revision ${old.toSorted().join(', ')} give way to revision ${target}`,
      },
    ];
  }
  if (last?.reason !== 'RollingOut' || size.outdated > 0) return [];
  const message =
    old.length === 0
      ? `every relay runs revision ${target}`
      : `revision ${target} serves alone; relays of ${old.toSorted().join(', ')} only drain`;
  return [{ type: 'Normal', reason: 'RolloutFinished', message }];
}

const AWAY_WORDS: Record<NonNullable<RelayView['away']>, string> = {
  NodeLost: 'node is lost',
  PortHeld: 'port is held by the pod before it',
};

function askedFor({ fleet }: World): string {
  const { replicas } = fleet.spec;
  return replicas === 1 ? '1 relay is asked for' : `${replicas} relays are asked for`;
}

/** The order of the choice (design-operator 4, Scale): not in service, then fewest sessions, then youngest. */
function whyThisOne(view: RelayView, rest: readonly RelayView[]): string {
  if (view.serving === 'no') return view.sessions > 0 ? "it hasn't been ready for long" : 'it serves nobody';
  if (view.serving === 'unknown') {
    return view.fresh ? "it isn't registered" : "it doesn't answer";
  }
  if (rest.length === 0) return 'no other is left';
  const fewest = Math.min(...rest.map((other) => other.sessions));
  if (view.sessions < fewest) return `it holds fewest, the others ${fewest} or more`;
  return view.sessions === fewest ? 'none holds fewer' : 'of those that may go it holds fewest';
}

function sameRevision(view: RelayView, like: RelayView): boolean {
  return view.relay.revision === like.relay.revision;
}

function normal(reason: string, message: string, relay: string): PlannedEvent {
  return { type: 'Normal', reason, message, about: `Deployment/${relay}` };
}

function warning(reason: string, message: string, relay: string): PlannedEvent {
  return { type: 'Warning', reason, message, about: `Deployment/${relay}` };
}
