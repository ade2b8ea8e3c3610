import type { Condition } from '../api/status.ts';
import { autoscaling } from './autoscaling.ts';
import type { SizeDecision } from './fleet-size.ts';
import { MONITORING } from './monitoring.ts';
import type { RelayView } from './relay-view.ts';
import type { Trouble } from './relay-status.ts';
import type { World } from './world.ts';

/** What the conditions are judged from. */
export interface Judged {
  readonly size: SizeDecision;
  readonly target: string;
  readonly relays: readonly RelayView[];
  readonly troubles: readonly Trouble[];
  /** What is wrong although relays may serve: foreign objects, missing references, refused writes. */
  readonly faults: readonly Trouble[];
}

type Judgement = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** Ready, Progressing, Autoscaling and Degraded; a transition time changes only with its status. */
export function conditions(world: World, judged: Judged): Condition[] {
  const before = new Map(world.fleet.status?.conditions?.map((condition) => [condition.type, condition]));
  return [
    ready(world, judged),
    progressing(world, judged),
    autoscaling(world, judged.troubles),
    degraded(world, judged),
  ].map((judgement) => {
    const last = before.get(judgement.type);
    return {
      ...judgement,
      message: judgement.message.slice(0, 4096).toWellFormed(),
      observedGeneration: world.fleet.generation,
      lastTransitionTime:
        last?.status === judgement.status ? last.lastTransitionTime : new Date(world.nowMs).toISOString(),
    };
  });
}

function ready(world: World, { relays, troubles }: Judged): Judgement {
  const desired = world.fleet.spec.replicas;
  const serving = relays.filter((view) => view.serving === 'yes' && !view.draining).length;
  if (serving >= desired) {
    return desired === 0
      ? {
          type: 'Ready',
          status: 'True',
          reason: 'ScaledToZero',
          message: 'spec.replicas is 0: no relay is asked for',
        }
      : {
          type: 'Ready',
          status: 'True',
          reason: 'Serving',
          message: `${serving} of ${desired} relays serve`,
        };
  }
  const first = troubles[0];
  return {
    type: 'Ready',
    status: 'False',
    reason: first?.reason ?? 'Starting',
    message: `${serving} of ${desired} relays serve${first ? `; ${distinct(troubles)}` : ''}`,
  };
}

function progressing(world: World, { size, target, troubles, relays }: Judged): Judgement {
  if (size.stuck) {
    const first = troubles[0];
    const timeout = world.fleet.spec.exposure.readyTimeout;
    const further = relays.some((view) => view.serving === 'yes' && view.relay.revision === target)
      ? 'further '
      : '';
    const what =
      size.outdated > 0
        ? `no ${further}relay of the new revision registered within ${timeout}, so the old one goes on serving`
        : `no relay has served for ${timeout}`;
    // What has served before needs no other spec.
    const correct = size.outdated > 0 ? '. Correct the spec, or set it back' : '. Correct the spec';
    return {
      type: 'Progressing',
      status: 'False',
      reason: first?.reason ?? 'RolloutStuck',
      message: `${what}${first ? `: ${first.message}` : ''}${world.fleet.status?.currentRevision === target ? '' : correct}`,
    };
  }
  if (size.outdated > 0 && world.fleet.spec.rollout.paused) {
    return {
      type: 'Progressing',
      status: 'Unknown',
      reason: 'Paused',
      message: `rollout.paused holds ${size.outdated} relays of an older revision`,
    };
  }
  if (size.outdated > 0 && !world.mayRollOut) {
    return {
      type: 'Progressing',
      status: 'Unknown',
      reason: 'Waiting',
      message: `${counted(size.outdated)} of an older revision waiting until the rollouts of other WavryRelays are through`,
    };
  }
  if (size.outdated > 0) {
    return {
      type: 'Progressing',
      status: 'True',
      reason: 'RollingOut',
      message: `${counted(size.outdated)} of an older revision left`,
    };
  }
  const draining = relays.filter((view) => view.draining).length;
  if (size.create > 0 || size.takeBack.length > 0) {
    return {
      type: 'Progressing',
      status: 'True',
      reason: 'ScalingUp',
      message: `adding ${counted(size.create + size.takeBack.length)}`,
    };
  }
  const starting = relays.filter((view) => !view.draining && view.serving !== 'yes').length;
  if (starting > 0) {
    return {
      type: 'Progressing',
      status: 'True',
      reason: 'Starting',
      message: `${counted(starting)} not serving yet`,
    };
  }
  if (draining > 0) {
    return {
      type: 'Progressing',
      status: 'True',
      reason: 'Draining',
      message: `${counted(draining)} draining`,
    };
  }
  return {
    type: 'Progressing',
    status: 'True',
    reason: 'UpToDate',
    message: 'every relay runs the revision that the spec asks for',
  };
}

function degraded(world: World, { faults }: Judged): Judgement {
  const first = faults[0];
  if (first) return { type: 'Degraded', status: 'True', reason: first.reason, message: distinct(faults) };
  const missing = MONITORING.filter(
    ({ kind, field }) => world.fleet.spec.monitoring[field] !== false && world.unknownKinds.has(kind),
  ).map(({ kind }) => kind);
  if (missing.length > 0) {
    return {
      type: 'Degraded',
      status: 'False',
      reason: 'MonitoringUnavailable',
      message: `this cluster has no ${missing.join(' and no ')}, so none is made: the relays are scraped once the Prometheus Operator is installed`,
    };
  }
  return { type: 'Degraded', status: 'False', reason: 'AsExpected', message: 'nothing stands in the way' };
}

function distinct(troubles: readonly Trouble[]): string {
  return [...new Set(troubles.map((trouble) => trouble.message))].slice(0, 5).join('; ');
}

function counted(relays: number): string {
  return `${relays} ${relays === 1 ? 'relay' : 'relays'}`;
}
