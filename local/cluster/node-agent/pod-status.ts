import type { Condition, ContainerStatus, Pod, PodPhase, PodStatus } from './resources.ts';

/** What the agent knows of a pod beyond its object. */
export interface PodObservation {
  hostIP: string;
  podIP: string | undefined;
  startTime: string;
  initContainers: readonly ContainerStatus[];
  containers: readonly ContainerStatus[];
  /** All init containers are done (sidecars: started). */
  initialized: boolean;
  /** All containers have ended for good, because of the pod's deletion or its restart policy. */
  ended: boolean;
  /** What was written last: newer than what the pod's object may show. */
  written: PodStatus | undefined;
}

/** The status to write, given the one that is there: conditions keep their time unless they change. */
export function podStatus(pod: Pod, seen: PodObservation, now: string): PodStatus {
  const phase = phaseOf(pod, seen);
  const completed = phase === 'Succeeded';
  const unready = seen.containers.filter((container) => !container.ready).map((container) => container.name);
  const containersReady = unready.length === 0 && !completed && phase !== 'Failed';
  const missingGates = (pod.spec.readinessGates ?? []).filter(
    ({ conditionType }) => condition(pod, conditionType)?.status !== 'True',
  );

  const notReady = completed
    ? { reason: 'PodCompleted' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const ready =
    containersReady && missingGates.length > 0
      ? {
          reason: 'ReadinessGatesNotReady',
          message: `not True: ${missingGates.map((gate) => gate.conditionType).join(', ')}`,
        }
      : containersReady
        ? undefined
        : notReady;

  const conditions = [
    judged('PodReadyToStartContainers', seen.podIP ? undefined : {}),
    judged(
      'Initialized',
      seen.initialized || completed
        ? undefined
        : {
            reason: 'ContainersNotInitialized',
            message: `containers with incomplete status: [${seen.initContainers.map((container) => container.name).join(' ')}]`,
          },
    ),
    judged('Ready', ready),
    judged('ContainersReady', containersReady ? undefined : notReady),
    judged('PodScheduled', undefined),
  ].map((fresh) =>
    withTransitionTime(
      fresh,
      (seen.written ?? pod.status)?.conditions?.find(({ type }) => type === fresh.type),
      now,
    ),
  );

  return {
    phase,
    conditions,
    hostIP: seen.hostIP,
    hostIPs: [{ ip: seen.hostIP }],
    ...(seen.podIP ? { podIP: seen.podIP, podIPs: [{ ip: seen.podIP }] } : {}),
    startTime: (seen.written ?? pod.status)?.startTime ?? seen.startTime,
    ...(seen.initContainers.length > 0 ? { initContainerStatuses: [...seen.initContainers] } : {}),
    containerStatuses: [...seen.containers],
  };
}

/** Source: kubelet `getPhase`. */
function phaseOf(pod: Pod, { initialized, containers, ended, written }: PodObservation): PodPhase {
  if (ended) {
    // Init containers that failed leave containers that never ran.
    const succeeded = containers.every((container) => container.state.terminated?.exitCode === 0);
    return succeeded ? 'Succeeded' : 'Failed';
  }
  if (!initialized) return 'Pending';
  const begun = containers.every(({ state, lastState }) => !state.waiting || lastState.terminated);
  return begun || (written ?? pod.status)?.phase === 'Running' ? 'Running' : 'Pending';
}

function condition(pod: Pod, type: string): Condition | undefined {
  return pod.status?.conditions?.find((candidate) => candidate.type === type);
}

/** Absent reasons are null, so that a strategic merge takes the old ones away. */
function judged(type: string, fault: { reason?: string; message?: string } | undefined): Condition {
  return {
    type,
    status: fault ? 'False' : 'True',
    reason: fault?.reason ?? null,
    message: fault?.message ?? null,
  };
}

function withTransitionTime(fresh: Condition, old: Condition | undefined, now: string): Condition {
  return {
    ...fresh,
    lastTransitionTime: old?.status === fresh.status ? (old.lastTransitionTime ?? now) : now,
  };
}
