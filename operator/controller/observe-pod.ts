import { Label } from '../api/meta.ts';
import type { KubeObject } from '../kube/object.ts';
import type { ObservedPod } from '../plan/world.ts';
import { RELAY_CONTAINER } from '../specs/deployment.ts';

export interface PodBody {
  readonly spec?: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers?: readonly {
      readonly name?: string;
      readonly ports?: readonly PortBody[];
      readonly args?: readonly string[];
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly hostIP?: string;
    readonly conditions?: readonly {
      type: string;
      status: string;
      reason?: string;
      message?: string;
      lastTransitionTime?: string;
    }[];
    readonly containerStatuses?: readonly {
      readonly name?: string;
      readonly image?: string;
      readonly restartCount?: number;
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
        readonly running?: { readonly startedAt?: string };
      };
      readonly lastState?: { readonly terminated?: Terminated };
    }[];
  };
}

export function observePod(object: KubeObject): ObservedPod {
  const { metadata } = object;
  const { spec, status } = object as KubeObject & PodBody;
  const container = relayAmong(status?.containerStatuses);
  return {
    name: metadata.name,
    uid: metadata.uid,
    relay: metadata.labels?.[Label.relay] ?? '',
    createdMs: Date.parse(metadata.creationTimestamp),
    node: spec?.nodeName,
    scheduledMs: changedMs(status, 'PodScheduled', 'True'),
    podIP: status?.podIP,
    hostIP: status?.hostIP,
    phase: status?.phase ?? 'Pending',
    ready: status?.conditions?.some((entry) => entry.type === 'Ready' && entry.status === 'True') ?? false,
    readyChangedMs: changedMs(status, 'Ready'),
    startedMs: timeMs(container?.state?.running?.startedAt),
    terminating: metadata.deletionTimestamp !== undefined,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    waiting: waitingOf(status),
    restarts: container?.restartCount ?? 0,
    maxSessions: maxSessionsOf(spec),
  };
}

/** When a condition last changed, if it is as wanted. */
function changedMs(status: PodBody['status'], type: string, wanted?: 'True'): number | undefined {
  const condition = status?.conditions?.find(
    (entry) => entry.type === type && (wanted === undefined || entry.status === wanted),
  );
  return timeMs(condition?.lastTransitionTime);
}

function timeMs(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : time;
}

/**
 * What a pull that failed is called, and until the next try (pkg/kubelet/images/types.go). The two take turns for as long as it
 * fails, and the words of a registry hold ports and ids that differ from try to try.
 */
const FAILED_PULLS = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'RegistryUnavailable',
  'SignatureValidationFailed',
]);

function waitingOf(status: PodBody['status']): ObservedPod['waiting'] {
  const unscheduled = status?.conditions?.find(
    (entry) => entry.type === 'PodScheduled' && entry.status === 'False',
  );
  if (unscheduled) {
    return { reason: unscheduled.reason ?? 'Unschedulable', message: bounded(unscheduled.message) };
  }
  const container = relayAmong(status?.containerStatuses);
  const waiting = container?.state?.waiting;
  if (!waiting) return undefined;
  if (FAILED_PULLS.has(waiting.reason ?? '')) {
    return { reason: 'ImagePullBackOff', message: `"${bounded(container?.image)}" can't be pulled` };
  }
  const lastWords = endOf(container?.lastState?.terminated);
  // What the kubelet says grows with each start, and hides what the relay said.
  const said = waiting.reason === 'CrashLoopBackOff' ? 'it keeps ending' : bounded(waiting.message);
  return { reason: waiting.reason ?? 'Waiting', message: `${said}${lastWords}` };
}

/** How its program ended last: of the log that `terminationMessagePolicy: FallbackToLogsOnError` keeps, the line that says why. */
function endOf(last: Terminated | undefined): string {
  if (!last) return '';
  const kind = last.reason === undefined || last.reason === 'Error' ? '' : `, ${last.reason}`;
  const line = bounded((last.message ?? '').trimEnd().split('\n').at(-1));
  return ` (exit code ${last.exitCode ?? '?'}${kind}${line === '' ? '' : `: ${line}`})`;
}

function bounded(text: string | undefined): string {
  return (text ?? '').trim().slice(-512);
}

/** The relay's own container, or its status. */
export function relayAmong<T extends { readonly name?: string }>(
  containers: readonly T[] | undefined,
): T | undefined {
  return containers?.find(({ name }) => name === RELAY_CONTAINER);
}

/** A port that the relay's container names. */
export function portOf(pod: PodBody['spec'], name: 'relay' | 'health'): PortBody | undefined {
  return relayAmong(pod?.containers)?.ports?.find((port) => port.name === name);
}

/** The port of its node that a relay takes. */
export function hostPortOf(pod: PodBody['spec']): number | undefined {
  const port = portOf(pod, 'relay');
  return pod?.hostNetwork === true ? port?.containerPort : port?.hostPort;
}

function maxSessionsOf(pod: PodBody['spec']): number | undefined {
  const flag = '--max-sessions=';
  const text = relayAmong(pod?.containers)?.args?.find((argument) => argument.startsWith(flag));
  const number = Number(text?.slice(flag.length) || Number.NaN);
  return Number.isInteger(number) && number >= 0 ? number : undefined;
}

interface PortBody {
  readonly name?: string;
  readonly containerPort?: number;
  readonly hostPort?: number;
}

interface Terminated {
  readonly exitCode?: number;
  readonly message?: string;
  readonly reason?: string;
}
