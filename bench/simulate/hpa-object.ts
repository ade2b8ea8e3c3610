import type { WavryRelaySpec } from '../../operator/api/spec.ts';
import { horizontalPodAutoscaler } from '../../operator/specs/horizontal-pod-autoscaler.ts';
import type { HpaSpec } from './hpa.ts';

/** What the HPA controller reads in the object that the operator makes. */
export function hpaSpecOf(spec: WavryRelaySpec): HpaSpec {
  const object = horizontalPodAutoscaler({
    name: 'fleet',
    namespace: 'games',
    uid: 'fleet-uid',
    spec,
    defaultImage: 'relay:1',
    runbooks: '',
  });
  if (!object) throw new Error('spec.autoscaling is missing, so the operator makes no HPA');
  const { minReplicas, maxReplicas, metrics, behavior } = object['spec'] as HpaObjectSpec;
  return {
    minReplicas,
    maxReplicas,
    behavior,
    metrics: metrics.map(({ object: { metric, target } }) => ({
      name: metric.name,
      type: target.type,
      target: quantity(target.type === 'Value' ? target.value! : target.averageValue!),
    })),
  };
}

interface HpaObjectSpec extends Pick<HpaSpec, 'minReplicas' | 'maxReplicas' | 'behavior'> {
  readonly metrics: readonly {
    readonly object: {
      readonly metric: { readonly name: string };
      readonly target: {
        readonly type: 'AverageValue' | 'Value';
        readonly value?: string;
        readonly averageValue?: string;
      };
    };
  }[];
}

/** Of the quantities of Kubernetes only whole numbers, thousands and thousandths occur here. */
function quantity(text: string): number {
  if (text.endsWith('k')) return Number(text.slice(0, -1)) * 1000;
  return text.endsWith('m') ? Number(text.slice(0, -1)) / 1000 : Number(text);
}
