import { API_VERSION, KIND } from '../api/meta.ts';
import { type Fleet, targetSessionsOf } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** Metrics of a WavryRelay that the operator serves as custom.metrics.k8s.io (design-operator 5). */
export const DEMAND_METRIC = 'active_sessions';
export const SHED_METRIC = 'overload_shed_packets';

/**
 * Shed packets a second from which the fleet steps up. The autoscaler proposes rate / this × ready relays, which the
 * policies then bound: one packet in the rate's window of 30 s has to propose more relays than there are, beyond the
 * autoscaler's tolerance of 10 %.
 */
const SHED_PER_SECOND = '10m';

/**
 * Up at once, bounded per step, as a relay takes its time until it serves: a faster pace brings none sooner, only more of
 * them than are needed; down after ten quiet minutes and slowly, as each relay that goes drains for up to an hour and those
 * that stay take its part of the new sessions. The simulator's figures are in docs/adr/0006.
 */
export const DEFAULT_BEHAVIOR = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 180 },
      { type: 'Pods', value: 4, periodSeconds: 60 },
    ],
  },
  scaleDown: {
    stabilizationWindowSeconds: 600,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 10, periodSeconds: 60 },
      { type: 'Pods', value: 1, periodSeconds: 60 },
    ],
  },
} as const;

/**
 * https://kubernetes.io/docs/reference/kubernetes-api/autoscaling/horizontal-pod-autoscaler-v2/ on the WavryRelay itself,
 * by metrics of that same object. `active_sessions` is an AverageValue (sum / target, whatever the number of relays that
 * are ready), as a Value would be multiplied by the ready pods, surge included.
 */
export function horizontalPodAutoscaler(fleet: Fleet): AppliedObject | undefined {
  const { autoscaling } = fleet.spec;
  if (!autoscaling) return undefined;
  const self = { apiVersion: API_VERSION, kind: KIND, name: fleet.name };
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    spec: {
      scaleTargetRef: self,
      minReplicas: autoscaling.minReplicas,
      maxReplicas: autoscaling.maxReplicas,
      metrics: [
        objectMetric(self, DEMAND_METRIC, {
          type: 'AverageValue',
          averageValue: quantity(targetSessionsOf(fleet.spec)),
        }),
        objectMetric(self, SHED_METRIC, { type: 'Value', value: SHED_PER_SECOND }),
      ],
      behavior: { ...DEFAULT_BEHAVIOR, ...autoscaling.behavior },
    },
  };
}

/** A whole number below a million in the form that the API server hands out: any other would be written again at each look. */
function quantity(value: number): string {
  return value % 1000 === 0 ? `${value / 1000}k` : String(value);
}

function objectMetric(
  describedObject: object,
  name: string,
  target: Readonly<Record<string, string>>,
): Record<string, unknown> {
  return { type: 'Object', object: { describedObject, metric: { name }, target } };
}
