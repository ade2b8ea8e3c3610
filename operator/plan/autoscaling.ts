import type { Condition } from '../api/status.ts';
import { capacityOf } from '../specs/fleet.ts';
import { horizontalPodAutoscaler } from '../specs/horizontal-pod-autoscaler.ts';
import type { AppliedObject } from '../specs/object.ts';
import type { Trouble } from './relay-status.ts';
import type { AutoscalerCondition, ObservedAutoscaler, World } from './world.ts';

type Judgement = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** The operator's HPA; none beside somebody else's autoscaler, as two on one target make both stop (design-operator 5). */
export function wantedAutoscaler(world: World): AppliedObject | undefined {
  return foreignAutoscalers(world).length > 0 ? undefined : horizontalPodAutoscaler(world.fleet);
}

/** The condition Autoscaling. */
export function autoscaling(world: World, troubles: readonly Trouble[]): Judgement {
  const foreign = foreignAutoscalers(world);
  const names = foreign.map(({ kind, name }) => `${kind} ${name}`).join(' and ');
  if (!world.fleet.spec.autoscaling) {
    const [only] = foreign;
    if (only && foreign.length === 1) return judge(world, only, `${names} sets spec.replicas`, troubles);
    return foreign.length === 0
      ? isNot(
          'NotConfigured',
          'spec.autoscaling is not set; spec.replicas is yours, or that of an autoscaler of your own',
        )
      : isNot(
          'ForeignAutoscaler',
          `${names} target this resource, and two autoscalers on one target make both stop: delete all but one`,
        );
  }
  if (foreign.length > 0) {
    return isNot(
      'ForeignAutoscaler',
      `${names} ${foreign.length === 1 ? 'targets' : 'target'} this resource as well, and two autoscalers on one target make both stop, so the operator makes none: delete ${names}, or leave spec.autoscaling out`,
    );
  }
  const { minReplicas, maxReplicas, targetSessionUtilization } = world.fleet.spec.autoscaling;
  const own = world.autoscalers.find(({ by }) => by === 'us');
  const { maxSessions } = capacityOf(world.fleet.spec);
  return judge(
    world,
    own,
    `${own ? `${own.kind} ${own.name}` : 'a HorizontalPodAutoscaler'} holds ${minReplicas} to ${maxReplicas} relays at ${targetSessionUtilization} % of ${maxSessions} sessions each`,
    troubles,
  );
}

/** Autoscalers of others; KEDA's HorizontalPodAutoscaler is told by the ScaledObject that a person wrote. */
function foreignAutoscalers(world: World): ObservedAutoscaler[] {
  const others = world.autoscalers.filter(({ by }) => by === 'another');
  const known = new Set(others.map(({ kind, name }) => `${kind}/${name}`));
  return others
    .filter(({ madeFor }) => madeFor === undefined || !known.has(madeFor))
    .toSorted((a, b) => (`${a.kind}/${a.name}` < `${b.kind}/${b.name}` ? -1 : 1));
}

/** What an autoscaler says of itself (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions), and what stands in its way here. */
function judge(
  world: World,
  autoscaler: ObservedAutoscaler | undefined,
  works: string,
  troubles: readonly Trouble[],
): Judgement {
  const { replicas, autoscaling } = world.fleet.spec;
  const is = (type: string, status: string): AutoscalerCondition | undefined =>
    autoscaler?.conditions.find((condition) => condition.type === type && condition.status === status);
  const name = autoscaler ? `${autoscaler.kind} ${autoscaler.name}` : '';

  const disabled = is('ScalingActive', 'False');
  if (replicas === 0 && (autoscaling || disabled?.reason === 'ScalingDisabled')) {
    return isNot(
      'ScaledToZero',
      `spec.replicas is 0, which turns autoscaling off: "kubectl scale wr/${world.fleet.name} --replicas=1" turns it on again`,
    );
  }
  if (autoscaling && world.metricsApi.state === 'foreign') {
    return isNot('ForeignMetricsAPI', world.metricsApi.message);
  }
  // KEDA's own word for a trigger that can't be read (https://keda.sh/docs/latest/reference/scaledobject-spec/).
  const unready = autoscaler?.kind === 'ScaledObject' ? is('Ready', 'False') : undefined;
  if (unready) return isNot(unready.reason, `${name}: ${unready.message}`);
  const unable = is('AbleToScale', 'False');
  if (unable && unable.reason !== 'BackoffBoth') return isNot(unable.reason, `${name}: ${unable.message}`);
  if (disabled)
    return isNot(disabled.reason, `${name}: ${disabled.message}${hintFor(world, disabled.reason)}`);
  if (autoscaling && (replicas < autoscaling.minReplicas || replicas > autoscaling.maxReplicas)) {
    const bound = replicas < autoscaling.minReplicas ? autoscaling.minReplicas : autoscaling.maxReplicas;
    return isNot(
      'OutOfBounds',
      `spec.replicas is ${replicas}, outside ${autoscaling.minReplicas} to ${autoscaling.maxReplicas} of spec.autoscaling; the autoscaler sets it to ${bound}`,
    );
  }
  const unschedulable = troubles.filter(({ reason }) => reason === 'Unschedulable');
  if (unschedulable.length > 0) {
    return isNot(
      'Unschedulable',
      `${replicas} relays are asked for, and no node has room for ${unschedulable.length} of them: ${unschedulable[0]!.message}. Add nodes, or ask for less (spec.pod.resources, maxReplicas)`,
    );
  }
  if (autoscaler?.kind === 'HorizontalPodAutoscaler' && !is('ScalingActive', 'True')) {
    return {
      type: 'Autoscaling',
      status: 'Unknown',
      reason: 'Starting',
      message: `${name} hasn't judged yet`,
    };
  }
  if (!autoscaler) {
    return {
      type: 'Autoscaling',
      status: 'Unknown',
      reason: 'Starting',
      message: `${works}, once it is made`,
    };
  }
  if (is('ScalingLimited', 'True')?.reason === 'TooManyReplicas') {
    return {
      type: 'Autoscaling',
      status: 'True',
      reason: 'AtMaximum',
      message: `${works}, and would have more than ${replicas}: raise its maximum if new sessions are refused`,
    };
  }
  return { type: 'Autoscaling', status: 'True', reason: 'Active', message: works };
}

function hintFor({ metricsApi }: World, reason: string): string {
  if (!reason.startsWith('FailedGet')) return '';
  const why =
    metricsApi.message === ''
      ? '"kubectl get apiservice v1beta2.custom.metrics.k8s.io" tells whether its metrics are served'
      : metricsApi.message;
  return `. Until it can, the fleet keeps its size. ${why[0]!.toUpperCase()}${why.slice(1)}`;
}

function isNot(reason: string, message: string): Judgement {
  return { type: 'Autoscaling', status: 'False', reason, message };
}
