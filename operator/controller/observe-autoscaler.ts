import { GROUP, KIND } from '../api/meta.ts';
import type { KubeObject } from '../kube/object.ts';
import type { AutoscalerCondition, ObservedAutoscaler } from '../plan/world.ts';
import { isControlledBy, isEarlier } from './ownership.ts';

/** Characters kept of what an autoscaler says of itself. */
const MOST_MESSAGE = 1024;

/** The fleet (`namespace/name`) that an autoscaler targets; undefined when it targets something else. */
export function targetedFleet(object: KubeObject): string | undefined {
  const spec = object['spec'] as { scaleTargetRef?: Partial<Record<string, unknown>> } | undefined;
  const { apiVersion, kind, name } = spec?.scaleTargetRef ?? {};
  // As the autoscaler itself does: the version doesn't matter.
  if (kind !== KIND || typeof apiVersion !== 'string' || typeof name !== 'string') return undefined;
  return apiVersion.split('/')[0] === GROUP ? `${object.metadata.namespace}/${name}` : undefined;
}

/** @param kind of the store that holds it, as objects of a list don't say theirs */
export function observeAutoscaler(object: KubeObject, kind: string, fleetUid: string): ObservedAutoscaler {
  const { metadata } = object;
  const controller = (metadata.ownerReferences ?? []).find((owner) => owner.controller === true);
  const status = object['status'] as
    | { conditions?: readonly (Partial<Record<keyof AutoscalerCondition, unknown>> | null)[] }
    | undefined;
  const conditions = Array.isArray(status?.conditions) ? status.conditions : [];
  return {
    kind,
    name: metadata.name,
    by: isControlledBy(object, fleetUid)
      ? 'us'
      : isEarlier(object, targetedFleet(object) ?? '', fleetUid)
        ? 'an earlier fleet'
        : 'another',
    madeFor: controller ? `${controller.kind}/${controller.name}` : undefined,
    conditions: conditions.map((condition) => ({
      type: text(condition?.type),
      status: text(condition?.status),
      reason: word(condition?.reason),
      message: text(condition?.message),
    })),
  };
}

function text(message: unknown): string {
  return typeof message === 'string' ? message.trim().slice(0, MOST_MESSAGE) : '';
}

/** A condition's reason has to be one word; it goes into a condition of ours. */
function word(reason: unknown): string {
  return typeof reason === 'string' && /^[A-Za-z][A-Za-z0-9_,:]{0,127}$/.test(reason) ? reason : 'Unknown';
}
