import type { Measured } from '../plan/demand.ts';
import { DEMAND_METRIC, SHED_METRIC } from '../specs/horizontal-pod-autoscaler.ts';
import { ApiError } from './api-error.ts';
import { type LabelSelector, selectorObject, selects } from './label-selector.ts';
import { GROUP, type ResourceInfo, type Version } from './request-info.ts';

export const METRICS = [DEMAND_METRIC, SHED_METRIC] as const;
export type MetricName = (typeof METRICS)[number];

export const RESOURCES = ['wavryrelays.wavry.dev', 'pods'] as const;
export type MetricResource = (typeof RESOURCES)[number];

/** An object with what is measured of it; each metric is worked out when it is asked for. */
export interface MeasuredObject {
  readonly kind: string;
  readonly apiVersion: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly measure: (metric: MetricName) => Measured;
}

export interface MetricSource {
  /** Undefined when there is none of this name. */
  readonly find: (resource: MetricResource, namespace: string, name: string) => MeasuredObject | undefined;
  readonly list: (resource: MetricResource, namespace: string) => readonly MeasuredObject[];
}

export interface MetricQuery {
  readonly labelSelector: LabelSelector;
  readonly metricLabelSelector: LabelSelector;
}

/**
 * A MetricValueList of one object, or with the name `*` of those that the selector picks. What isn't known is left out of a
 * list, and is no answer on its own (503): whoever scales by it has to hold.
 *
 * @throws ApiError 404 for an object or metric that isn't there
 */
export function metricValues(
  source: MetricSource,
  asked: ResourceInfo & { readonly version: Version },
  query: MetricQuery,
): unknown {
  const resource = RESOURCES.find((known) => known === asked.resource);
  const metric = METRICS.find((known) => known === asked.subresource);
  // Our metrics have no labels of their own to select by.
  const exists = selects(query.metricLabelSelector, {});
  if (!resource || !metric || asked.namespace === '' || asked.name === '') throw unknownMetric(asked);
  const value = (object: MeasuredObject, measured: Known): unknown =>
    metricValue(asked, metric, object, measured, query.metricLabelSelector);

  if (asked.name === '*') {
    const items = exists
      ? source
          .list(resource, asked.namespace)
          .filter((object) => selects(query.labelSelector, object.labels))
          .flatMap((object) => {
            const measured = object.measure(metric);
            return 'value' in measured ? [value(object, measured)] : [];
          })
      : [];
    return listOf(asked.version, items);
  }
  const object = source.find(resource, asked.namespace, asked.name);
  if (!object) throw new ApiError(404, 'NotFound', `${resource} "${asked.name}" not found`);
  if (!exists) throw unknownMetric(asked);
  const measured = object.measure(metric);
  if ('unknown' in measured) throw new ApiError(503, 'ServiceUnavailable', measured.unknown);
  return listOf(asked.version, [value(object, measured)]);
}

type Known = Extract<Measured, { readonly value: number }>;

function listOf(version: Version, items: readonly unknown[]): unknown {
  return { kind: 'MetricValueList', apiVersion: `${GROUP}/${version}`, metadata: {}, items };
}

/** k8s.io/metrics/pkg/apis/custom_metrics/{v1beta1,v1beta2}/types.go */
function metricValue(
  { version, namespace }: { readonly version: Version; readonly namespace: string },
  metric: MetricName,
  object: MeasuredObject,
  measured: Known,
  selector: LabelSelector,
): unknown {
  const described = {
    describedObject: {
      kind: object.kind,
      namespace,
      name: object.name,
      apiVersion: object.apiVersion,
    },
    timestamp: new Date(measured.atMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    value: quantity(measured.value),
  };
  const window = measured.windowMs === undefined ? undefined : Math.round(measured.windowMs / 1000);
  return version === 'v1beta1'
    ? {
        ...described,
        metricName: metric,
        ...(window === undefined ? {} : { window }),
        selector: selectorObject(selector),
      }
    : {
        ...described,
        metric: { name: metric, selector: selectorObject(selector) },
        ...(window === undefined ? {} : { windowSeconds: window }),
      };
}

/** A resource.Quantity; a fraction in thousandths, rounded up: a little is not nothing. */
function quantity(value: number): string {
  return Number.isInteger(value) ? String(value) : `${Math.ceil(value * 1000)}m`;
}

function unknownMetric({ resource, name, subresource }: ResourceInfo): ApiError {
  return new ApiError(
    404,
    'NotFound',
    `the server could not find the metric ${subresource || '(none)'} for ${resource} ${name}; there are ${METRICS.join(' and ')} for ${RESOURCES.join(' and ')}`,
  );
}
