import { type RelayExposure, takesHostPort } from '../api/exposure.ts';
import { Annotation, type DrainReason, Label } from '../api/meta.ts';
import { isKept, ownsMore } from '../kube/difference.ts';
import type { KubeObject } from '../kube/object.ts';
import type { ObservedRelay } from '../plan/world.ts';
import { DATA_PORT } from '../specs/deployment.ts';
import { readExposureRecord } from '../specs/exposure-record.ts';
import { hostPortOf, type PodBody, portOf } from './observe-pod.ts';

/** A relay's Deployment. What others wrote on it is untrusted. */
export function observeRelay(object: KubeObject, fieldManager: string): ObservedRelay {
  const { metadata } = object;
  const template = (object['spec'] as { template?: { spec?: PodBody['spec'] } } | undefined)?.template?.spec;
  const applied = appliedSpec(metadata.annotations?.[Annotation.appliedSpec]);
  const foreign = applied === undefined ? [] : foreignManagers(object, applied, fieldManager);
  return {
    name: metadata.name,
    uid: metadata.uid,
    revision: metadata.labels?.[Label.revision] ?? '',
    port: portOf(template, 'relay')?.containerPort ?? DATA_PORT,
    exposure: exposureOf(template, readExposureRecord(metadata.annotations?.[Annotation.exposure])),
    createdMs: Date.parse(metadata.creationTimestamp),
    deleting: metadata.deletionTimestamp !== undefined,
    drainingSinceMs: timeMs(metadata.annotations?.[Annotation.drainingSince]),
    drainReason: DRAIN_REASONS.find((reason) => reason === metadata.annotations?.[Annotation.drainReason]),
    drainRequested: metadata.annotations?.[Annotation.drainRequested] === 'true',
    foreignManagers: foreign,
    // Kept for as long as the Deployment stays the same: of thousands only where it is needed.
    appliedSpec: foreign.length > 0 ? applied : undefined,
    replicaFailure: conditionMessage(object, 'ReplicaFailure'),
  };
}

/** What is written down, as far as the template bears it out: a port of the node is there or it isn't. */
function exposureOf(
  template: PodBody['spec'],
  written: RelayExposure | undefined,
): RelayExposure | undefined {
  const onHost = hostPortOf(template) !== undefined;
  if (written && takesHostPort(written.type) === onHost) return written;
  return onHost ? { type: template?.hostNetwork === true ? 'HostNetwork' : 'HostPort' } : undefined;
}

/** RFC 3339, as the status that repeats it has to be: a Date also has years of six digits, which the API server refuses. */
function timeMs(text: string | undefined): number | undefined {
  const time = /^\d{4}-\d\d-\d\dT/.test(text ?? '') ? Date.parse(text!) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

const DRAIN_REASONS: readonly DrainReason[] = ['Requested', 'ScaleDown', 'Rollout'];

/**
 * Who else set fields of the spec, if it is another one than the operator made
 * (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
 */
function foreignManagers(
  object: KubeObject,
  applied: Readonly<Record<string, unknown>>,
  fieldManager: string,
): string[] {
  const others = (object.metadata.managedFields ?? [])
    .filter((entry) => entry.subresource === undefined || entry.subresource === 'scale')
    .filter((entry) => entry.manager !== fieldManager && entry.fieldsV1?.['f:spec'] !== undefined);
  const changed =
    !isKept(applied, object['spec']) || others.some((entry) => ownsMore(entry.fieldsV1?.['f:spec'], applied));
  if (!changed) return [];
  // Who only took something away owns nothing.
  return others.length === 0
    ? ['somebody']
    : [...new Set(others.map((entry) => entry.manager ?? 'somebody'))];
}

function appliedSpec(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function conditionMessage(object: KubeObject, type: string): string | undefined {
  const status = object['status'] as
    | { conditions?: { type: string; status: string; message?: string; reason?: string }[] }
    | undefined;
  const condition = status?.conditions?.find((entry) => entry.type === type && entry.status === 'True');
  return condition ? (condition.message ?? condition.reason ?? type) : undefined;
}
