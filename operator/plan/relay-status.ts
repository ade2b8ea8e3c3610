import { takesHostPort } from '../api/exposure.ts';
import type { DrainReason } from '../api/meta.ts';
import type { RelayStatus } from '../api/status.ts';
import type { EndpointDecision } from './endpoint.ts';
import { crowdedAddress } from './master-registry.ts';
import { hasAnswered, type RelayView } from './relay-view.ts';
import type { World } from './world.ts';

/** Why a relay isn't serving: a reason in one word, and what it means and what to do. */
export interface Trouble {
  readonly reason: string;
  readonly message: string;
}

/**
 * Characters of a relay's reason in the status, which holds up to 2000 relays and has to stay well under etcd's 1.5 MB. Half a
 * surrogate pair would come back from the API server as another character, and the status be written again and again.
 */
const MOST_REASON = 256;

const IMAGE_REASONS = new Set(['ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']);

/** What stands between a relay and service, the most fundamental thing first; undefined when it serves or drains. */
export function troubleOf(world: World, view: RelayView, endpoint: EndpointDecision): Trouble | undefined {
  const { relay, pod, poll } = view;
  if (view.draining || view.serving === 'yes') return undefined;
  if (relay.replicaFailure !== undefined) {
    const { type } = view.exposure;
    // https://kubernetes.io/docs/concepts/security/pod-security-standards/ forbids both in baseline already.
    const hint =
      takesHostPort(type) && relay.replicaFailure.includes('violates PodSecurity')
        ? `; ${type} needs a namespace with the label pod-security.kubernetes.io/enforce=privileged, or choose another spec.exposure.type`
        : '';
    return { reason: 'PodRefused', message: `${relay.name} gets no pod: ${relay.replicaFailure}${hint}` };
  }
  if (!pod) return { reason: 'PodPending', message: `${relay.name} has no pod yet` };
  if (view.away === 'NodeLost') {
    return {
      reason: 'NodeLost',
      message: `node ${pod.node} of ${relay.name} is not ready; a further relay stands in for it`,
    };
  }
  if (view.away === 'PortHeld') {
    return {
      reason: 'PortHeld',
      message: `pod ${pod.name} needs port ${relay.port}, which the pod before it holds until it has drained; a further relay stands in for it`,
    };
  }
  if (pod.waiting) {
    const reason = IMAGE_REASONS.has(pod.waiting.reason) ? 'ImageUnavailable' : pod.waiting.reason;
    const hint =
      reason === 'ImageUnavailable'
        ? `; correct spec.image, or spec.pod.imagePullSecrets ("kubectl describe pod ${pod.name}" says why)`
        : '';
    return {
      reason,
      message: `pod ${pod.name}: ${[pod.waiting.reason, pod.waiting.message].filter((text) => text !== '').join(': ')}${hint}`,
    };
  }
  if ('reason' in endpoint) return endpoint;
  if (!poll || poll.answeredMs === 0) {
    return {
      reason: 'Starting',
      message: `pod ${pod.name} doesn't answer yet${poll?.error ? `: ${poll.error}` : ''}`,
    };
  }
  if (!view.fresh) {
    return {
      reason: 'Unreachable',
      message: `pod ${pod.name} no longer answers: ${poll.error ?? 'no reply'}`,
    };
  }
  const crowded =
    endpoint.endpoints[0] === undefined ? undefined : crowdedAddress(world, pod.uid, endpoint.endpoints[0]);
  if (!poll.registered) {
    return {
      reason: 'NotRegistered',
      message:
        crowded ??
        `${relay.name} isn't registered at the Master: ${poll.notReadyReason ?? 'it gives no reason'}`,
    };
  }
  return {
    reason: 'NotReady',
    message: `${relay.name} isn't ready: ${poll.notReadyReason ?? `it says it is ${poll.state}`}`,
  };
}

/**
 * A relay that tells Master another address than the one decided: the decision reaches it through a file, which a kubelet
 * brings within a minute or two.
 */
export function mismatchOf(view: RelayView, endpoint: EndpointDecision): Trouble | undefined {
  const { poll, relay } = view;
  if (view.draining || view.serving !== 'yes' || !poll || !('endpoints' in endpoint)) return undefined;
  const told = new Set(poll.endpoints);
  if (endpoint.endpoints.some((wanted) => told.has(wanted))) return undefined;
  return {
    reason: 'EndpointMismatch',
    message: `${relay.name} is registered at ${poll.endpoints.slice(0, 3).join(', ') || 'no address'} and should be at ${endpoint.endpoints.join(', ')}; if this stays, its pod doesn't get its annotations: "kubectl describe pod ${view.pod?.name ?? ''}"`,
  };
}

export function relayStatus(
  view: RelayView,
  endpoint: EndpointDecision,
  trouble: Trouble | undefined,
): RelayStatus {
  const { relay, pod } = view;
  const reason = trouble ? `${trouble.reason}: ${trouble.message}` : drainInWords(view);
  const firstEndpoint = 'endpoints' in endpoint ? endpoint.endpoints[0] : undefined;
  return {
    name: relay.name,
    revision: relay.revision,
    state: stateOf(view, trouble),
    ...(reason === undefined ? {} : { reason: reason.slice(0, MOST_REASON).toWellFormed() }),
    ...(pod ? { pod: pod.name, relayId: pod.uid } : {}),
    ...(pod?.node === undefined ? {} : { node: pod.node }),
    ...(firstEndpoint === undefined ? {} : { endpoint: firstEndpoint }),
    ...sessionsOf(view),
    ...(relay.drainingSinceMs === undefined
      ? {}
      : { drainingSince: new Date(relay.drainingSinceMs).toISOString() }),
  };
}

/** Why a relay drains, or is going to, or what of it does. */
function drainInWords({ relay, draining, terminatingPods }: RelayView): string | undefined {
  if (relay.drainRequested && !draining) {
    return 'DrainRequested: it drains once a relay that takes its place serves';
  }
  if (draining) return relay.drainReason && DRAIN_WORDS[relay.drainReason];
  return terminatingPods[0] && `PodEnding: pod ${terminatingPods[0].name} before it still drains`;
}

const DRAIN_WORDS: Record<DrainReason, string> = {
  Requested: 'DrainRequested: somebody asked for it',
  ScaleDown: 'ScaleDown: fewer relays are wanted',
  Rollout: 'Rollout: a relay of the new revision takes its place',
};

/**
 * What it said last, to an operator before this one if need be: by that a relay which falls silent is known to hold some.
 * Those of a pod before it, which is ending, aren't its own: they would be taken for sessions that went over.
 */
function sessionsOf({
  pod,
  poll,
  written,
  terminatingPods,
  sessions: sum,
}: RelayView): Pick<RelayStatus, 'sessions'> {
  if (!pod) return terminatingPods.length > 0 ? { sessions: sum } : {};
  const sessions = hasAnswered(poll) ? poll.totalSessions : written?.sessions;
  return sessions === undefined ? {} : { sessions };
}

function stateOf(view: RelayView, trouble: Trouble | undefined): RelayStatus['state'] {
  if (view.draining) return view.empty ? 'Drained' : 'Draining';
  if (view.serving === 'yes') return 'Serving';
  switch (trouble?.reason) {
    case undefined:
    case 'Starting':
    case 'NotReady':
    case 'NotRegistered':
      return 'Starting';
    case 'PodPending':
    case 'PortHeld':
    case 'EndpointsPending':
    case 'Unschedulable':
    case 'ContainerCreating':
    case 'PodInitializing':
      return 'Pending';
    case 'Unreachable':
    case 'NodeLost':
      return 'Unreachable';
    default:
      return 'Failed';
  }
}
