import type { Condition, RelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';
import type { FleetObject } from './fleets.ts';
import { drainLeft } from './relay-rows.ts';

export interface EventObject extends KubeObject {
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly count?: number;
  readonly lastTimestamp?: string | null;
  readonly eventTime?: string | null;
}

export interface Blocker {
  readonly reason: string;
  readonly message: string;
  /** What it holds back: names of relays, or nothing for the fleet as a whole. */
  readonly relays: readonly string[];
  readonly advice: string | undefined;
}

/** Why a fleet, or one relay of it, is as it is. */
export interface Explanation {
  readonly subject: string;
  readonly well: boolean;
  readonly headline: string;
  readonly blockers: readonly Blocker[];
  /** What goes on and needs nobody. */
  readonly underWay: readonly string[];
  readonly conditions: readonly Condition[];
}

/** @param relayName one relay only; absent: the whole fleet */
export function explain(fleet: FleetObject, nowMs: number, relayName?: string): Explanation {
  const { metadata, status } = fleet;
  const relays = (status?.relays ?? []).filter(
    (relay) => relayName === undefined || relay.name === relayName,
  );
  const blockers = [
    ...unobserved(fleet),
    ...ofRelays(fleet, relays),
    ...(relayName === undefined ? ofConditions(status?.conditions ?? [], relays) : []),
  ];
  const underWay = [
    ...(relayName === undefined ? ofProgress(status?.conditions ?? [], blockers.length > 0) : []),
    ...relays.flatMap((relay) => drainInWords(fleet, relay, nowMs)),
  ];
  const only = relayName === undefined ? undefined : relays[0];
  return {
    subject: relayName ?? metadata.name,
    well: blockers.length === 0,
    headline: only ? relayHeadline(only) : fleetHeadline(fleet, blockers.length === 0),
    blockers,
    underWay,
    conditions: relayName === undefined ? (status?.conditions ?? []) : [],
  };
}

/** The events that tell of the subject, newest last. */
export function eventsOf(events: readonly EventObject[], subject: string, isRelay: boolean): EventObject[] {
  return events
    .filter((event) => !isRelay || mentions(event.message ?? '', subject))
    .toSorted((a, b) => eventMs(a) - eventMs(b));
}

export function eventMs(event: EventObject): number {
  return Date.parse(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp);
}

function fleetHeadline(fleet: FleetObject, well: boolean): string {
  const { metadata, spec, status } = fleet;
  const name = metadata.name;
  if (metadata.deletionTimestamp !== undefined) {
    return `${name} is being deleted; relays end once their sessions have, under their grace period.`;
  }
  if (!status) return `${name} has not been looked at yet.`;
  const relays = `${status.readyReplicas ?? 0} of ${spec.replicas ?? 0} relays serve`;
  const sessions = `${status.totalSessions ?? 0} sessions of ${status.sessionCapacity ?? 0}`;
  const ready = status.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
  if (!ready) return `${name} is not ready: ${relays}, ${sessions}.`;
  return well
    ? `${name} is well: ${relays}, ${sessions}.`
    : `${name} serves, but not all is well: ${relays}, ${sessions}.`;
}

function relayHeadline(relay: RelayStatus): string {
  const where = relay.node === undefined ? '' : ` on node ${relay.node}`;
  const at = relay.endpoint === undefined ? '' : `, reached at ${relay.endpoint}`;
  return `${relay.name} is ${relay.state.toLowerCase()}${where}${at}, and holds ${relay.sessions ?? 'an unknown number of'} sessions.`;
}

const OPERATOR =
  'see that it runs: "kubectl get pods -A -l app.kubernetes.io/name=wavry-relay-operator", and its log';

function unobserved(fleet: FleetObject): Blocker[] {
  const { metadata, status } = fleet;
  if (metadata.deletionTimestamp !== undefined) return [];
  if (!status) {
    return [
      {
        reason: 'NotObserved',
        message: 'the operator has written no status yet',
        relays: [],
        advice: OPERATOR,
      },
    ];
  }
  if ((status.observedGeneration ?? 0) >= (metadata.generation ?? 0)) return [];
  return [
    {
      reason: 'NotObserved',
      message: `the operator has not acted on the last change of the spec (generation ${metadata.generation}, seen ${status.observedGeneration ?? 0})`,
      relays: [],
      advice: OPERATOR,
    },
  ];
}

/** Of relays that one reason holds up. */
const MOST_MESSAGES = 2;

/** Relays that don't serve though they should; those with one reason are told of together. */
function ofRelays(fleet: FleetObject, relays: readonly RelayStatus[]): Blocker[] {
  const held = relays.filter((relay) => !['Serving', 'Draining', 'Drained'].includes(relay.state));
  return [...Map.groupBy(held, (relay) => splitReason(relay)[0])].map(([reason, group]) => {
    const messages = new Map(
      group.map((relay) => {
        const [, message] = splitReason(relay);
        return [without(message, relay), message];
      }),
    );
    return {
      reason,
      message: [...messages.values()].slice(0, MOST_MESSAGES).join('; '),
      relays: group.map((relay) => relay.name),
      advice: adviceOn(reason, group[0]!, fleet.metadata.namespace ?? 'default'),
    };
  });
}

/** What conditions say is wrong and relays don't say already. */
function ofConditions(conditions: readonly Condition[], relays: readonly RelayStatus[]): Blocker[] {
  const said = new Set(relays.map((relay) => splitReason(relay)[0]));
  return conditions
    .filter(
      ({ type, status, reason }) =>
        (type === 'Ready' && status === 'False' && relays.length === 0) ||
        (type === 'Progressing' && (status === 'False' || reason === 'Paused')) ||
        (type === 'Degraded' && status === 'True') ||
        (type === 'Autoscaling' && status === 'False' && reason !== 'NotConfigured'),
    )
    .filter(({ type, reason }) => type !== 'Ready' || !said.has(reason))
    .map(({ type, reason, message }) => ({
      reason,
      message,
      relays: [],
      advice:
        type === 'Progressing' && reason === 'Paused'
          ? 'set spec.rollout.paused to false to go on'
          : undefined,
    }));
}

function ofProgress(conditions: readonly Condition[], held: boolean): string[] {
  const progressing = conditions.find((condition) => condition.type === 'Progressing');
  if (!progressing || progressing.status === 'False') return [];
  // That relays don't serve yet is what the blockers explain.
  const said = ['UpToDate', 'Paused', 'Draining', ...(held ? ['Starting'] : [])];
  return said.includes(progressing.reason) ? [] : [progressing.message];
}

function drainInWords(fleet: FleetObject, relay: RelayStatus, nowMs: number): string[] {
  const left = drainLeft(fleet, relay, nowMs);
  const [reason, message] = splitReason(relay);
  if (left === undefined)
    return reason === 'DrainRequested' ? [`${relay.name} is asked to drain: ${message}`] : [];
  const why = message === '' ? '' : ` (${message})`;
  return relay.state === 'Drained'
    ? [`${relay.name} is drained${why} and goes now`]
    : [
        `${relay.name} drains${why}: ${relay.sessions ?? '?'} sessions are left, and it goes within ${left} at the latest`,
      ];
}

/** The operator writes `Reason: message`. */
function splitReason(relay: RelayStatus): readonly [reason: string, message: string] {
  const match = /^([A-Za-z][A-Za-z0-9]*): ([\s\S]*)$/.exec(relay.reason ?? '');
  return match ? [match[1]!, match[2]!] : [relay.state, relay.reason ?? ''];
}

function without(message: string, relay: RelayStatus): string {
  return [relay.pod, relay.name].reduce(
    (text: string, name) => (name === undefined ? text : text.replaceAll(name, '…')),
    message,
  );
}

/** What to do, where the operator's own message doesn't say. */
function adviceOn(reason: string, relay: RelayStatus, namespace: string): string | undefined {
  const pod = relay.pod ?? '';
  switch (reason) {
    case 'CrashLoopBackOff':
    case 'RunContainerError':
      return `read what it said last: "kubectl logs -n ${namespace} ${pod} --previous"`;
    case 'NotRegistered':
    case 'NotReady':
      return `check spec.master (url, keys, token), and read its log: "kubectl logs -n ${namespace} ${pod}"`;
    case 'Unschedulable':
      return `add nodes or free some, or ask for less (spec.size, spec.pod): "kubectl describe pod -n ${namespace} ${pod}"`;
    case 'Unreachable':
      return `the operator must reach the pod's port 9091; read its log: "kubectl logs -n ${namespace} ${pod}"`;
    case 'PodPending':
      return `read the events: "kubectl describe deployment -n ${namespace} ${relay.name}"`;
    default:
      return undefined;
  }
}

/** Names end where no further letter of a name follows: `eu-…-1` isn't meant by `eu-…-12`. */
function mentions(text: string, name: string): boolean {
  return text.split(/[^-a-z0-9.]+/).some((word) => word === name || word.startsWith(`${name}-`));
}
